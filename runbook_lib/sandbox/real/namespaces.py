"""The namespaces of one real host: begin them, run programs in them, end them.

Starts process 1 of a host and what is run inside; signals nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from runbook_lib.sandbox.processes import CommandResult, kill_session

INIT = Path(__file__).with_name("init.py")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY = "RUNBOOK_SANDBOX_KEY"
ENDS_S = 10.0


class NamespaceError(Exception):
    """The host's process 1 did not come up; the text is what it said."""


class Service:
    """A program that stays; as the simulated tier's ``GuestProcess``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; subprocess.TimeoutExpired when the time passes."""
        return self._process.wait(timeout_s)

    def send_signal(self, number: int) -> None:
        """Send a signal to the program itself; nsenter, which waits for it, would not pass it on."""
        for pid in _children(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class Namespaces:
    """The namespaces of one host while it has power.

    Args:
        root: The host's root folder.
        local: What is mounted at its /usr/local.
        hostname: The name it gives itself.
        key: The sandbox's key, which its processes carry in their environment.
    """

    def __init__(self, root: Path, local: Path, hostname: str, key: str) -> None:
        reading, self._lifeline = os.pipe()
        argv = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child=SIGKILL"]
        argv += ["/usr/bin/python3", "-I", "-S", "-B", str(INIT), str(root), str(local), hostname, str(reading)]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env={"PATH": PATH, "LANG": "C.UTF-8", KEY: key}, pass_fds=(reading,), start_new_session=True,
        )  # fmt: skip
        os.close(reading)
        if self._process.stdout is None or self._process.stdout.readline() != b"ready\n":
            _, error = self._process.communicate()
            raise NamespaceError(error.decode(errors="replace").strip() or "process 1 ended")
        self.pid = _children(self._process.pid)[0]
        self._entered: set[subprocess.Popen[bytes]] = set()

    def enter(self, argv: Sequence[str], cwd: str = "/") -> list[str]:
        """Return the argument list that runs a program inside."""
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", f"--wdns={cwd}", "--", *argv]

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str], timeout_s: float, cwd: str = "/", stdin: bytes = b""
    ) -> CommandResult:
        """Run a program inside to its end.

        Raises:
            TimeoutError: The time passed; it was killed.
        """
        began = time.monotonic()
        process = subprocess.Popen(
            self.enter(argv, cwd), env=dict(env), start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._entered.add(process)
        try:
            out, err = process.communicate(stdin, None if timeout_s == float("inf") else timeout_s)
        except subprocess.TimeoutExpired:
            kill_session(process.pid)
            process.communicate()
            raise TimeoutError(f"the command did not end within {timeout_s:g} s and was killed") from None
        finally:
            self._entered.discard(process)
        stdout, stderr = (text.decode("utf-8", "surrogateescape") for text in (out, err))
        code = process.returncode
        return CommandResult(stdout, stderr, code if code >= 0 else 128 - code, time.monotonic() - began)

    def start(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, output: IO[bytes]) -> Service:
        """Start a program inside that stays."""
        process = subprocess.Popen(
            self.enter(argv, cwd), env=dict(env), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        self._entered.add(process)
        return Service(process)

    def path(self, path: str) -> Path:
        """Return where this machine has a path of the host, mounts included."""
        return Path(f"/proc/{self.pid}/root{path}")

    def end(self) -> None:
        """Kill process 1 and with it everything inside; returns when it is gone."""
        if self._lifeline < 0:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        for one in list(self._entered):  # nsenter stops with its program, and then buries it no more
            if one.poll() is None:
                one.send_signal(signal.SIGCONT)
        os.close(self._lifeline)
        self._lifeline = -1
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            kill_session(self._process.pid)
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(one) for one in text.split()]
