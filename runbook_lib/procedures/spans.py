"""Spans of time in words; pure."""

from __future__ import annotations

_SHORT_MIN = 10


def span(seconds: float) -> str:
    """Return a span of time in hours and minutes, or seconds when it is short.

    Args:
        seconds: How long.

    Returns:
        For example `2 h 5 min`, or `40 s`.
    """
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= _SHORT_MIN else f"{seconds:.0f} s"
