"""Notice SIGINT and SIGTERM, so that a run ends in order and its record says so.

Touches the signal handlers of this process while a `Stop` is entered, and sends signals to the kernel it was given.
It never ends this process; whoever entered the `Stop` decides what happens after the record is written.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

GRACE_S = 20.0
"""How long an interrupted cell may take to end after SIGTERM; schedulers kill 30 s after it (Kubernetes), or later."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A request to stop, made by a signal.

    The first signal interrupts the running cell, so that its step can note how far it came. After SIGTERM the kernel is
    killed when the cell has not ended within the grace time; after Ctrl-C it may take as long as it needs, because
    killing Terraform in the middle of an apply loses its state. A second signal kills the kernel at once.

    Args:
        grace_s: How long an interrupted cell may take to end after SIGTERM.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.signum = 0
        self._grace_s = grace_s
        self._send: Callable[[int], None] | None = None
        self._timer: threading.Timer | None = None
        self._former: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signum != 0

    @property
    def name(self) -> str:
        """Name of the signal that came, for example `SIGTERM`, or ""."""
        return signal.Signals(self.signum).name if self.signum else ""

    def __enter__(self) -> Self:
        """Take the signals over; outside the main thread Python allows no handlers, and nothing is taken over."""
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}
        self._cancel_timer()

    @contextlib.contextmanager
    def interrupting(self, send: Callable[[int], None]) -> Iterator[None]:
        """Pass signals on while a cell runs.

        Args:
            send: Sends a signal to the kernel and its children.

        Yields:
            Nothing.
        """
        self._send = send
        try:
            yield
        finally:
            self._send = None
            self._cancel_timer()

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        first = not self.requested
        self.signum = self.signum or signum
        if self._send is None:
            return
        self._send(signal.SIGINT if first else signal.SIGKILL)
        if first and signum == signal.SIGTERM:
            self._timer = threading.Timer(self._grace_s, self._send, args=(signal.SIGKILL,))
            self._timer.daemon = True
            self._timer.start()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
