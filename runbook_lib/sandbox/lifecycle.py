"""Start, stop and ask for a sandbox; run one command inside a fresh one.

A sandbox dies with its starter: the starter holds one end of a pipe whose other end the daemon watches.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import machine
from runbook_lib.sandbox import state_dir as directory
from runbook_lib.sandbox.latency import Latency

DEFAULT_PORT = 4599
_PAUSE_S = 0.05
_STOP_S = 25.0
_CONTROL_S = 120.0
_PREFIX = "runbook-sandbox-"
_TETHER = Path(__file__).with_name("tether.py")


@dataclass(frozen=True)
class SandboxInfo:
    """Where a running sandbox is.

    Args:
        state_dir: Everything it writes.
        port: Port of its AWS API on 127.0.0.1.
        pid: Its daemon.
        endpoint_url: For ``AWS_ENDPOINT_URL`` and boto3.
        parameters_path: The parameters of the estate in it.
    """

    state_dir: Path
    port: int
    pid: int
    endpoint_url: str
    parameters_path: Path

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call a control path, for example ``GET /_sandbox/status``, and return its JSON.

        Raises:
            SandboxError: The sandbox refused, with what it said.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint_url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_CONTROL_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = json.load(error).get("error", error.reason)
            raise SandboxError(f"{method} {path}: {said}") from error
        except (urllib.error.URLError, ConnectionError) as error:
            raise SandboxError(
                f"{method} {path}: the sandbox at {self.endpoint_url} does not answer ({error}). "
                "`runbook sandbox status` says whether it runs."
            ) from error


@dataclass(frozen=True)
class InsideResult:
    """What came of a command that ran inside a fresh sandbox.

    Args:
        exit_code: The command's.
        client: Acknowledged writes compared with what the service returns, as ``GET /_sandbox/client`` gives it.
    """

    exit_code: int
    client: Mapping[str, Any] = field(default_factory=dict)


class Process(Protocol):
    """A daemon that was started, with what `subprocess.Popen` gives its starter."""

    def poll(self) -> int | None: ...  # noqa: D102
    def wait(self) -> int: ...  # noqa: D102


Spawn = Callable[[Sequence[str], tuple[int, ...], IO[bytes]], Process]
"""Starts the daemon: its arguments, the descriptors it keeps, and where standard output and error go."""


@dataclass
class _Held:
    """What keeps a sandbox of this process alive."""

    process: Process
    lifeline: int


_held: dict[Path, _Held] = {}


def spawn_daemon(arguments: Sequence[str], kept: tuple[int, ...], log: IO[bytes]) -> Process:
    """Start the daemon in an interpreter and a session of its own."""
    command = [sys.executable, "-m", "runbook_lib.sandbox.daemon", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=kept, start_new_session=True
    )


def start(
    state_dir: Path,
    *,
    port: int = 0,
    latency: str = "fast",
    hosts: str = "simulated",
    wait_s: float = 60,
    detached: bool = False,
    estate_options: Sequence[str] = (),
    spawn: Spawn = spawn_daemon,
) -> SandboxInfo:
    """Start a sandbox and wait until it is ready.

    Args:
        state_dir: Its directory; one of a sandbox that is gone is emptied.
        port: Port of its AWS API, 0 for a free one.
        latency: ``aws``, ``fast`` or ``none``.
        hosts: ``simulated``, or ``real``: with namespaces, disks and a dockerd of their own.
        wait_s: How long it may take to be ready; real hosts get three times as long.
        detached: Let it outlive this process, until ``stop``.
        estate_options: Passed to the estate as they are.
        spawn: Starts the daemon.

    Raises:
        SandboxError: The directory is in use or not ours, the port is taken, this machine cannot have real hosts, or
            it did not become ready.

    Changes:
        One process, and the directory.
    """
    state_dir = state_dir.resolve()
    Latency.named(latency)
    machine.refuse_hosts(hosts)
    machine.refuse_busy_port(port)
    directory.prepare(state_dir)
    reading, writing = os.pipe()
    arguments = ["--state", str(state_dir), "--port", str(port), "--latency", latency, "--hosts", hosts]
    arguments += [argument for option in estate_options for argument in ("--estate-option", option)]
    arguments += [] if detached else ["--lifeline-fd", str(reading)]
    with (state_dir / directory.LOG_FILE).open("ab") as log:
        process = spawn(arguments, () if detached else (reading,), log)
    os.close(reading)
    _held[state_dir] = _Held(process, writing)
    try:
        return _wait_until_ready(state_dir, process, wait_s * (3 if hosts == "real" else 1))
    except BaseException:
        stop(state_dir)
        raise


def stop(state_dir: Path) -> bool:
    """Stop the sandbox of a directory and wait until it is gone; its files stay.

    Returns:
        Whether one was running.

    Changes:
        Ends the daemon and everything it started.
    """
    state_dir = state_dir.resolve()
    held = _held.pop(state_dir, None)
    pid = directory.holder(state_dir)
    if pid:
        _signal(pid, signal.SIGTERM)
    if held:
        os.close(held.lifeline)
    deadline = time.monotonic() + _STOP_S
    while directory.is_held(state_dir):
        pid = pid or directory.holder(state_dir)
        late_s = time.monotonic() - deadline
        if late_s > 0 and pid:
            _signal(pid, signal.SIGKILL)
        if late_s > _STOP_S:
            raise SandboxError(f"the sandbox of {state_dir} did not end; end process {pid or '(unknown)'} by hand.")
        time.sleep(_PAUSE_S)
    if held:
        held.process.wait()
    return bool(pid)


def status(state_dir: Path) -> SandboxInfo | None:
    """Return where the sandbox of a directory is, or None when none is ready there."""
    state_dir = state_dir.resolve()
    facts = directory.read_daemon(state_dir)
    if not facts or not directory.is_held(state_dir):
        return None
    return SandboxInfo(
        state_dir=state_dir,
        port=int(facts["port"]),
        pid=int(facts["pid"]),
        endpoint_url=str(facts["endpoint_url"]),
        parameters_path=Path(facts["parameters_path"]),
    )


def run_inside(
    command: Sequence[str],
    *,
    latency: str = "fast",
    hosts: str = "simulated",
    port: int = 0,
    estate_options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[SandboxInfo], None] = lambda _info: None,
) -> InsideResult:
    """Run a command in a fresh sandbox, and compare afterwards what the service was told with what it returns.

    Args:
        command: Program and arguments; ``{parameters}`` and ``{state}`` in them become the sandbox's paths.
        latency: As for ``start``.
        hosts: As for ``start``.
        port: As for ``start``.
        estate_options: As for ``start``.
        environment: Environment of the command instead of this process's.
        prepare: Called with the sandbox before the command runs.

    Returns:
        The command's exit code and the comparison. The sandbox is gone, whatever happened.

    Raises:
        SandboxError: The sandbox did not start, or the command does not exist.
    """
    directory.sweep(Path(tempfile.gettempdir()), _PREFIX)
    machine.sweep()
    state_dir = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        info = start(state_dir, port=port, latency=latency, hosts=hosts, estate_options=estate_options)
        prepare(info)
        exit_code = _run_tethered([_fill(word, info) for word in command], environment)
        info.control("POST", "/_sandbox/client", {"running": False})
        return InsideResult(exit_code, info.control("GET", "/_sandbox/client"))
    finally:
        stop(state_dir)
        shutil.rmtree(state_dir, ignore_errors=True)


def _run_tethered(command: Sequence[str], environment: Mapping[str, str] | None) -> int:
    if shutil.which(command[0]) is None:
        raise SandboxError(f"there is no command {command[0]!r}; nothing was run.")
    tethered = [sys.executable, "-I", str(_TETHER), str(os.getpid()), *command]
    process = subprocess.Popen(tethered, env=None if environment is None else dict(environment))
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _fill(word: str, info: SandboxInfo) -> str:
    return word.replace("{parameters}", str(info.parameters_path)).replace("{state}", str(info.state_dir))


def _wait_until_ready(state_dir: Path, process: Process, wait_s: float) -> SandboxInfo:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        info = status(state_dir)
        if info is not None:
            return info
        if process.poll() is not None:
            raise SandboxError(f"the sandbox ended while starting: {_last_words(state_dir)}")
        time.sleep(_PAUSE_S)
    raise SandboxError(f"the sandbox was not ready after {wait_s:g} s: {_last_words(state_dir)}")


def _last_words(state_dir: Path) -> str:
    path = state_dir / directory.LOG_FILE
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else 'it wrote nothing'} (all of it: {path})"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
