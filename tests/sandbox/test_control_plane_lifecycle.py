"""Starting and stopping sandboxes: one per directory, refused clearly, gone with whoever started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import lifecycle, state_dir

STARTER = """
import sys, time
from pathlib import Path
from runbook_lib.sandbox import lifecycle
info = lifecycle.start(Path(sys.argv[1]), latency="none")
print(info.pid, flush=True)
time.sleep(600)
"""


def _processes_of(state_dir: Path) -> set[int]:
    """Return the processes that name a state directory in their command line or environment."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(state_dir).encode() in text:
            found.add(int(folder.name))
    return found


def test_a_directory_holds_one_sandbox(start_sandbox: Callable[..., Any]) -> None:
    """A second start in the same directory is refused with what to do, and the first goes on."""
    running = start_sandbox(latency="none")
    with pytest.raises(SandboxError, match=r"already runs.*sandbox down"):
        lifecycle.start(running.state_dir, latency="none")
    assert lifecycle.status(running.state_dir) == running.info


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Starting on a busy port says so and leaves nothing behind."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(SandboxError, match=f"port {port} on 127.0.0.1 is taken"):
            lifecycle.start(tmp_path / "state", port=port)
    assert not (tmp_path / "state").exists()


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A directory with files that are not a sandbox's is refused and keeps them."""
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SandboxError, match="was not made by the sandbox"):
        lifecycle.start(tmp_path)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_an_unknown_latency_is_refused(tmp_path: Path) -> None:
    """The names of the latency sets are in the message."""
    with pytest.raises(SandboxError, match="aws, fast, none"):
        lifecycle.start(tmp_path / "state", latency="slow")


def test_a_stopped_sandbox_leaves_no_process_and_its_directory_serves_again(
    start_sandbox: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    """After a stop nothing of the sandbox runs; starting again empties the directory first."""
    running = start_sandbox(latency="none")
    (running.state_dir / "left-over").write_text("x", encoding="utf-8")
    running.stop()
    assert lifecycle.status(running.state_dir) is None
    wait_until(lambda: not _processes_of(running.state_dir), "no process is left")
    info = lifecycle.start(running.state_dir, latency="none")
    try:
        assert info.pid != running.info.pid
        assert not (running.state_dir / "left-over").exists()
    finally:
        assert lifecycle.stop(running.state_dir) is True
    assert lifecycle.stop(running.state_dir) is False


def test_a_sandbox_dies_with_its_killed_starter(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    """SIGKILL of the starter ends the daemon and everything it started."""
    state_dir = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(state_dir)], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert pid in _processes_of(state_dir)
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not _processes_of(state_dir), "the daemon and its processes are gone", timeout_s=60)
    assert lifecycle.status(state_dir) is None


def test_a_killed_daemon_leaves_no_process_and_its_directory_serves_again(
    start_sandbox: Callable[..., Any], wait_until: Callable[..., Any]
) -> None:
    """SIGKILL of the daemon ends what it started, and the next start takes the directory over."""
    running = start_sandbox(latency="none")
    os.kill(running.info.pid, signal.SIGKILL)
    wait_until(lambda: lifecycle.status(running.state_dir) is None, "the sandbox is gone")
    running.stop()
    wait_until(lambda: not _processes_of(running.state_dir), "no process is left")
    lifecycle.start(running.state_dir, latency="none")
    assert lifecycle.stop(running.state_dir) is True


def test_a_detached_sandbox_outlives_its_starter_until_it_is_stopped(tmp_path: Path) -> None:
    """Started detached, a sandbox goes on after its starter has ended, and another process can stop it."""
    code = STARTER.replace('latency="none"', 'latency="none", detached=True').replace("time.sleep(600)", "")
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "state")], check=True, timeout=120)
    info = lifecycle.status(tmp_path / "state")
    try:
        assert info is not None
        assert info.control("GET", "/_sandbox/status")["ready"] is True
    finally:
        assert lifecycle.stop(tmp_path / "state") is True
    assert lifecycle.status(tmp_path / "state") is None


def test_a_command_runs_inside_a_fresh_sandbox(tmp_path: Path) -> None:
    """The command gets the parameters' path, its exit code comes back, and the sandbox is gone afterwards."""
    note = tmp_path / "note"
    code = f"import sys, pathlib; pathlib.Path({str(note)!r}).write_text(sys.argv[1]); sys.exit(4)"
    result = lifecycle.run_inside([sys.executable, "-c", code, "{parameters}"], latency="none")
    assert result.exit_code == 4
    assert note.read_text(encoding="utf-8").endswith("parameters.yaml")
    assert not Path(note.read_text(encoding="utf-8")).exists()
    assert result.client["missing"] == 0


def test_a_command_dies_with_its_killed_starter(tmp_path: Path, wait_until: Callable[..., Any]) -> None:
    """The command inside a sandbox is tethered: the kernel ends it when its starter is killed."""
    tether = Path(lifecycle.__file__).with_name("tether.py")
    note = tmp_path / "pid"
    command = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(600)"
    outer = (
        "import os, subprocess, sys; "
        f"subprocess.run([sys.executable, '-I', {str(tether)!r}, str(os.getpid()), sys.executable, '-c', sys.argv[1]])"
    )
    with subprocess.Popen([sys.executable, "-c", outer, command]) as starter:
        wait_until(lambda: note.exists() and note.read_text(encoding="utf-8"), "the command runs")
        starter.send_signal(signal.SIGKILL)
    pid = int(note.read_text(encoding="utf-8"))
    wait_until(lambda: not _is_alive(pid), "the command is gone")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]


def test_what_killed_sandboxes_left_is_swept(tmp_path: Path) -> None:
    """An old directory of ours that nobody holds goes; a held one, a young one and somebody else's stay."""
    folders = {name: tmp_path / f"runbook-sandbox-{name}" for name in ("left", "held", "young", "foreign")}
    for name, folder in folders.items():
        folder.mkdir()
        if name != "foreign":
            state_dir.prepare(folder)
    handle = state_dir.hold(folders["held"])
    for name in ("left", "held"):
        os.utime(folders[name] / state_dir.MARK, (0, 0))
    with handle:
        state_dir.sweep(tmp_path, "runbook-sandbox-")
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [
        f"runbook-sandbox-{name}" for name in ("foreign", "held", "young")
    ]
