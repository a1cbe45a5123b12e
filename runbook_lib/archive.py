"""Whether the record of a run is still what was written.

Reads run folders; it never writes one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runbook_lib.archive_report import compare_report, is_of_this_release
from runbook_lib.archive_running import living
from runbook_lib.errors import JournalError
from runbook_lib.journal import (
    FIRST_PREVIOUS,
    JOURNAL_NAME,
    SUMS_NAME,
    decode_event,
    encode_event,
    read_events,
)
from runbook_lib.journal_files import is_of_record
from runbook_lib.model import Event
from runbook_lib.report_record import build_report
from runbook_lib.report_running import open_processes

_SUM = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[^/].*)")
_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]+-[0-9a-f]{4}")


@dataclass(frozen=True)
class Verification:
    """Whether a run's record is intact.

    Args:
        folder: The run folder.
        problems: What is altered, missing or added, the first one first; empty when the record is intact.
        files: How many files were compared with their digests.
        events: How many journal lines were followed.
        digest: SHA-256 of SHA256SUMS in hex, which stands for the whole record; "" when it is missing.
        open_at: Hosts on which the run may still be under way, because its journal records no end.
        report_compared: Whether what the reports say was compared with the journal; another release's words may differ.
        under_way: Whether a process of this machine is at it, and nothing was found but what that explains: a journal
            that goes on, files that are not sealed yet.
    """

    folder: Path
    problems: tuple[str, ...]
    files: int
    events: int
    digest: str = ""
    open_at: tuple[str, ...] = ()
    report_compared: bool = False
    under_way: bool = False

    @property
    def intact(self) -> bool:
        """Return whether nothing was found."""
        return not self.problems


def verify(folder: Path) -> Verification:
    """Compare a run's record with the digests it carries.

    Follows the journal's chain line by line, compares parameters and evidence with the digests in the journal, the
    report with the journal, and every file with SHA256SUMS. Somebody who rewrites everything and seals it anew is not
    noticed here; for that, keep the record's digest elsewhere, or sign it.

    Args:
        folder: The run folder.

    Returns:
        What was found.
    """
    journal = folder / JOURNAL_NAME
    if not journal.is_file():
        return Verification(folder, (f"{journal}: missing; expected a run folder with a journal",), 0, 0)
    try:
        events, problems = _follow_chain(journal)
    except OSError as error:
        return Verification(folder, (f"{JOURNAL_NAME}: cannot be read: {error.strerror}",), 0, 0)
    if not problems:
        problems = [*_compare_name(folder, events), *_compare_with_journal(folder, events)]
    # only where the run is: a copy of it, wherever it lies, is whole or it is not
    at_it = open_processes(events) if events and folder.resolve().name == events[0].fields.get("run_id") else ()
    under_way = not problems and bool(living(at_it)) and _goes_on(folder, events)
    if not problems:
        problems = list(compare_report(folder, events))
    sums, more = _compare_with_sums(folder)
    path = folder / SUMS_NAME
    return Verification(
        folder,
        tuple(dict.fromkeys([*problems, *more])),
        sums,
        len(events),
        _digest(path) if sums else "",
        tuple(dict.fromkeys(process.host for process in at_it)),
        is_of_this_release(folder),
        under_way,
    )


def _follow_chain(path: Path) -> tuple[list[Event], list[str]]:
    """Return the events up to the first line that does not fit, and what is wrong with it."""
    *lines, rest = path.read_bytes().split(b"\n")
    events: list[Event] = []
    previous = FIRST_PREVIOUS
    for number, line in enumerate(lines, start=1):
        try:
            event = decode_event(line)
        except ValueError as error:
            return events, [f"{path.name} line {number}: altered: {error}"]
        if event.seq != number:
            what = "a line is missing before it" if event.seq > number else "a line was added or repeated"
            return events, [f"{path.name} line {number}: expected event {number}, found {event.seq}: {what}"]
        if encode_event(event) != line:
            return events, [f"{path.name} line {number}: altered: other bytes than the run wrote for what it says"]
        if event.previous_sha256 != previous:
            before = f"line {number - 1} was altered" if number > 1 else "the first line was altered"
            return events, [f"{path.name} line {max(number - 1, 1)}: {before} after line {number} was written"]
        events.append(event)
        previous = hashlib.sha256(line).hexdigest()
    if rest:
        return events, [f"{path.name} line {len(lines) + 1}: cut off; a write did not finish"]
    return events, [] if events else [f"{path.name}: empty"]


def _compare_name(folder: Path, events: list[Event]) -> Iterator[str]:
    """Yield whether the folder has the name of another run; a record that was copied to a name of its own is fine."""
    name = folder.resolve().name
    run_id = events[0].fields.get("run_id", name)
    if _RUN_ID.fullmatch(name) and name != run_id:
        yield f"{JOURNAL_NAME}: the record of another run: expected {name}, found {run_id}"


def _compare_with_journal(folder: Path, events: list[Event]) -> Iterator[str]:
    """Yield the files whose digest differs from the one that the journal holds."""
    expected: dict[str, str] = {}
    for event in events:
        if event.kind == "run-opened" and event.fields.get("parameters_sha256"):
            expected["parameters.yaml"] = event.fields["parameters_sha256"]
        elif event.kind == "evidence":
            expected[event.fields["path"]] = event.fields["sha256"]
        elif event.kind == "notebook-finished" and event.fields.get("sha256"):
            expected[f"notebooks/{event.fields['notebook']}.{event.fields['attempt']}.ipynb"] = event.fields["sha256"]
        elif event.kind == "approval":
            expected[event.fields["page"]] = event.fields["page_sha256"]
    for path, digest in expected.items():
        if wrong := _wrong(folder / path, path, digest, "the journal"):
            yield wrong


def _goes_on(folder: Path, events: list[Event]) -> bool:
    """Return whether a journal only became longer since it was last sealed, and since the report was made from it.

    A process that lives explains what came after a seal. It never explains that what was sealed is not there any more.
    """
    sums, report = folder / SUMS_NAME, folder / "report.json"
    if sums.is_file():
        sealed, hashed = read_sums(sums)[0].get(JOURNAL_NAME), hashlib.sha256()
        lines = (folder / JOURNAL_NAME).read_bytes().splitlines(keepends=True)
        if sealed not in {_and_more(hashed, line) for line in lines}:
            return False
    if not report.is_file():
        return not sums.is_file()
    try:
        made_from = json.loads(report.read_bytes())["journal"]
        last = events[made_from["events"] - 1]
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    return bool(made_from["last_sha256"] == hashlib.sha256(encode_event(last)).hexdigest())


def _and_more(hashed: Any, line: bytes) -> str:
    """Return the digest of all that was hashed, and of one line more."""
    hashed.update(line)
    return str(hashed.hexdigest())


def _wrong(path: Path, name: str, digest: str, names_it: str) -> str:
    """Return what is wrong with a file, "" when it is what it was."""
    try:
        if not path.is_file():
            return f"{name}: missing; {names_it} names it"
        if path.is_symlink():
            return f"{name}: altered; it is a link to somewhere else, and the run wrote a file"
        return "" if _digest(path) == digest else f"{name}: altered; {names_it} has digest {digest[:12]}…"
    except OSError as error:
        return f"{name}: cannot be read: {error.strerror}"


def _compare_with_sums(folder: Path) -> tuple[int, list[str]]:
    """Return how many files fit SHA256SUMS, and every file that is altered, missing or added."""
    sealed, problem = read_sums(folder / SUMS_NAME)
    if problem:
        return 0, [problem]
    problems = []
    for name in sorted({*sealed, *_record_files(folder)}):
        if name not in sealed:
            problems.append(f"{name}: added; it is not in {SUMS_NAME}")
        elif wrong := _wrong(folder / name, name, sealed[name], SUMS_NAME):
            problems.append(wrong)
    return len(sealed), problems


def read_sums(path: Path) -> tuple[dict[str, str], str]:
    """Return the digests that a record was sealed with.

    Args:
        path: Its SHA256SUMS.

    Returns:
        Digest in hex by path, and what is wrong with the list itself, "" when nothing is.
    """
    if path.is_symlink():
        return {}, f"{SUMS_NAME}: altered; it is a link to somewhere else"
    if not path.is_file():
        return {}, f"{SUMS_NAME}: missing; the run was never sealed, or it was taken away"
    try:
        *lines, rest = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    except OSError as error:
        return {}, f"{SUMS_NAME}: cannot be read: {error.strerror}"
    sealed: dict[str, str] = {}
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        match = _SUM.fullmatch(line)
        if problem := _wrong_sum(match, line, sealed):
            return {}, f"{SUMS_NAME} line {number}: altered: {problem}"
        if match is not None:
            sealed[match["name"]] = match["digest"]
    return sealed, f"{SUMS_NAME}: cut off in its last line" if rest else ""


def _wrong_sum(match: re.Match[str] | None, line: str, before: dict[str, str]) -> str:
    """Return what is wrong with a line of the list, "" when it may follow those before it."""
    if match is None or ".." in match["name"].split("/"):
        return f"expected a digest and a path, found {line[:80]!r}"
    name = match["name"]
    if name in before:
        return f"{name} stands there twice"
    if before and PurePosixPath(name) < PurePosixPath(next(reversed(before))):
        return f"{name} does not stand where the run wrote it"
    return ""


def _record_files(folder: Path) -> Iterator[str]:
    """Yield the files that a seal covers, as `Journal.seal` does, and what cannot be one: links, wherever they lead."""
    for path in folder.rglob("*"):
        if (path.is_file() or path.is_symlink()) and is_of_record(path, folder):
            yield path.relative_to(folder).as_posix()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_report(folder: Path) -> dict[str, Any]:
    """Return the report of a run, made from its journal.

    Args:
        folder: The run folder.

    Returns:
        As `build_report`.

    Raises:
        JournalError: when there is no journal, or its chain does not hold.
    """
    if not (folder / JOURNAL_NAME).is_file():
        raise JournalError(f"no run in {folder}; `runbook list` shows what is there")
    return build_report(read_events(folder / JOURNAL_NAME), folder.name)
