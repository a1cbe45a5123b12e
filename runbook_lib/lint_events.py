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
        `step` events, oldest first; without those that only looked, or that say themselves that nothing changed.
    """
    return [
        event
        for event in events
        if event.kind == "step"
        and event.fields.get("status") == "running"
        and (not step_ids or event.fields.get("step_id") in step_ids)
        and (not notebook or event.fields.get("notebook") == notebook)
        and _changed(end_of(events, event))
    ]


def end_of(events: Sequence[Event], began: Event) -> Event | None:
    """Return how a step ended.

    Args:
        events: The journal, oldest first.
        began: Its `running` event.

    Returns:
        The next `step` event of the same step, or None when it was cut off for good.
    """
    names = [began.fields.get("notebook"), began.fields.get("step_id")]
    later = (e for e in events if e.seq > began.seq and e.kind == "step")
    return next((e for e in later if [e.fields.get("notebook"), e.fields.get("step_id")] == names), None)


def _changed(end: Event | None) -> bool:
    """Return whether a step with this end may have changed something; one that only looks has no facts afterwards."""
    if end is None or end.fields.get("status") == "running":
        return True
    if end.fields.get("status") == "failed":
        return (end.fields.get("error") or {}).get("changed") != "no"
    return bool(end.fields.get("after"))


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
    end = end_of(events, began[-1])
    return end if end is not None and end.fields.get("status") != "running" else began[-1]
