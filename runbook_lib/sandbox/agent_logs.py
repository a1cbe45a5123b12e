"""The awslogs driver: what a container prints becomes log events in moto's CloudWatch Logs.

Reads container logs and writes to moto's backend under ``World.lock``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.agent_problem import TaskProblem
from runbook_lib.sandbox.backends import backend

MAXIMUM_BATCH = 1000


class LogStream:
    """The log stream of one container.

    Args:
        world: The sandbox's world, for its lock.
        group: Name of the log group.
        stream: Name of the log stream.
    """

    def __init__(self, world: Any, group: str, stream: str) -> None:
        self._world = world
        self._group = group
        self._stream = stream
        self._offset = 0

    @classmethod
    def of(cls, world: Any, task_id: str, container: Mapping[str, Any]) -> LogStream | None:
        """Return the stream that a container definition asks for, made if need be; None without awslogs.

        Raises:
            TaskProblem: The log group does not exist and may not be made.
        """
        settings = container.get("logConfiguration") or {}
        if settings.get("logDriver") != "awslogs":
            return None
        options = settings.get("options") or {}
        name, prefix = container["name"], options.get("awslogs-stream-prefix")
        stream = cls(world, options.get("awslogs-group", ""), f"{prefix}/{name}/{task_id}" if prefix else task_id)
        stream._make(name, may_create=options.get("awslogs-create-group") == "true")
        return stream

    def ship(self, path: Path) -> None:
        """Send the whole lines that a log file has got since the last call."""
        if not path.is_file() or path.stat().st_size <= self._offset:
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._offset += end
        lines = data[:end].decode(errors="replace").splitlines()
        stamp = int(time.time() * 1000)
        events = [{"timestamp": stamp, "message": line} for line in lines if line]
        for start in range(0, len(events), MAXIMUM_BATCH):
            with self._world.lock:
                self._put(events[start : start + MAXIMUM_BATCH])

    def _put(self, events: list[dict[str, Any]]) -> None:
        group = backend("logs").groups.get(self._group)
        if group is not None and self._stream in group.streams:
            backend("logs").put_log_events(self._group, self._stream, events)

    def _make(self, container: str, *, may_create: bool) -> None:
        with self._world.lock:
            logs = backend("logs")
            if self._group not in logs.groups and not may_create:
                text = (
                    "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed "
                    "to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
                )
                raise TaskProblem("Task failed to start", container=container, container_reason=text)
            if self._group not in logs.groups:
                logs.create_log_group(self._group, {})
            logs.create_log_stream(self._group, self._stream)
