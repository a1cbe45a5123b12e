"""Which runs of an archive are wanted; pure."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from runbook_lib.archive_summary import RunSummary

_AGO = re.compile(r"(?P<number>\d{1,6})(?P<unit>[hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Wanted:
    """What a run must be, to be shown; what is left at its default does not matter.

    Args:
        name: Its migration: a part of the name, or a pattern with `*`.
        notebooks: One of these acted (or was planned): a number, a name, or a part of it.
        statuses: Its state is one of these.
        execute: Whether it executed; None for either.
        since: It started then or later.
        until: It started before.
        operator: Who ran it: a part, or a pattern with `*`.
        volume_id: Its data volume.
        open_reviews: Whether it must have an open review item.
    """

    name: str = ""
    notebooks: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    execute: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    operator: str = ""
    volume_id: str = ""
    open_reviews: bool = False

    def matches(self, run: RunSummary) -> bool:
        """Return whether a run is wanted.

        Args:
            run: The run.
        """
        return (
            (not self.statuses or run.status in self.statuses)
            and (self.execute is None or run.execute is self.execute)
            and _fits(self.name, run.name)
            and _fits(self.operator, run.operator)
            and (not self.volume_id or run.volume_id == self.volume_id)
            and (not self.open_reviews or run.open_reviews > 0)
            and (not self.notebooks or any(_is_notebook(one, name) for one in self.notebooks for name in run.notebooks))
            and self._is_in_time(run)
        )

    def _is_in_time(self, run: RunSummary) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            started = datetime.fromisoformat(run.started_utc).astimezone(UTC)
        except ValueError:  # a damaged run has no time
            return False
        return (self.since is None or started >= self.since) and (self.until is None or started < self.until)


def _fits(pattern: str, text: str) -> bool:
    return fnmatch.fnmatchcase(text, pattern) if "*" in pattern else pattern in text


def _is_notebook(wanted: str, name: str) -> bool:
    return name.startswith(f"{wanted}_") if wanted.isdigit() else _fits(wanted.removesuffix(".ipynb"), name)


def read_moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """Return the moment that an operator means.

    Args:
        text: A day (`2026-01-31`), a time (`2026-01-31T03:00`, UTC unless it says otherwise), or how long ago
            (`12h`, `30d`, `4w`).
        now: The present time.
        end: Whether a day means its end.

    Returns:
        The moment in UTC.

    Raises:
        ValueError: when the text is none of these.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        is_day = end and moment.time() == time() and not re.search(r"\d[T ]\d", text)
        return (moment + timedelta(days=1) if is_day else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"expected a day (2026-01-31), a time (2026-01-31T03:00) or an age (12h, 30d, 4w), found {text!r}"
        ) from None
