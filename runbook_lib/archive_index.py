"""Every run of an archive, quickly: an index remembers what each journal said, for as long as it is that very journal.

The index is one file in the archive, written whole or not at all, so that several processes may write it: the last one
wins, and what it did not know is read again. It is a memory, never a source: a row counts only while size, times and
inode of the run's journal are those it was made from, and the whole file only while its own digest holds and the code
that makes rows is the same. Without it, or when it cannot be written, every journal is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

from runbook_lib.archive_running import living
from runbook_lib.archive_summary import RunSummary, summarize
from runbook_lib.journal import JOURNAL_NAME
from runbook_lib.model import RunStatus
from runbook_lib.report_running import RUNNING, Process

INDEX_NAME = ".index.jsonl"
Stamp = tuple[int, int, int, int]
"""Size, modification time, change time (both in ns) and inode of a journal."""

_NAMES_A_PART, _THREADS = 250, 8
_SETTLED_NS = 2_000_000_000
"""A journal that changed so shortly before it was read may have changed once more, after that, within one tick of the
filesystem's clock; git's index knows the same doubt. By that clock the index is as old as the reading."""
_MAKERS = (
    "approval.py",
    "approval_digest.py",
    "archive_summary.py",
    "journal.py",
    "journal_files.py",
    "model.py",
    "report_attempts.py",
    "report_failure.py",
    "report_notebooks.py",
    "report_outage.py",
    "report_running.py",
    "report_status.py",
)
_NOTEBOOKS, _PROCESSES = (RunSummary._fields.index(name) for name in ("notebooks", "processes"))

Reader = Callable[[Sequence[Path]], Iterable[RunSummary]]


def list_runs(directory: Path, *, rebuild: bool = False, read: Reader | None = None) -> list[RunSummary]:
    """Return every run of an archive.

    Args:
        directory: The archive directory, usually `runs`.
        rebuild: Whether to read every journal, whatever the index says.
        read: Returns the summaries of run folders, in their order; None reads one after the other.

    Returns:
        One summary per folder that has a journal, newest first; `running` where a process of this machine is at it.

    Changes:
        The index file, where the archive can be written; nothing else.
    """
    stamps = _stamps(directory)
    known = {} if rebuild else _load(directory / INDEX_NAME)
    found = {name: known[name][1] for name, stamp in stamps.items() if name in known and known[name][0] == stamp}
    missing = [name for name in stamps if name not in found]
    if missing or len(known) != len(stamps):
        with _new_index(directory / INDEX_NAME) as rows:
            folders = [directory / name for name in missing]
            found |= zip(missing, read(folders) if read else map(summarize, folders), strict=True)
            rows += [(stamps[name], found[name]) for name in stamps]
    return [_at_this_moment(found[name]) for name in sorted(stamps, reverse=True)]


def _at_this_moment(run: RunSummary) -> RunSummary:
    """Return the run as `running` while one of its processes lives, whatever a journal without an end amounts to."""
    if run.status == RunStatus.WAITING or not living(run.processes):
        return run
    return run._replace(status=RUNNING)


def _stamps(directory: Path) -> dict[str, Stamp]:
    """Return what identifies the journal of each run at this moment.

    Several threads ask, because a cold filesystem answers each of ten thousand questions only after a while.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 - the names alone, of ten thousand folders
    except (FileNotFoundError, NotADirectoryError):
        return {}
    parts = [names[first : first + _NAMES_A_PART] for first in range(0, len(names), _NAMES_A_PART)]
    if len(parts) < 2:  # noqa: PLR2004 - threads help from two parts on
        return _stamps_of(directory, names)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(partial(_stamps_of, directory), parts)
        return {name: stamp for part in found for name, stamp in part.items()}


def _stamps_of(directory: Path, names: Sequence[str]) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    for name in names:
        try:
            status = os.stat(f"{directory}/{name}/{JOURNAL_NAME}")  # noqa: PTH116 - a Path each would cost as much again
        except OSError:
            continue
        found[name] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return found


def _load(path: Path) -> dict[str, tuple[Stamp, RunSummary]]:
    """Return the rows of the index that may be believed, none when it is missing, damaged, or of another release."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        read_ns = path.stat().st_mtime_ns
        if json.loads(head) != _head(body):
            return {}
        rows = [_row(*row) for row in json.loads(b"[" + b",".join(body.splitlines()) + b"]")]
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return {}
    return {row[1].run_id: row for row in rows if max(row[0][1], row[0][2]) + _SETTLED_NS < read_ns}


def _row(stamp: list[int], values: list[Any]) -> tuple[Stamp, RunSummary]:
    size, modified_ns, changed_ns, inode = stamp
    values[_NOTEBOOKS] = tuple(values[_NOTEBOOKS])
    values[_PROCESSES] = tuple(Process(*process) for process in values[_PROCESSES])
    return (size, modified_ns, changed_ns, inode), RunSummary(*values)


@contextlib.contextmanager
def _new_index(path: Path) -> Iterator[list[tuple[Stamp, RunSummary]]]:
    """Write the index with the rows that the block makes; its time is when the block began to read journals.

    Yields:
        The list that takes the rows. When the block fails, or nothing can be written, the index stays as it was.
    """
    rows: list[tuple[Stamp, RunSummary]] = []
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        unfinished.touch()
    except OSError:  # an auditor's copy may be read-only
        yield rows
        return
    try:
        began_ns = unfinished.stat().st_mtime_ns
        yield rows
        with contextlib.suppress(OSError):
            _write(unfinished, rows)
            os.utime(unfinished, ns=(began_ns, began_ns))
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(path: Path, rows: Sequence[tuple[Stamp, RunSummary]]) -> None:
    line = partial(json.dumps, separators=(",", ":"))
    body = "".join(f"{line(row)}\n" for row in rows).encode()
    path.write_bytes(json.dumps(_head(body)).encode() + b"\n" + body)


def _head(body: bytes) -> dict[str, str]:
    return {"made_by": _makers_digest(), "sha256": hashlib.sha256(body).hexdigest()}


@cache
def _makers_digest() -> str:
    """Return what identifies the code that turns a journal into a row."""
    sources = [Path(__file__).with_name(name).read_bytes() for name in (*_MAKERS, "archive_index.py")]
    return hashlib.sha256(b"\0".join(hashlib.sha256(source).digest() for source in sources)).hexdigest()
