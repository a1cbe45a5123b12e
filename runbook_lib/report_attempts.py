"""What the journal says of each step and of each attempt at a notebook; pure.

A dry run never hides what an executing one did: what was only planned counts where nothing was executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.model import Event


@dataclass(frozen=True)
class StepRecord:
    """The last word of the journal on one step.

    Args:
        seq: Number of that event.
        execute: Whether it was written while the run executed.
        attempts: How often the step began.
        started_utc: RFC 3339 time of its first observation.
        ended_utc: RFC 3339 time of the event.
        fields: The event's fields.
    """

    seq: int
    execute: bool
    attempts: int
    started_utc: str
    ended_utc: str
    fields: dict[str, Any]

    @property
    def step_id(self) -> str:
        """The step."""
        return str(self.fields.get("step_id", ""))

    @property
    def notebook(self) -> str:
        """The notebook the step belongs to."""
        return str(self.fields.get("notebook", ""))

    @property
    def status(self) -> str:
        """Its state."""
        return str(self.fields.get("status", ""))


@dataclass(frozen=True)
class Attempt:
    """One run of one notebook, or one session of somebody in JupyterLab.

    Args:
        seq: Number of the event that began it.
        execute: Whether it executed.
        started_utc: RFC 3339 time.
        fields: Fields of `notebook-started` and `notebook-finished` together; no `notebook` for a session by hand.
        closed: Whether the notebook came to its last cell.
        end_seq: Number of the newest event that says something of its end; 0 while there is none.
    """

    seq: int
    execute: bool
    started_utc: str
    fields: dict[str, Any]
    closed: bool = False
    end_seq: int = 0

    @property
    def notebook(self) -> str:
        """The notebook, "" for a session by hand."""
        return str(self.fields.get("notebook", ""))

    @property
    def status(self) -> str:
        """`completed`, `failed`, `interrupted`, or `open` when its end was never recorded."""
        return str(self.fields.get("status") or ("completed" if self.closed else "open"))


def step_records(events: Sequence[Event]) -> list[StepRecord]:
    """Return the last word on each step, in the order in which the steps first appeared.

    Args:
        events: The journal, oldest first.

    Returns:
        One record per step.
    """
    records: dict[tuple[str, str], StepRecord] = {}
    execute = False
    for event in events:
        if event.kind == "run-opened":
            execute = bool(event.fields.get("execute"))
        if event.kind != "step":
            continue
        key = (str(event.fields.get("notebook", "")), str(event.fields.get("step_id", "")))
        former = records.get(key)
        began = former is None or former.status != "running" or former.execute != execute
        attempts = (former.attempts if former else 0) + began
        if former and former.execute and not execute:
            continue
        started = began_utc(event.at_utc, float(event.fields.get("duration_s") or 0))
        records[key] = StepRecord(event.seq, execute, attempts, started, event.at_utc, event.fields)
    return list(records.values())


def began_utc(ended_utc: str, duration_s: float) -> str:
    """Return when something began.

    Args:
        ended_utc: RFC 3339 time of its end.
        duration_s: How long it took.

    Returns:
        RFC 3339 time.
    """
    return (datetime.fromisoformat(ended_utc) - timedelta(seconds=duration_s)).isoformat(timespec="milliseconds")


def attempts(events: Sequence[Event]) -> list[Attempt]:
    """Return every run of a notebook and every session by hand, oldest first.

    Args:
        events: The journal, oldest first.

    Returns:
        One attempt per `notebook-started`, and per `run-opened` outside of these.
    """
    found: list[Attempt] = []
    execute = False
    for event in events:
        inside = bool(found) and "notebook" in found[-1].fields and "status" not in found[-1].fields
        if event.kind == "run-opened":
            execute = bool(event.fields.get("execute"))
            if not inside:
                found.append(Attempt(event.seq, execute, event.at_utc, {}))
        elif event.kind == "notebook-started":
            if (
                found
                and "notebook" not in found[-1].fields
                and not found[-1].closed
                and _is_empty(events, found[-1].seq, event.seq)
            ):
                found.pop()  # the runner opened the run for its notebooks
            acts = bool(event.fields.get("execute", execute))
            found.append(Attempt(event.seq, acts, event.at_utc, dict(event.fields)))
        elif event.kind in {"run-closed", "notebook-finished"} and found:
            last = found[-1]
            fields = last.fields | (event.fields if event.kind == "notebook-finished" else {})
            found[-1] = Attempt(last.seq, last.execute, last.started_utc, fields, closed=True, end_seq=event.seq)
    return found


def _is_empty(events: Sequence[Event], after_seq: int, before_seq: int) -> bool:
    """Return whether no step was performed between two events."""
    return not any(event.kind == "step" and after_seq < event.seq < before_seq for event in events)
