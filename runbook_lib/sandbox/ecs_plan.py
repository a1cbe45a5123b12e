"""Decide how many tasks of a service to start and which to stop now, within the deployment percentages.

Pure; knows nothing of moto or hosts.
Source: Amazon ECS developer guide, "Deploy Amazon ECS services by replacing tasks" and "DeploymentConfiguration".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TaskFacts:
    """What counts about one task that has not stopped.

    Args:
        task_id: Its id.
        is_current: It belongs to the PRIMARY deployment and its container instance is not draining.
        is_running: It is RUNNING and was not told to stop.
        is_healthy: It is running and passes its health check, or has none.
        is_unhealthy: It fails its health check.
        is_stopping: It was told to stop and has not stopped yet.
    """

    task_id: str
    is_current: bool = True
    is_running: bool = True
    is_healthy: bool = True
    is_unhealthy: bool = False
    is_stopping: bool = False


@dataclass(frozen=True)
class Decision:
    """What to do in this moment.

    Args:
        start: How many tasks to start.
        stop: Ids of the tasks to stop.
    """

    start: int = 0
    stop: tuple[str, ...] = ()


def lower_limit(desired_count: int, minimum_percent: int) -> int:
    """Return how many tasks must stay running and healthy: rounded up."""
    return math.ceil(desired_count * minimum_percent / 100)


def upper_limit(desired_count: int, maximum_percent: int) -> int:
    """Return how many tasks there may be, running, pending or stopping: rounded down."""
    return math.floor(desired_count * maximum_percent / 100)


def threshold(desired_count: int) -> int:
    """Return how many failed tasks trip the circuit breaker: half the desired count, from 3 to 200."""
    return max(3, min(200, math.ceil(desired_count * 0.5)))


def decide(tasks: Sequence[TaskFacts], desired_count: int, minimum_percent: int, maximum_percent: int) -> Decision:
    """Return what brings a service closer to its desired count without breaking its percentages.

    With 0 and 100 per cent a task is stopped first and its replacement starts when it has stopped; with 100 and 200
    the replacement starts first and the old task stops when the replacement is healthy.

    Args:
        tasks: Every task of the service that has not stopped, oldest first.
        desired_count: How many tasks the service wants.
        minimum_percent: minimumHealthyPercent.
        maximum_percent: maximumPercent.
    """
    live = [one for one in tasks if not one.is_stopping]
    good = [one for one in live if one.is_current and not one.is_unhealthy]
    others = [one for one in live if one not in good]
    room = upper_limit(desired_count, maximum_percent) - len(tasks)
    start = max(0, min(desired_count - len(good), room))
    spare = sum(1 for one in live if one.is_healthy) - lower_limit(desired_count, minimum_percent)
    stop = [one.task_id for one in _surplus(good, desired_count)]
    spare -= sum(1 for one in good if one.task_id in stop and one.is_healthy)
    replaced = sum(1 for one in good if one.is_healthy) >= desired_count
    for one in others:
        if one.is_healthy:
            if spare > 0:
                stop.append(one.task_id)
                spare -= 1
        elif not (one.is_current and one.is_unhealthy) or replaced or room <= 0:
            stop.append(one.task_id)
    return Decision(start, tuple(stop))


def _surplus(good: Sequence[TaskFacts], desired_count: int) -> list[TaskFacts]:
    """Return the tasks too many: those that do not run yet first, then the youngest."""
    ordered = sorted(enumerate(good), key=lambda pair: (pair[1].is_healthy, pair[1].is_running, -pair[0]))
    return [one for _number, one in ordered[: max(0, len(good) - desired_count)]]
