"""Why a task could not start, in the words that the ECS API shows. Pure."""

from __future__ import annotations


class TaskError(Exception):
    """A task cannot start or go on.

    Args:
        reason: Becomes ``stoppedReason`` of the task.
        container: Name of the container that has the problem, or "".
        container_reason: Becomes ``reason`` of that container.
        code: Becomes ``stopCode``.
    """

    def __init__(
        self, reason: str, *, container: str = "", container_reason: str = "", code: str = "TaskFailedToStart"
    ) -> None:
        super().__init__(container_reason or reason)
        self.reason = reason
        self.container = container
        self.container_reason = container_reason
        self.code = code
