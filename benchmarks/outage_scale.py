"""How the runbook's outage grows with the number of files and with their bytes: `benchmarks/outage.py --scale`.

Each point is a whole cutover of a fresh estate whose volume holds that many more files or bytes. Metadata is read twice
inside the outage: warm on the source; on the target cold, as root, for then every cache is dropped before the volume
moves, as if another host read it. EBS takes a rollback point in an instant, the sandbox copies file by file inside the
call, and this machine's disk then writes for a while: the run is suspended until it has, and all of that is measured,
shown, and not counted.

The hosts of the sandbox map every path, which costs more than a host's own file system. So the same two reads are
measured without it too, by the host scripts as a host runs them.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import process_tree
from benchmarks.manifest import Bench, drop, make_files
from benchmarks.outage_estate import Estate, prepared
from benchmarks.outage_table import OURS, slope
from benchmarks.outage_ways import cut_over
from runbook_lib.sandbox.latency import Latency

FOLDER_FILES, FILE_BYTES, BLOCK = 1000, 100, 1 << 20
MILLION, GIB_MIB = 1_000_000, 1024
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
POLL_S = 0.01
NOT_COUNTED = "rollback point"
LIMIT_S_PER_MILLION = 12.0


@dataclass(frozen=True)
class Point:
    """One measured cutover.

    Args:
        files: Small files that were added to the sample estate's.
        mib: MiB in one file that was added.
        outage_s: The outage in seconds, without the rollback point.
        copy_s: The rollback point in seconds, which the sandbox copies file by file, and the pause after it.
        stop_s: Of the outage, stop, manifest and unmount on the source.
        attach_s: Of the outage, attaching and verifying on the target.
    """

    files: int
    mib: int
    outage_s: float
    copy_s: float
    stop_s: float
    attach_s: float


def measure(files: str, mib: str, latency: str) -> int:
    """Measure every point and print the table and the growth.

    Args:
        files: Numbers of files, by comma.
        mib: Numbers of MiB, by comma.
        latency: Of the sandbox; the growth does not depend on it.

    Returns:
        How many conditions are missed.
    """
    wanted = [(int(count), 0) for count in files.split(",")] + [(0, int(size)) for size in mib.split(",") if size]
    points = []
    for count, size in wanted:
        points.append(_point(count, size, latency))
        print(row(points[-1]), flush=True)
    print(f"\n{report(points, cold=can_drop_caches())}\n", flush=True)
    print(report_reads([(count, *reads(count)) for count in map(int, files.split(",")) if count]))
    return len(misses(points))


def row(point: Point) -> str:
    """Return one line of the table."""
    seconds = (point.outage_s, point.stop_s, point.attach_s, point.copy_s)
    return f"| {point.files:,} | {point.mib:,} | " + " | ".join(f"{one:.2f}" for one in seconds) + " |"


def growth(points: list[Point]) -> tuple[float, float]:
    """Return by how many seconds the outage grows per million files and per GiB, by least squares."""
    by_files = [(one.files / MILLION, one.outage_s) for one in points if not one.mib]
    by_bytes = [(one.mib / GIB_MIB, one.outage_s) for one in points if not one.files]
    return tuple(slope(found) if len({x for x, _ in found}) > 1 else 0.0 for found in (by_files, by_bytes))  # type: ignore[return-value]


def misses(points: list[Point]) -> list[str]:
    """Return what is not as it must be."""
    per_million, _ = growth(points)
    too_slow = per_million > LIMIT_S_PER_MILLION
    return [f"{per_million:.1f} s per million files, at most {LIMIT_S_PER_MILLION:g} wanted"] if too_slow else []


def report(points: list[Point], *, cold: bool) -> str:
    """Return the table and the growth, and how far it was extrapolated."""
    per_million, per_gib = growth(points)
    most = max(one.files for one in points)
    head = (
        "| files added | MiB added | outage s | to unmount s | attach and verify s | rollback point s (not counted) |"
    )
    lines = [head, "|---|---|---|---|---|---|", *(row(one) for one in points), ""]
    how = "cold (caches dropped)" if cold else "warm (caches can be dropped as root only)"
    lines.append(f"metadata is read warm on the source and {how} on the target")
    lines.append(f"{per_million:.1f} s per million files, extrapolated from at most {most:,}; {per_gib:.2f} s per GiB")
    return "\n".join(lines)


def can_drop_caches() -> bool:
    """Return whether this process may drop the kernel's caches."""
    return os.geteuid() == 0 and os.access(DROP_CACHES, os.W_OK)


