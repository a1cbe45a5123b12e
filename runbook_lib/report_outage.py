"""When the service was down, as the journal says; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from runbook_lib.model import Event


def seconds_between(started_utc: str, ended_utc: str) -> float:
    """Return how long something took.

    Args:
        started_utc: RFC 3339 time.
        ended_utc: RFC 3339 time.

    Returns:
        Seconds with milliseconds; 0 when either time is unknown.
    """
    if not started_utc or not ended_utc:
        return 0.0
    return round((datetime.fromisoformat(ended_utc) - datetime.fromisoformat(started_utc)).total_seconds(), 3)


def find_outages(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return every time the service was down.

    Args:
        events: The journal, oldest first.

    Returns:
        Keys `started_utc, ended_utc, outage_s, failures`, oldest first; the end of one still lasting is "".
    """
    windows: list[dict[str, Any]] = []
    for event in (e for e in events if e.kind == "outage"):
        fields = event.fields
        if fields.get("phase") == "started":
            if not windows or windows[-1]["ended_utc"]:
                windows.append({"started_utc": event.at_utc, "ended_utc": "", "outage_s": None, "failures": None})
        elif windows and not windows[-1]["ended_utc"]:
            ended = fields.get("first_success_utc") or event.at_utc
            began = fields.get("last_success_utc") or windows[-1]["started_utc"]
            outage_s = fields["outage_s"] if fields.get("outage_s") is not None else seconds_between(began, ended)
            windows[-1] = {
                "started_utc": began,
                "ended_utc": ended,
                "outage_s": outage_s,
                "failures": fields.get("failures"),
            }
    return windows


def total_outage_s(windows: Sequence[dict[str, Any]]) -> float | None:
    """Return how long the service was down altogether.

    Args:
        windows: As `find_outages`.

    Returns:
        Seconds with milliseconds; None when it never was, or is still.
    """
    if not windows or any(window["outage_s"] is None for window in windows):
        return None
    return round(sum(float(window["outage_s"]) for window in windows), 3)
