"""Which review items a run has that nobody has closed yet; pure."""

from __future__ import annotations

from collections.abc import Sequence

from runbook_lib.model import Event


def open_reviews(events: Sequence[Event]) -> list[Event]:
    """Return every act behind broken glass that nobody has reviewed.

    Args:
        events: The journal, oldest first.

    Returns:
        `break-glass` events, oldest first.
    """
    closed = {seq for event in events if event.kind == "review" for seq in event.fields.get("closes", ())}
    used = (event for event in events if event.kind == "break-glass" and event.fields.get("phase") == "used")
    return [event for event in used if event.seq not in closed]
