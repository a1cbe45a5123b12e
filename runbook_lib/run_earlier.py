"""How long the steps took in earlier runs of the same migration, so that somebody who waits knows how long."""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path

from runbook_lib.errors import JournalError
from runbook_lib.journal import read_events
from runbook_lib.report_card import durations

_RUNS = 5


@functools.cache
def earlier_durations(folder: Path) -> dict[str, list[float]]:
    """Return how long each step took in the newest earlier runs that lie beside a run; read once in a process.

    Args:
        folder: The run folder.

    Returns:
        Seconds by step id, of the five newest runs that acted; a run that cannot be read is passed over.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    read = 0
    for other in sorted(folder.parent.glob(f"*-{_name(folder)}-*"), reverse=True):
        if other.name >= folder.name or _name(other) != _name(folder):
            continue
        try:
            took = durations(read_events(other / "journal.jsonl"))
        except (JournalError, OSError):
            continue
        for step_id, took_s in took.items():
            found[step_id].append(took_s)
        read += bool(took)
        if read == _RUNS:
            break
    return dict(found)


def _name(folder: Path) -> str:
    """Return the migration's name out of a run id, `TIME-NAME-CHARACTERS`."""
    return folder.name.partition("-")[2].rpartition("-")[0]
