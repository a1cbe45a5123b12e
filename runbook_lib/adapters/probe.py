"""The service as its users see it: an HTTP probe from outside that measures the outage."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from typing import Any

from runbook_lib.adapters.clock import Clock

_INTERVAL_S = 0.2
_TIMEOUT_S = 2.0
URLS_S = 5.0


def answers(url: str) -> bool:
    """Return whether the service answers a GET with a status below 400.

    Args:
        url: The address users reach the service at.

    Returns:
        True when it answered well within two seconds.
    """
    try:
        # no proxy: the question is whether this machine reaches the service itself
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=_TIMEOUT_S) as response:
            return int(response.status) < 400  # noqa: PLR2004 - HTTP: 4xx and 5xx are errors
    except (urllib.error.URLError, OSError, ValueError):
        return False


class OutageProbe:
    """Watches the service from outside, from before it stops until it answers again.

    The outage runs from the last good answer before the first bad one to the first good answer after it, so it is
    never shown shorter than users saw it; where no good answer was seen, because the service was down already, it runs
    from the moment the watch began. Resolution: the 0.2 s between two probes.

    Args:
        clock: For times and pauses.
        urls: Returns the addresses at which the service may answer now; one good answer is enough.
        urls_every_s: How long they are used; finding them takes several API calls, too many for every look.
    """

    def __init__(self, clock: Clock, urls: Callable[[], list[str]], urls_every_s: float = URLS_S) -> None:
        self._clock = clock
        self._urls = urls
        self._urls_every_s = urls_every_s
        self._found: tuple[float, list[str]] | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._began: datetime | None = None
        self._last_success: datetime | None = None
        self._first_success: datetime | None = None
        self._failures = 0

    def start(self, last_success: datetime | None = None) -> None:
        """Begin to watch in the background; a second call does nothing.

        Args:
            last_success: When the service was last seen up, if an earlier process saw it go down.
        """
        if self._thread is not None:
            return
        if last_success is not None:
            self._last_success, self._failures = last_success, 1
        self._began = self._clock.now_utc()
        self._thread = threading.Thread(target=self._watch, name="outage-probe", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(_INTERVAL_S)

    def _look(self) -> None:
        asked = self._clock.now_utc()
        try:
            urls = self._addresses()
        except Exception:  # noqa: BLE001 - whatever keeps AWS from naming the address, the watch must not end
            return  # the service may be up or not: this look says nothing
        up = any(answers(url) for url in urls)
        with self._lock:
            if not up:
                self._failures += 1
            elif self._failures == 0:
                self._last_success = asked
            elif self._first_success is None:
                self._first_success = self._clock.now_utc()

    def _addresses(self) -> list[str]:
        """Return where the service may answer, found anew every few seconds."""
        now = self._clock.monotonic()
        if self._found is None or now - self._found[0] >= self._urls_every_s:
            self._found = (now, self._urls())
        return self._found[1]

    def answered_unseen(self, last_success: datetime) -> None:
        """Take in an answer that somebody else had, when no look of the watch fell into the outage.

        Looks can be held up, or fail to find an address, for longer than an outage lasts. The outage is then counted
        from when the service was last known to be up until now, so that it is not shown shorter than it was.

        Args:
            last_success: When the service was last known to be up, before it was stopped.
        """
        with self._lock:
            if self._failures == 0:
                self._last_success, self._failures = last_success, 1
                self._first_success = self._clock.now_utc()

    def forget_answer(self) -> None:
        """Forget that the service answered: it did so from a task that does not stay, and will be down again."""
        with self._lock:
            self._first_success = None

    def facts(self) -> dict[str, Any]:
        """Return what was seen so far.

        Returns:
            Keys `last_success_utc` ("" when the service was down from the beginning), `first_success_utc` (each RFC
            3339 or ""), `failures`, and `outage_s`, which is None until the service answered again.
        """
        with self._lock:
            last, first, failures = self._last_success, self._first_success, self._failures
        since = last or self._began
        outage_s = round((first - since).total_seconds(), 3) if first and since else None
        return {
            "last_success_utc": last.isoformat() if last else "",
            "first_success_utc": first.isoformat() if first else "",
            "failures": failures,
            "outage_s": outage_s,
        }

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=_TIMEOUT_S + 1)
