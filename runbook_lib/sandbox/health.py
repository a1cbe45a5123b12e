"""Ask a container again and again whether it is well, as dockerd does. Runs real probes in the container."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runbook_lib.sandbox.containers import Container, EngineError, HealthCheck, now_utc
from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.images import Image

KEPT_PROBES = 5
OUTPUT_CHARACTERS = 4096


def check_of(container: Container, image: Image) -> HealthCheck | None:
    """Return the health check of a container: its own or the image's; None when there is none or it is switched off."""
    check = container.spec.health_check or HealthCheck.from_docker(image.config.get("Healthcheck"))
    return None if check is None or list(check.test[:1]) in ([], ["NONE"]) else check


def probe_command(check: HealthCheck) -> list[str]:
    """Return the argument list of a probe."""
    if check.test[0] == "CMD-SHELL":
        return ["sh", "-c", check.test[1]]
    return list(check.test[1:] if check.test[0] == "CMD" else check.test)


class HealthMonitor:
    """The probes of one run of one container.

    Args:
        container: Whose health it keeps.
        check: How.
        probe: Runs a command in the container within a time.
    """

    def __init__(
        self, container: Container, check: HealthCheck, probe: Callable[[Sequence[str], float], CommandResult]
    ) -> None:
        self._container = container
        self._check = check
        self._probe = probe
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to probe, in a thread."""
        with self._container.changed:
            self._container.health = "starting"
            self._container.failing_streak = 0
            self._container.changed.notify_all()
        threading.Thread(target=self._run, name=f"health-{self._container.name}", daemon=True).start()

    def stop(self) -> None:
        """Probe no more."""
        self._ended.set()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(self._pause_s(began)):
            started = now_utc()
            try:
                result = self._probe(probe_command(self._check), self._check.timeout_s)
            except TimeoutError:
                result = CommandResult("", f"Health check exceeded timeout ({self._check.timeout_s:g}s)", -1)
            except (EngineError, OSError) as error:
                result = CommandResult("", str(error), -1)
            if not self._ended.is_set():
                in_start_period = time.monotonic() - began < self._check.start_period_s
                self._note(result, started, in_start_period=in_start_period)

    def _pause_s(self, began: float) -> float:
        starting = self._container.health == "starting" and time.monotonic() - began < self._check.start_period_s
        return min(self._check.start_interval_s, self._check.interval_s) if starting else self._check.interval_s

    def _note(self, result: CommandResult, started: str, *, in_start_period: bool) -> None:
        container = self._container
        output = (result.stdout + result.stderr)[:OUTPUT_CHARACTERS]
        entry = {"Start": started, "End": now_utc(), "ExitCode": result.exit_code, "Output": output}
        with container.changed:
            container.health_log = [*container.health_log, entry][-KEPT_PROBES:]
            if result.exit_code == 0:
                container.failing_streak = 0
                container.health = "healthy"
            elif not (in_start_period and container.health == "starting"):
                container.failing_streak += 1
                if container.failing_streak >= self._check.retries:
                    container.health = "unhealthy"
            container.changed.notify_all()
