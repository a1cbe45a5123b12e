"""Tell the hooks of the parameters what happens in a run, beside it: each notice in a thread of its own.

Nothing waits for a hook but the end of the command, and that no longer than the hook's own timeout. Secrets that a hook
needs are resolved in memory, and nothing that is sent holds one.
"""

from __future__ import annotations

import importlib.metadata
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from runbook_lib.adapters import hooks as outside
from runbook_lib.adapters.clock import Clock
from runbook_lib.adapters.secrets import SecretError, resolve
from runbook_lib.journal import Journal
from runbook_lib.notices import Notice, one_line
from runbook_lib.parameters import Parameters
from runbook_lib.parameters_notifications import Hook
from runbook_lib.parameters_types import is_allowed_endpoint
from runbook_lib.run_lease import open_session
from runbook_lib.scrub import SECRETS

_SLACK_S = 0.5
"""How much longer than its timeout a delivery may need to say that it failed."""
_LEARNING = threading.Lock()
"""Deliveries learn secrets one after the other."""


@dataclass
class _Delivery:
    """One notice on its way to one hook."""

    hook: str
    event: str
    deadline: float
    thread: threading.Thread | None = None
    outcome: str = ""
    reason: str = ""
    attempts: int = 0
    duration_s: float = 0.0

    def as_fields(self) -> dict[str, Any]:
        """Return the fields of a `notification` event."""
        said = {"hook": self.hook, "event": self.event, "outcome": self.outcome, "reason": self.reason}
        return said | {"attempts": self.attempts, "duration_s": self.duration_s}


class Hooks:
    """The hooks of a run; used as a context that ends when the command ends.

    Args:
        parameters: Whose `notifications` say who is told of what.
        journal: The run.
        complain: Called with a hook's name, the event and the reason when a notice was not taken, in any thread.
        clock: The clock.
    """

    def __init__(
        self,
        parameters: Parameters,
        journal: Journal,
        complain: Callable[[str, str, str], None],
        clock: Clock | None = None,
    ) -> None:
        self._parameters = parameters
        self._journal = journal
        self._complain = complain
        self._clock = clock or Clock()
        self._deliveries: list[_Delivery] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is on its way, at most until each hook's own time is over, and note what became of it."""
        for one in self._deliveries:
            if one.thread is not None:
                one.thread.join(max(0.0, one.deadline + _SLACK_S - self._clock.monotonic()))
            if not one.outcome:
                one.outcome, one.reason = "failed", "no answer in its time"
                self._complain(one.hook, one.event, one.reason)
            self._journal.append("notification", **one.as_fields())

    @property
    def sent(self) -> int:
        """How many notices were sent, so far as one each hook."""
        return len(self._deliveries)

    def send(self, notice: Notice) -> None:
        """Begin to tell every hook that wants to hear of this; returns at once.

        Args:
            notice: What happened.

        Changes:
            Starts commands and sends requests, in threads; `notification` events when the context ends.
        """
        content = json.dumps(SECRETS.value(notice.as_json()), default=str).encode()
        for name, hook in self._parameters.notifications.items():
            if notice.event in hook.events:
                one = _Delivery(name, notice.event, self._clock.monotonic() + hook.timeout_s)
                one.thread = threading.Thread(
                    target=self._deliver, args=(one, hook, content), name=f"hook-{name}", daemon=True
                )
                self._deliveries.append(one)
                one.thread.start()

    def _deliver(self, one: _Delivery, hook: Hook, content: bytes) -> None:
        begun = self._clock.monotonic()
        try:
            one.attempts = self._hand_over(hook, content, one.deadline)
        except outside.HookError as error:
            one.attempts, one.reason = error.attempts, one_line(SECRETS.text(str(error)))
        except Exception as error:  # noqa: BLE001 - whatever a hook does, it is its failure, not the run's
            one.reason = one_line(SECRETS.text(f"{type(error).__name__}: {error}"))
        one.duration_s = round(self._clock.monotonic() - begun, 3)
        one.outcome = "failed" if one.reason else "delivered"
        if one.reason:
            self._complain(one.hook, one.event, one.reason)

    def _hand_over(self, hook: Hook, content: bytes, deadline: float) -> int:
        """Give the notice to its hook; return how often that was tried."""
        if hook.command:
            outside.call(hook.command, content, timeout_s=self._left_s(deadline))
            return 1
        url, headers = self._secret(hook.url or ""), _headers()
        if not url.startswith(("http://", "https://")) or not is_allowed_endpoint(url):
            raise outside.HookError(f"{hook.url} holds no https URL; nothing was sent", 0)
        if hook.token:
            headers["Authorization"] = f"Bearer {self._secret(hook.token)}"
        return outside.post(url, content, headers, timeout_s=self._left_s(deadline), attempts=hook.attempts)

    def _secret(self, text: str) -> str:
        """Return what a reference stands for, and keep it out of whatever is written; a text that is none as it is."""
        if text.startswith(("http://", "https://")):
            return text
        try:
            value = resolve(text, lambda: open_session(self._parameters, "", attempts=2, read_timeout_s=5)).strip()
        except SecretError as error:
            raise outside.HookError(str(error), 0) from error
        with _LEARNING:
            SECRETS.add(value, text)
        return value

    def _left_s(self, deadline: float) -> float:
        return max(0.1, deadline - self._clock.monotonic())


def _headers() -> dict[str, str]:
    version = importlib.metadata.version("runbook-lib")
    return {"Content-Type": "application/json", "User-Agent": f"runbook/{version}"}
