"""Watch, freeze and end the processes of simulated hosts; find who holds a folder.

Processes carry their host in their environment; only such processes are ever signalled.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox.guest.procview import environment_of

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost

FROZEN_WITHIN_S = 5.0
POLL_S = 0.002


@dataclass(frozen=True)
class CommandResult:
    """What a command did.

    Args:
        stdout: What it printed.
        stderr: What it printed as errors.
        exit_code: 0 when all went well.
        duration_s: How long it took.
    """

    stdout: str
    stderr: str
    exit_code: int
    duration_s: float = 0.0


class Lifeline:
    """The daemon's end of the pipe that every guest process watches: when it closes, the kernel kills them.

    Args:
        path: The named pipe.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Let every process that is still there die; the second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Freezer:
    """Stops every process of the hosts that have a volume, so that its files do not change for a moment.

    Args:
        hosts: The hosts of the world, by id.
    """

    def __init__(self, hosts: Mapping[str, BaseHost]) -> None:
        self._hosts = hosts

    @contextmanager
    def frozen(self, volume_id: str) -> Iterator[None]:
        """Hold still whoever could write to the volume, for as long as the block runs."""
        pids: list[int] = []
        for host in list(self._hosts.values()):
            if host.devices.has(volume_id):
                pids += freeze(host.mark)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def freeze(mark: str) -> list[int]:
    """Stop every process with this mark, also those that were born meanwhile; return their ids."""
    stopped: list[int] = []
    deadline = time.monotonic() + FROZEN_WITHIN_S
    while time.monotonic() < deadline:
        moving = [pid for pid in marked(mark) if state_of(pid) not in {"T", "t", "Z", "X", ""}]
        if not moving:
            break
        for pid in moving:
            if pid not in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
        time.sleep(POLL_S)
    return stopped


def state_of(pid: int) -> str:
    """Return the kernel's letter for a process, "" when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[0]


def marked(mark: str) -> list[int]:
    """Return the processes whose environment carries this mark, as ``NAME=value``."""
    wanted = mark.encode()
    return [
        int(name)
        for name in os.listdir("/proc")  # noqa: PTH208 - names only
        if name.isdigit() and int(name) != os.getpid() and wanted in environment_of(int(name))
    ]


def holders(mark: str, folder: Path) -> list[tuple[int, str]]:
    """Return (process id, path) of every marked process that has a file open or its current folder below ``folder``."""
    found: list[tuple[int, str]] = []
    inside = str(folder)
    for pid in marked(mark):
        with suppress(OSError):
            links = [f"/proc/{pid}/cwd", *(f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd"))]  # noqa: PTH208
            for link in links:
                with suppress(OSError):
                    target = os.readlink(link)  # noqa: PTH115 - text wanted
                    if target == inside or target.startswith(inside + "/"):
                        found.append((pid, target))
    return found


def kill_session(pid: int) -> None:
    """Kill a process that leads a session, and everything in its process group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def end_all(mark: str) -> None:
    """Kill every process with this mark until none is left."""
    deadline = time.monotonic() + FROZEN_WITHIN_S
    while time.monotonic() < deadline:
        pids = [pid for pid in marked(mark) if state_of(pid) not in {"Z", "X", ""}]
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
