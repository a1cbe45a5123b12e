"""Schedules as crontab(5) writes them: five fields, or a word like `@daily`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?", re.ASCII)
_DAYS_BACK = 366 * 8 + 2
"""A 29 February is at most eight years ago."""


@dataclass(frozen=True)
class Cron:
    """When a crontab line is due.

    Args:
        text: As it was written.
        minutes: Of the hour.
        hours: Of the day.
        days: Of the month.
        months: Of the year.
        weekdays: 0 for Sunday to 6.
        either_day: Whether one of `days` and `weekdays` is enough, as when neither field is `*`.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def last_due(self, now: datetime) -> datetime | None:
        """Return when it was last due.

        Args:
            now: Local time without a time zone, as cron reads its lines.

        Returns:
            A local time not after `now`, or None when there is no such day.
        """
        times = [time(hour, minute) for hour in sorted(self.hours) for minute in sorted(self.minutes)]
        for back in range(_DAYS_BACK):
            day = now.date() - timedelta(days=back)
            if day.month in self.months and self._is_day(day.day, day.isoweekday() % 7):
                due = [moment for at in times if (moment := datetime.combine(day, at)) <= now]
                if due:
                    return due[-1]
        return None

    def _is_day(self, day: int, weekday: int) -> bool:
        hits = (day in self.days, weekday in self.weekdays)
        return any(hits) if self.either_day else all(hits)


def parse(text: str) -> Cron:
    """Return what a text of crontab(5) means.

    Args:
        text: Five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.

    Returns:
        The schedule.

    Raises:
        ValueError: when it is none; says which field and what it may hold.
    """
    parts = _WORDS.get(text.strip(), text).split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{text!r}: expected five fields (minute, hour, day, month, weekday), or a word like @daily")
    minutes, hours, days, months, weekdays = (
        _numbers(part, *field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    weekdays = frozenset(day % 7 for day in weekdays)
    either_day = not parts[2].startswith("*") and not parts[4].startswith("*")
    return Cron(text.strip(), minutes, hours, days, months, weekdays, either_day)


def _numbers(text: str, what: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    """Return the numbers that one field means."""
    found: set[int] = set()
    for item in text.lower().split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{what}: {item!r} is no number, range or step")
        step = int(match["step"] or 1)
        if match["first"] == "*":
            first, last = least, most
        else:
            first = _number(match["first"], what, names)
            last = _number(match["last"], what, names) if match["last"] else most if match["step"] else first
        if not least <= first <= last <= most or step < 1:
            raise ValueError(f"{what}: {item!r}; expected numbers from {least} to {most}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(text: str, what: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(f"{what}: {text!r} is no number")
    return int(text)
