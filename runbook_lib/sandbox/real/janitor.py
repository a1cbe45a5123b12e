"""Remove what dead sandboxes with real hosts left on this machine, and say what living ones hold.

A sandbox is known by its key, made from its state directory; a living one holds the lock of
``/run/runbook-sandbox/KEY``. Only things that carry the key of a dead one are touched: bridges and links by name,
control groups by name, loop devices by a backing file in its pool, processes by their environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from runbook_lib.sandbox.guest.procview import environment_of
from runbook_lib.sandbox.real.namespaces import KEY
from runbook_lib.sandbox.real.network import BRIDGE, VETH

LOCKS = Path("/run/runbook-sandbox")
CGROUPS = Path("/sys/fs/cgroup")
CGROUP = "runbook-sandbox-"
ENDS_S = 10.0
PAUSE_S = 0.02


@dataclass(frozen=True)
class Holdings:
    """What one sandbox has on this machine outside its state directory.

    Args:
        processes: Ids.
        links: Network links.
        loop_devices: For example ``/dev/loop8``.
        control_groups: Folders, the innermost first.
    """

    processes: list[int]
    links: list[str]
    loop_devices: list[str]
    control_groups: list[str]

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing."""
        return not any(asdict(self).values())

    def __str__(self) -> str:
        """Return it in words, for example ``12 processes, 1 network link``."""
        words = {"processes": "process", "links": "network link", "loop_devices": "loop device"}
        words |= {"control_groups": "control group"}
        counts = {one: len(asdict(self)[name]) for name, one in words.items()}
        plural = {"process": "processes"}
        return ", ".join(
            f"{number} {one if number == 1 else plural.get(one, one + 's')}" for one, number in counts.items() if number
        )


def key_of(state_dir: Path) -> str:
    """Return the key of the sandbox of a state directory: eight hexadecimal digits."""
    return hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:8]


def hold(state_dir: Path) -> IO[str]:
    """Take the lock of a sandbox's key and note its state directory.

    Returns:
        A file to keep open; the kernel lets go when the process ends, however it ends.

    Raises:
        BlockingIOError: A living sandbox has it.
    """
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    handle = (LOCKS / key_of(state_dir)).open("a", encoding="utf-8")
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    handle.truncate(0)
    handle.write(str(state_dir.resolve()))
    handle.flush()
    return handle


def holdings(key: str, state_dir: Path) -> Holdings:
    """Return what the sandbox with this key has on this machine now."""
    groups = [path for parent in CGROUPS.glob(f"**/{CGROUP}{key}") for path in [parent, *_folders_below(parent)]]
    return Holdings(
        processes=_processes(key),
        links=sorted(one for one in os.listdir("/sys/class/net") if one in _names(key) or _is_veth(one, key)),  # noqa: PTH208
        loop_devices=_loop_devices(state_dir),
        control_groups=[str(path) for path in sorted(groups, key=lambda one: -len(one.parts))],
    )


def clean(key: str, state_dir: Path) -> Holdings:
    """Remove everything that a dead sandbox, or the one that calls this as its last act, has on this machine.

    Returns:
        What was there.

    Changes:
        Kills its processes, deletes its links and control groups, detaches its loop devices; its hosts' files can be
        deleted afterwards, also what the storage driver host_mount made immutable.
    """
    found = holdings(key, state_dir)
    deadline = time.monotonic() + ENDS_S
    while (pids := _processes(key)) and time.monotonic() < deadline:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_S)
    for link in found.links:
        _quietly("ip", "link", "delete", link)
    for device in _loop_devices(state_dir):
        _quietly("losetup", "--detach", device)
    if (state_dir / "hosts").is_dir():
        _quietly("chattr", "-R", "-f", "-i", str(state_dir / "hosts"))
    while time.monotonic() < deadline:
        left = [Path(one) for one in holdings(key, state_dir).control_groups]
        if not left:
            break
        for folder in left:
            with suppress(OSError):  # a process of it has not quite ended
                folder.rmdir()
        time.sleep(PAUSE_S)
    return found


def sweep() -> dict[str, Holdings]:
    """Clean up after every sandbox whose daemon is gone.

    Returns:
        By state directory, what was found of each.
    """
    swept: dict[str, Holdings] = {}
    for lock in sorted(LOCKS.glob("*")):
        with suppress(OSError), lock.open("r+", encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a living one keeps it: OSError, next
            state_dir = Path(handle.read() or "/nonexistent")
            found = clean(lock.name, state_dir)
            if not found.is_empty:
                swept[str(state_dir)] = found
            lock.unlink()
    return swept


def _processes(key: str) -> list[int]:
    mark = f"{KEY}={key}".encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]  # noqa: PTH208
    return [pid for pid in pids if mark in environment_of(pid)]


def _names(key: str) -> set[str]:
    return {BRIDGE + key}


def _is_veth(link: str, key: str) -> bool:
    return link.startswith(VETH + key[:6]) and link[len(VETH) + 6 :].isdigit()


def _loop_devices(state_dir: Path) -> list[str]:
    done = subprocess.run(["losetup", "--json", "--list"], capture_output=True, text=True, check=False)
    rows: list[dict[str, Any]] = json.loads(done.stdout or "{}").get("loopdevices", [])
    inside = str(state_dir) + "/"
    return [str(row["name"]) for row in rows if str(row["back-file"]).startswith(inside)]


def _folders_below(folder: Path) -> list[Path]:
    return [Path(base) / name for base, names, _ in os.walk(folder) for name in names]


def _quietly(*argv: str) -> None:
    subprocess.run(argv, capture_output=True, check=False)
