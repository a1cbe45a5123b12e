"""Run a state change after its latency, in its own thread, unless the sandbox has ended by then.

Knows nothing of AWS. Actions run without ``World.lock``; they take it themselves for short moments.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Transitions:
    """The pending state changes of one sandbox."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether the sandbox is going down and nothing may begin any more."""
        return self._ended.is_set()

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run an action once, after a delay.

        Args:
            delay_s: Seconds to wait; 0 runs it as soon as the thread starts.
            action: What to do. An exception is logged; the sandbox goes on.

        Changes:
            Starts one daemon thread.
        """
        threading.Thread(target=self._run, args=(delay_s, action), daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait, and return True at once when the sandbox ends meanwhile."""
        return self._ended.wait(seconds)

    def until(self, condition: Callable[[], bool], pause_s: float) -> bool:
        """Wait until a condition holds.

        Args:
            condition: Asked again and again, without the lock.
            pause_s: Seconds between two questions.

        Returns:
            True when it holds, False when the sandbox ended first.
        """
        while not condition():
            if self.wait(pause_s):
                return False
        return True

    def end(self) -> None:
        """Let no waiting action begin any more."""
        self._ended.set()

    def _run(self, delay_s: float, action: Callable[[], None]) -> None:
        if delay_s > 0 and self.wait(delay_s):
            return
        if self.ended:
            return
        try:
            action()
        except Exception:
            log.exception("a transition failed")
