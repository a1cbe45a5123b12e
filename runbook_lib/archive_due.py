"""Whether a scheduled run was missed: whether its notebooks were begun since it was due. Reads journals only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePath

from runbook_lib.errors import JournalError
from runbook_lib.journal import JOURNAL_NAME, read_events
from runbook_lib.model import Event


def begun_since(directory: Path, name: str, notebooks: Sequence[str], due_utc: datetime, *, execute: bool) -> str:
    """Return the run in which notebooks were begun at or after a moment.

    Args:
        directory: The archive.
        name: Name of the migration.
        notebooks: Names of the notebooks, in order.
        due_utc: The moment.
        execute: Whether they were to act; one that only planned is no substitute for one that acts.

    Returns:
        Its id, or "" when there is none.
    """
    since = f"{due_utc:%Y%m%dT%H%M%SZ}"
    for folder in sorted(directory.glob(f"*Z-{name}-*"), reverse=True):
        if folder.name < since:
            break
        try:
            events = read_events(folder / JOURNAL_NAME)
        except JournalError:  # an altered record proves nothing
            continue
        if any(_asks_for(event, notebooks, execute=execute) for event in events):
            return folder.name
    return ""


def _asks_for(event: Event, notebooks: Sequence[str], *, execute: bool) -> bool:
    if event.kind != "notebooks-requested" or event.fields.get("execute") is not execute:
        return False
    return [PurePath(name).stem for name in event.fields["notebooks"]] == [PurePath(name).stem for name in notebooks]
