"""Whether a record's reports say what its journal says: they are made anew, and compared. Reads a run folder only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from runbook_lib.journal import encode_event
from runbook_lib.model import Event
from runbook_lib.report_release import release
from runbook_lib.scrub import SECRETS

_LEFT_OUT = re.compile(rb"\(secret: [^)\n]*\)")


def compare_report(folder: Path, events: Sequence[Event]) -> Iterator[str]:
    """Yield what of a record's reports does not fit its journal.

    Args:
        folder: The run folder.
        events: Its journal, oldest first.

    Yields:
        Problems. None when a report is missing or cannot be read, which the list of digests tells; and none of what
        another release wrote, because it may say the same in other words.
    """
    path = folder / "report.json"
    if not path.is_file() or not events:  # a pipe would keep whoever reads it waiting
        return
    try:
        report = json.loads(path.read_bytes())
        made_from, run_id = report["journal"], report["run_id"]
        last = made_from.get("last_sha256")
    except OSError:
        return
    except (ValueError, KeyError, TypeError, AttributeError):
        yield "report.json: altered: it names no journal"
        return
    if last != hashlib.sha256(encode_event(events[-1])).hexdigest():
        yield (
            f"report.json: made from {made_from.get('events')} events, the journal has {len(events)}; "
            "the journal was cut, or went on after the report: `runbook report` writes it anew"
        )
        return
    if run_id not in {events[0].fields.get("run_id", run_id), folder.resolve().name}:
        yield f"report.json: altered: it is about {run_id!r}"
    elif is_of_this_release(folder):
        yield from _other_words(folder, events, run_id)


def is_of_this_release(folder: Path) -> bool:
    """Return whether a record's report was written by the same code as this, so that it can be made anew.

    Args:
        folder: The run folder.

    Returns:
        False also when it is missing, or does not say.
    """
    path = folder / "report.json"
    try:
        return path.is_file() and bool(json.loads(path.read_bytes())["versions"]["report"] == release())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _other_words(folder: Path, events: Sequence[Event], run_id: str) -> Iterator[str]:
    from runbook_lib.report import build_report, report_files  # noqa: PLC0415 - templates are slow to import

    for name, text in report_files(build_report(events, run_id)).items():
        try:
            same = not (folder / name).is_file() or _is_same((folder / name).read_bytes(), SECRETS.file(name, text))
        except OSError:
            continue
        if not same:
            yield f"{name}: altered; the journal gives another one"


def _is_same(found: bytes, made: bytes) -> bool:
    """Return whether a file is what is made now, but for secrets that only the process knew that wrote it."""
    first, *others = _LEFT_OUT.split(found)
    if not others or not made.startswith(first):
        return found == made
    position = len(first)
    for part in others:
        position = made.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return made.endswith(others[-1])
