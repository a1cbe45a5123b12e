"""Time: the one place that reads a clock or sleeps."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clock."""

    def now_utc(self) -> datetime:
        """Return the present time in UTC.

        Returns:
            A timezone-aware datetime.
        """
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for durations.

        Returns:
            Seconds since an arbitrary point.
        """
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Args:
            seconds: How long.
        """
        time.sleep(seconds)

    @staticmethod
    def parse(text: str) -> datetime:
        """Return the time that an RFC 3339 text names.

        Args:
            text: For example `2026-01-31T03:00:00+00:00`.

        Returns:
            A timezone-aware datetime.

        Raises:
            ValueError: when the text is no such time.
        """
        return datetime.fromisoformat(text)

    @staticmethod
    def utc_of_local(local: datetime) -> datetime:
        """Return a local time as UTC.

        Args:
            local: A time of this machine's time zone, without a time zone.

        Returns:
            A timezone-aware datetime.
        """
        return local.astimezone(UTC)
