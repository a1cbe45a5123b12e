"""Run the ``#cloud-config`` user data of a simulated host: bootcmd, write_files, runcmd.

Commands run as guest processes without a shell: a list is an argument list, a text must be one simple command.
Writes below the host's folder. Failing user data does not keep the host from booting, as on AWS.
Source: cloud-init documentation, modules bootcmd, write_files, runcmd; "once per instance" semantics.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import yaml

from runbook_lib.sandbox.guest.words import Refused, split_simple
from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost

HEADER = "#cloud-config"
KEYS = {"write_files", "bootcmd", "runcmd", "hostname", "preserve_hostname", "timezone", "output"}
FILE_KEYS = {"path", "content", "permissions", "owner", "append", "encoding", "defer"}
OUTPUT_LOG, LOG = "var/log/cloud-init-output.log", "var/log/cloud-init.log"
STATUS = "run/cloud-init/status.json"


class UserDataError(Exception):
    """The user data is not what a simulated host can run; nothing of it was run."""


class Boot:
    """What cloud-init does during one boot.

    Args:
        host: The host that boots.
        off: Set when its power goes.
    """

    def __init__(self, host: BaseHost, off: threading.Event) -> None:
        self._host = host
        self._off = off
        self._errors: list[str] = []
        self._config: dict[str, Any] = {}

    def begin(self, *, first: bool) -> None:
        """Do what happens before services start: bootcmd at every boot, write_files at the first."""
        self._state("running")
        self._note(f"Cloud-init v. 22.2.2 running 'init' at {_now()}.")
        try:
            self._config = parse(self._host.launch.user_data)
        except UserDataError as error:
            self._fail(str(error))
            return
        self._run_all("bootcmd")
        if first:
            for entry in self._config.get("write_files") or []:
                try:
                    self._write(entry)
                except (OSError, ValueError, binascii.Error) as error:
                    self._fail(f"write_files: {entry.get('path')}: {error}")

    def finish(self, *, first: bool) -> None:
        """Do what happens after services started: runcmd at the first boot; then say how it all went."""
        if first and self._host.world.strikes("boot-failure", self._host.instance_id):
            self._fail("runcmd: fault boot-failure of the sandbox: nothing of the user data's runcmd was run")
        elif first:
            self._run_all("runcmd")
        if self._off.is_set():
            return
        self._host.boot_error = "; ".join(self._errors)
        self._note(f"Cloud-init v. 22.2.2 finished at {_now()}. Datasource DataSourceEc2.")
        self._state("error" if self._errors else "done")

    def _run_all(self, module: str) -> None:
        """Run a list of commands as cloud-init's script does: each one, whatever the ones before did."""
        code = 0
        for entry in self._config.get(module) or []:
            if self._off.is_set():
                return
            argv = [str(one) for one in entry] if isinstance(entry, list) else split_simple(entry)
            result = self._run(argv)
            code = result.exit_code
            self._note(result.stdout + result.stderr, end="")
        if code:
            self._fail(f"{module}: the last command ended with exit code {code}; see /{OUTPUT_LOG}")

    def _run(self, argv: list[str]) -> CommandResult:
        try:
            return self._host.run(argv, timeout_s=float("inf"), env={"INSTANCE_ID": self._host.instance_id})
        except TimeoutError as error:
            return CommandResult("", f"{argv[0]}: {error}\n", 124)

    def _write(self, entry: dict[str, Any]) -> None:
        path = self._host.real_path(str(entry["path"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        content = decoded(entry.get("content", ""), str(entry.get("encoding", "")))
        with path.open("ab" if entry.get("append") else "wb") as file:
            file.write(content)
        mode = entry.get("permissions", 0o644)
        path.chmod(int(str(mode), 8) if isinstance(mode, str) else int(mode))
        owner, _, group = str(entry.get("owner", "root:root")).partition(":")
        if os.geteuid() == 0:
            shutil.chown(path, owner, group or owner)

    def _fail(self, text: str) -> None:
        self._errors.append(text)
        self._note(text)

    def _note(self, text: str, end: str = "\n") -> None:
        for name in (OUTPUT_LOG, LOG):
            path = self._host.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="surrogateescape") as log:
                log.write(text + end)

    def _state(self, status: str) -> None:
        path = self._host.real_path("/" + STATUS)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"status": status, "detail": "DataSourceEc2", "errors": self._errors, "last_update": _now()}
        path.write_text(json.dumps(facts), encoding="utf-8")
        if status != "running":
            finished = self._host.root / "var/lib/cloud/instance/boot-finished"
            finished.parent.mkdir(parents=True, exist_ok=True)
            finished.write_text(_now() + "\n", encoding="utf-8")
        self._host.cloud_init = status


def parse(text: str) -> dict[str, Any]:
    """Return the settings of a ``#cloud-config`` text, {} for no user data.

    Raises:
        UserDataError: It is something else, or holds what a simulated host cannot do.
    """
    if not text.strip():
        return {}
    if text.splitlines()[0].strip() != HEADER:
        raise UserDataError(
            f"the simulated host runs user data that begins with {HEADER}; this begins with {text.splitlines()[0]!r}"
        )
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UserDataError(f"the user data is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise UserDataError("the user data is not a mapping")
    if unknown := sorted(set(config) - KEYS):
        raise UserDataError(f"the simulated host does not know these keys of user data: {', '.join(unknown)}")
    _check_entries(config)
    return config


def _check_entries(config: dict[str, Any]) -> None:
    for module in ("bootcmd", "runcmd"):
        for entry in config.get(module) or []:
            _check_command(module, entry)
    for entry in config.get("write_files") or []:
        if unknown := sorted(set(entry) - FILE_KEYS):
            raise UserDataError(f"write_files: unknown keys: {', '.join(unknown)}")
        if not str(entry.get("path", "")).startswith("/"):
            raise UserDataError(f"write_files: {entry.get('path')!r} is not an absolute path")


def decoded(content: Any, encoding: str) -> bytes:
    """Return the bytes of a ``write_files`` entry."""
    data = content if isinstance(content, bytes) else str(content).encode()
    if encoding in {"b64", "base64", "gz+base64", "gzip+base64", "gz+b64", "gzip+b64"}:
        data = base64.b64decode(data)
    elif encoding not in {"", "text/plain"}:
        raise ValueError(f"unknown encoding {encoding!r}")
    return gzip.decompress(data) if encoding.startswith("gz") else data


def _check_command(module: str, entry: Any) -> None:
    if isinstance(entry, list) and entry:
        return
    if not isinstance(entry, str):
        raise UserDataError(f"{module}: {entry!r} is neither a list nor a text")
    try:
        split_simple(entry)
    except Refused as error:
        raise UserDataError(f"{module}: {error}") from error


def _now() -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
