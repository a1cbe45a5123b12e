"""Run a command and say how long it took, and how much memory all its processes had together.

Time and memory are measured in different runs, because looking at memory costs time. Memory is the largest sum over the
command and everything below it: PSS, where a page that several processes share counts once in all, if the kernel gives
it (smaps_rollup), and RSS, where it counts in each of them.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.01


@dataclass(frozen=True)
class Taken:
    """What one run took, in seconds: of the clock, and of processors by all processes together."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Memory:
    """The most that all processes together had, in bytes; PSS is None where the kernel does not give it."""

    rss_bytes: int
    pss_bytes: int | None


def run(argv: list[str], environment: dict[str, str], output: Path | None = None) -> Taken:
    """Run a command to its end; its output goes into a file, or is thrown away."""
    with (output or Path(os.devnull)).open("wb") as stream:
        before, started = os.times(), time.perf_counter()
        subprocess.run(argv, env=environment, stdout=stream, check=True)
        wall_s, after = time.perf_counter() - started, os.times()
    used = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return Taken(wall_s, used)


def peak_memory(argv: list[str], environment: dict[str, str]) -> Memory:
    """Run a command to its end, looking at it and everything below it a hundred times a second."""
    rss, pss = 0, 0
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            seen = [_memory(pid) for pid in tree(process.pid)]
            rss, pss = max(rss, sum(r for r, _ in seen)), max(pss, sum(p for _, p in seen))
            time.sleep(_LOOK_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return Memory(rss, pss or None)


def tree(pid: int) -> list[int]:
    """Return the pids of a process and of all below it."""
    found = [pid]
    try:
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    except OSError:  # it has just ended
        return found
    return found + [one for child in children for one in tree(int(child))]


def _children(task: Path) -> list[str]:
    """Return the children of one thread, none when it has just ended."""
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def _memory(pid: int) -> tuple[int, int]:
    """Return RSS and PSS of one process in bytes, zeros when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _rss(pid), 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes.get("Rss", 0), sizes.get("Pss", 0)


def _rss(pid: int) -> int:
    """Return RSS of one process in bytes."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