def reads(files: int) -> tuple[float, float]:
    """Read the metadata of so many files twice, as a host does in the outage but outside the sandbox.

    Args:
        files: How many small files.

    Returns:
        Seconds of the incremental manifest with warm caches, and with cold ones; each also reads the hot manifest,
        which the target does not, so the second is rather too long.
    """
    base = Path(tempfile.mkdtemp(prefix="runbook-reads-"))
    try:
        bench, seconds = Bench(base / "files", base / "store"), []
        make_files(bench.folder, files, FILE_BYTES)
        time.sleep(1)  # younger files would be hashed again
        bench.result(bench.build("hot"))
        for name, cold in (("warm", False), ("cold", True)):
            if cold:
                drop(bench.folder)
            started = time.monotonic()
            bench.result(bench.build(name, previous="hot"))
            seconds.append(time.monotonic() - started)
        return seconds[0], seconds[1]
    finally:
        shutil.rmtree(base)


def report_reads(measured: list[tuple[int, float, float]]) -> str:
    """Return the table of the two reads outside the sandbox, and their growth."""
    lines = ["| files | warm s | cold s |", "|---|---|---|"]
    lines += [f"| {files:,} | {warm:.2f} | {cold:.2f} |" for files, warm, cold in measured]
    if len(measured) > 1:
        per_million = slope([(files / MILLION, warm + cold) for files, warm, cold in measured])
        lines.append(f"\noutside the sandbox both reads take {per_million:.1f} s per million files")
    return "\n".join(lines)


def _point(files: int, mib: int, latency: str) -> Point:
    def fill(sandbox: Any, migration: dict[str, Any]) -> None:
        add_files(sandbox.state_dir / "volumes" / migration["volume"]["volume_id"] / "fs" / "added", files, mib)

    with prepared(latency, fill=fill) as estate, _settled_copy(estate) as pauses:
        one = cut_over(OURS, estate, Latency.named(latency).ssm_delivery_s)
    copy_s = one.phases.get(NOT_COUNTED, 0.0) + sum(pauses)
    phases = (one.phases.get("stop and unmount", 0.0), one.phases.get("attach", 0.0))
    return Point(files, mib, one.gap.seconds - copy_s, copy_s, *phases)


def add_files(folder: Path, files: int, mib: int) -> None:
    """Write small files, a thousand a folder, and one large file."""
    folder.mkdir()
    for number in range(files):
        if number % FOLDER_FILES == 0:
            below = folder / f"{number // FOLDER_FILES:04}"
            below.mkdir()
        (below / f"file-{number:07}.dat").write_bytes(os.urandom(FILE_BYTES))
    with (folder / "large.dat").open("wb") as stream:
        for _ in range(mib):
            stream.write(os.urandom(BLOCK))
    os.sync()


@contextmanager
def _settled_copy(estate: Estate) -> Iterator[list[float]]:
    """Suspend the run once it has its rollback point, until the disk has it too and nothing is cached any more.

    Yields:
        Where the seconds of that pause are put.
    """
    ended, pauses = threading.Event(), []
    watcher = threading.Thread(target=_settle, args=(estate, ended, pauses), daemon=True)
    if can_drop_caches():
        watcher.start()
    try:
        yield pauses
    finally:
        ended.set()


def _settle(estate: Estate, ended: threading.Event, pauses: list[float]) -> None:
    while not ended.wait(POLL_S):
        steps = [(one.get("step_id"), one.get("status")) for one in estate.journal()]
        if ("create-rollback-point", "succeeded") in steps:
            pauses.append(_suspended(_run_of(estate), _settle_disk))
            return


def _run_of(estate: Estate) -> list[int]:
    """Return the processes of the command of ours that runs: it and its kernel."""
    found = [pid for pid in process_tree.tree(os.getpid())[1:] if estate.run_id in _words(pid)]
    return process_tree.tree(found[0])


def _words(pid: int) -> str:
    """Return the command line of a process, "" when it has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


def _suspended(pids: list[int], do: Callable[[], None]) -> float:
    """Do something while processes are suspended; return how many seconds they were."""
    started = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        do()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    return time.monotonic() - started


def _settle_disk() -> None:
    os.sync()
    DROP_CACHES.write_text("3\n")
