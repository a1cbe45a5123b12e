"""The awslogs driver: what a container prints becomes log events in moto's CloudWatch Logs.

Reads container logs and writes to moto's backend under ``World.lock``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.agent_error import TaskError
from runbook_lib.sandbox.agent_role import refusal
from runbook_lib.sandbox.backends import ACCOUNT_ID, REGION, backend

MAXIMUM_BATCH = 1000
CANNOT_LOG = (
    "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create "
    "Cloudwatch log stream: "
)
NO_GROUP = "ResourceNotFoundException: The specified log group does not exist."


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
    def of(
        cls, world: Any, task: Any, definition: Any, container: Mapping[str, Any], *, host_role: str
    ) -> LogStream | None:
        """Return the stream that a container definition asks for, made if need be; None without awslogs.

        Args:
            world: The sandbox's world.
            task: The task's record.
            definition: The task definition's record.
            container: The container definition.
            host_role: Name of the host's role.

        Raises:
            TaskError: The log group does not exist and may not be made, or the role may not write to it.
        """
        settings = container.get("logConfiguration") or {}
        if settings.get("logDriver") != "awslogs":
            return None
        options, name = settings.get("options") or {}, container["name"]
        group, prefix = options.get("awslogs-group", ""), options.get("awslogs-stream-prefix")
        stream = cls(world, group, f"{prefix}/{name}/{task.id}" if prefix else task.id)
        resource = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{group}:log-stream:{stream._stream}"
        problem = refusal(definition, host_role, "logs:CreateLogStream", resource)
        problem = problem or stream._make(may_create=options.get("awslogs-create-group") == "true")
        if problem:
            raise TaskError("Task failed to start", container=name, container_reason=CANNOT_LOG + problem)
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

    def _make(self, *, may_create: bool) -> str:
        """Make the stream, and the group if that was asked for; return what is wrong, "" for nothing."""
        with self._world.lock:
            logs = backend("logs")
            if self._group not in logs.groups and not may_create:
                return NO_GROUP
            if self._group not in logs.groups:
                logs.create_log_group(self._group, {})
            logs.create_log_stream(self._group, self._stream)
        return ""
