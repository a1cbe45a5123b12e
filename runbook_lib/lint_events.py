"""What the rules ask of a journal: where something stands, what acted, what changed last; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runbook_lib.journal import JOURNAL_NAME
from runbook_lib.model import Event

RESTARTS = ("restart-task", "replace-instance")
"""Steps that change what runs although the service is meant to be up; each is followed by a proof of its own."""
HAND_OVERS = {"detach-volume": "stop-source-service", "hand-volume-over": "stop-service-for-change"}
"""Steps after which another host may write to the volume, and the step that stopped the service before."""


def where(event: Event) -> str:
    """Return where an event stands, as a person looks it up.

    Args:
        event: The event.

    Returns:
        For example `journal.jsonl line 12 (step detach-volume)`.
    """
    name = event.fields.get("step_id") or event.fields.get("phase") or event.fields.get("notebook") or ""
    return f"{JOURNAL_NAME} line {event.seq} ({f'{event.kind} {name}'.strip()})"


def opened(events: Sequence[Event]) -> list[Event]:
    """Return every time the run was opened to execute; when it never was, every time it was opened to plan.

    Args:
        events: The journal, oldest first.

    Returns:
        `run-opened` events, oldest first.
    """
    every = [event for event in events if event.kind == "run-opened"]
    return [event for event in every if event.fields.get("execute")] or every


def acts(events: Sequence[Event], step_ids: Collection[str] = (), *, notebook: str = "") -> list[Event]:
    """Return the beginnings of acts: a step is `running` only when the run executes and every check has passed.

    Args:
        events: The journal, oldest first.
        step_ids: Of these steps; none means of all.
        notebook: Of this notebook; "" means of all.

    Returns:
        `step` events, oldest first.
    """
    return [
        event
        for event in events
        if event.kind == "step"
        and event.fields.get("status") == "running"
        and (not step_ids or event.fields.get("step_id") in step_ids)
        and (not notebook or event.fields.get("notebook") == notebook)
    ]


def hand_overs(events: Sequence[Event]) -> list[Event]:
    """Return every time the volume was about to change hands.

    Args:
        events: The journal, oldest first.

    Returns:
        `step` events, oldest first.
    """
    return acts(events, HAND_OVERS)


def last_change(events: Sequence[Event]) -> Event | None:
    """Return the end of the last act that interrupted the service, or its beginning when it has no end.

    Args:
        events: The journal, oldest first.

    Returns:
        A `step` event, or None when no act interrupted the service.
    """
    began = [event for event in acts(events) if event.fields.get("in_outage") or event.fields["step_id"] in RESTARTS]
    if not began:
        return None
    last = began[-1]
    same = [
        e for e in events if e.kind == "step" and e.seq > last.seq and e.fields.get("step_id") == last.fields["step_id"]
    ]
    ends = [event for event in same if event.fields.get("status") in {"succeeded", "failed"}]
    return ends[0] if ends else last
