"""The run folder: the append-only journal and every other file of a run.

The only writer of a run's files. One event per line, each line carrying the SHA-256 of the line before it;
every append is fsync'd before the caller goes on. It never alters a line that was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from runbook_lib.errors import JournalError
from runbook_lib.journal_files import is_of_record
from runbook_lib.model import Event, StepStatus
from runbook_lib.scrub import SECRETS

JOURNAL_NAME = "journal.jsonl"
SUMS_NAME = "SHA256SUMS"
SIGNATURE_NAME, KMS_SIGNATURE_NAME = "SHA256SUMS.sig", "SHA256SUMS.kms.json"
RECEIPTS_NAME = "receipts.json"
FIRST_PREVIOUS = "0" * 64
_RESERVED = {"seq", "at_utc", "kind", "previous_sha256"}


def encode_event(event: Event) -> bytes:
    """Return the event as one journal line without its newline.

    Args:
        event: The event.

    Returns:
        UTF-8 JSON with sorted keys; `surrogateescape` bytes of odd file names survive as escapes.
    """
    line = {
        "seq": event.seq,
        "at_utc": event.at_utc,
        "kind": event.kind,
        **event.fields,
        "previous_sha256": event.previous_sha256,
    }
    return json.dumps(line, sort_keys=True, separators=(",", ":")).encode()


def decode_event(line: bytes) -> Event:
    """Return the event that a journal line holds.

    Args:
        line: One line without its newline.

    Returns:
        The event.

    Raises:
        ValueError: when the line is not a JSON object with the keys every event has.
    """
    data = json.loads(line)
    try:
        seq, at_utc, kind, previous = (data.pop(key) for key in ("seq", "at_utc", "kind", "previous_sha256"))
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"not a journal line: {error}") from error
    return Event(seq, at_utc, kind, data, previous)


def read_events(path: Path) -> list[Event]:
    """Return every event of a journal, oldest first, after checking its chain.

    Args:
        path: The `journal.jsonl`. A last line without newline (a write that was cut off) is left out.

    Returns:
        One Event per line, oldest first.

    Raises:
        JournalError: when a line is not an event, or its number or previous digest does not fit.
    """
    return _decode_events(path, path.read_bytes() if path.exists() else b"", 0, FIRST_PREVIOUS)


def _decode_events(path: Path, content: bytes, known: int, previous: str) -> list[Event]:
    """Return the events of a journal's last lines, which follow `known` events and the line with digest `previous`."""
    events: list[Event] = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=known + 1):
        try:
            event = decode_event(line)
        except ValueError as error:
            raise JournalError(
                f"{path} line {number}: expected a journal event, found {line[:80]!r}: {error}"
            ) from None
        if event.seq != number or event.previous_sha256 != previous:
            raise JournalError(
                f"{path} line {number}: expected seq {number} after digest {previous[:12]}…, "
                f"found seq {event.seq} after {event.previous_sha256[:12]}…; the journal was altered. "
                "Restore it from the archive."
            )
        events.append(event)
        previous = hashlib.sha256(line).hexdigest()
    return events


