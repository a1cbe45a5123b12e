"""One container of a task: what Docker says about it becomes what the ECS API shows of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox.agent_logs import LogStream
from runbook_lib.sandbox.containers import EngineError

log = logging.getLogger(__name__)

STILL_STOPPING_S = 1.0
HEALTH = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


class ContainerRun:
    """A container of a task that was created.

    Args:
        world: The sandbox's world, for its lock.
        engine: The host's Docker engine.
        container: Docker's container.
        record: What the ECS API shows of it.
        definition: Its container definition.
        stream: Where its output goes, or None.
    """

    def __init__(
        self,
        world: Any,
        engine: Any,
        container: Any,
        *,
        record: dict[str, Any],
        definition: Mapping[str, Any],
        stream: LogStream | None,
    ) -> None:
        self.record = record
        self.definition = definition
        self._world = world
        self._engine = engine
        self._container = container
        self._stream = stream

    @property
    def name(self) -> str:
        """Return its name in the task definition."""
        return str(self.definition["name"])

    @property
    def is_essential(self) -> bool:
        """Whether the task ends when it ends."""
        return bool(self.record["essential"])

    @property
    def has_ended(self) -> bool:
        """Whether it ran and runs no more, as last observed."""
        return bool(self.record["lastStatus"] == "STOPPED")

    def start(self) -> None:
        """Start it; blocks until its process runs and its volumes are mounted.

        Raises:
            EngineError: Docker could not.
        """
        self._engine.start(self._container.id)
        self.observe(with_logs=False)

    def observe(self, *, with_logs: bool) -> None:
        """Bring the record up to date with what Docker says."""
        try:
            found = self._engine.inspect(self._container.id)
        except EngineError:
            found = None
        ended = found is None or found.status in {"exited", "dead"}
        with self._world.lock:
            if ended:
                self._end(found)
            elif found.status == "running":
                self.record["lastStatus"] = "RUNNING"
                self.record["healthStatus"] = HEALTH.get(found.health, "UNKNOWN") if self._is_checked else "UNKNOWN"
        if self._stream is not None and (with_logs or ended):
            self._stream.ship(self._container.log_path)

    def stop(self) -> None:
        """Stop it with its grace period; returns when its volumes are unmounted and detached, or that has failed."""
        if not self.has_ended:
            try:
                self._engine.stop(self._container.id, timeout_s=self._container.spec.stop_timeout_s)
                while not self._container.wait(("exited", "created"), STILL_STOPPING_S):
                    if self._world.ended.is_set():
                        return
            except EngineError as error:
                log.warning("the container %s did not stop: %s", self._container.name, error)
                with self._world.lock:
                    self.record["reason"] = f"CannotStopContainerError: Error response from daemon: {error}"
        self.observe(with_logs=True)

    def remove(self) -> None:
        """Remove it from its host."""
        try:
            self._engine.remove(self._container.id, force=True)
        except EngineError as error:
            log.warning("the container %s stays: %s", self._container.name, error)

    @property
    def _is_checked(self) -> bool:
        """Whether the task definition has a health check; the image's own does not count for ECS."""
        return bool(self.record["hasHealthCheck"])

    def _end(self, found: Any) -> None:
        if self.record["lastStatus"] != "STOPPED":
            self.record["lastStatus"] = "STOPPED"
            self.record["exitCode"] = 137 if found is None else found.exit_code
            if found is not None and found.error:
                self.record.setdefault("reason", found.error)