class Journal:
    """The files of one run.

    Args:
        folder: The run folder, `runs/<run_id>`; made when missing.
        now: Returns the present time in UTC.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self.folder = folder
        self.run_id = folder.name
        self.now = now
        self.path = folder / JOURNAL_NAME
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".lock")
        self._read_lock = threading.Lock()
        self._read, self._read_events = b"", list[Event]()  # whole lines that were checked, and the events in them

    def append(self, kind: str, /, **fields: Any) -> Event:
        """Add one event and wait until it is on the disk.

        Args:
            kind: What happened, for example `step`; docs/run-record.md lists the kinds.
            **fields: JSON-able values.

        Returns:
            The event as written: without secrets.

        Changes:
            The journal file. A torn last line, left by a killed process, is moved to `journal.torn` first.
        """
        if reserved := _RESERVED & set(fields):
            raise ValueError(f"event fields may not be called {sorted(reserved)}")
        at_utc = self.now().isoformat(timespec="microseconds")
        with self._lock, self.path.open("ab+") as stream:
            last = self._last_line(stream)
            seq = decode_event(last).seq + 1 if last else 1
            previous = hashlib.sha256(last).hexdigest() if last else FIRST_PREVIOUS
            event = Event(seq, at_utc, kind, SECRETS.value(fields), previous)
            stream.write(encode_event(event) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        return event

    def _last_line(self, stream: Any) -> bytes:
        """Return the last whole line; cut off a torn one and keep its bytes in `journal.torn`."""
        end = stream.seek(0, os.SEEK_END)
        tail = b""
        while end > 0 and tail.count(b"\n") < 2:  # noqa: PLR2004 - the newline before the last line and its own
            start = max(0, end - 65536)
            stream.seek(start)
            tail = stream.read(end - start) + tail
            end = start
        whole, _, torn = tail.rpartition(b"\n")
        if torn:
            with (self.folder / "journal.torn").open("ab") as keep:
                keep.write(torn + b"\n")
            stream.truncate(stream.seek(0, os.SEEK_END) - len(torn))
        return bytes(whole.rpartition(b"\n")[2])

    def events(self) -> list[Event]:
        """Return every event, oldest first; only lines after those that were checked before are decoded.

        Raises:
            JournalError: when the chain does not hold.
        """
        content = self.path.read_bytes() if self.path.exists() else b""
        with self._read_lock:
            if not content.startswith(self._read):  # not byte for byte what was checked: all of it is checked again
                self._read, self._read_events = b"", []
            more = content[len(self._read) : content.rfind(b"\n") + 1]
            last = self._read.rstrip(b"\n").rpartition(b"\n")[2]
            previous = hashlib.sha256(last).hexdigest() if last else FIRST_PREVIOUS
            self._read_events += _decode_events(self.path, more, len(self._read_events), previous)
            self._read += more
            return list(self._read_events)

    def find(self, kind: str, /, **match: Any) -> Iterator[Event]:
        """Yield events of one kind whose fields have the given values, newest first.

        Args:
            kind: Kind of event.
            **match: Field values that must be equal.

        Yields:
            Matching events, newest first.
        """
        for event in reversed(self.events()):
            if event.kind == kind and all(event.fields.get(key) == value for key, value in match.items()):
                yield event

    def last(self, kind: str, /, **match: Any) -> Event | None:
        """Return the newest event of one kind whose fields have the given values.

        Args:
            kind: Kind of event.
            **match: Field values that must be equal.

        Returns:
            The event, or None.
        """
        return next(self.find(kind, **match), None)

    def step_status(self, step_id: str) -> StepStatus | None:
        """Return the last recorded state of a step in this run.

        Args:
            step_id: The step.

        Returns:
            Its state, or None when this run never came to it.
        """
        event = self.last("step", step_id=step_id)
        return StepStatus(event.fields["status"]) if event else None

    def write(self, relative_path: str, content: bytes | str) -> str:
        """Write one file of the run, whole or not at all.

        Args:
            relative_path: Path below the run folder.
            content: The bytes, or text to encode as UTF-8.

        Returns:
            SHA-256 of the bytes in hex, which are without secrets.

        Changes:
            The file, replaced atomically and fsync'd.
        """
        data = SECRETS.file(relative_path, content)
        target = self.folder / relative_path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
        return hashlib.sha256(data).hexdigest()

    def read(self, relative_path: str) -> bytes:
        """Return the bytes of one file of the run.

        Args:
            relative_path: Path below the run folder.

        Returns:
            The file's content.

        Raises:
            JournalError: when this run has no such file.
        """
        try:
            return (self.folder / relative_path).read_bytes()
        except FileNotFoundError:
            raise JournalError(f"run {self.run_id} has no file {relative_path}") from None

    def seal(self) -> str:
        """Write SHA256SUMS over every file of the run, in `sha256sum -c` format.

        Returns:
            SHA-256 of the SHA256SUMS file in hex: the digest of the whole record.

        Changes:
            SHA256SUMS. Signatures of another SHA256SUMS are taken away: they would say that the record was altered.
        """
        lines, path = [], self.folder / SUMS_NAME
        for file in sorted(p for p in self.folder.rglob("*") if p.is_file() and is_of_record(p, self.folder)):
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            lines.append(f"{digest}  {file.relative_to(self.folder).as_posix()}\n")
        sums = "".join(lines).encode("utf-8", "surrogateescape")
        if not path.is_file() or path.read_bytes() != sums:
            self.remove(SIGNATURE_NAME)
            self.remove(KMS_SIGNATURE_NAME)
        return self.write(SUMS_NAME, sums)

    def remove(self, relative_path: str) -> None:
        """Delete a file that must not stay in the record, such as a binary plan.

        Args:
            relative_path: Path below the run folder; may be missing.

        Changes:
            The file is gone.
        """
        with contextlib.suppress(FileNotFoundError):
            (self.folder / relative_path).unlink()
