"""Make and change the task records that moto's ECS backend holds.

The records are moto's ``Task`` objects with the attributes that the ECS API shows; nothing here starts a process.
Callers hold ``World.lock``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.ecs.models import Task

KEEP_STOPPED_S = 3600
"""Seconds that a stopped task stays visible, as in Amazon ECS."""


def now() -> datetime:
    """Return the present moment with its time zone."""
    return datetime.now(UTC)


def new_task(
    backend: Any,
    cluster: Any,
    definition: Any,
    *,
    group: str,
    instance: Any = None,
    started_by: str = "",
    launch_type: str = "",
    capacity_provider: str = "",
    overrides: dict[str, Any] | None = None,
    tags: list[dict[str, str]] | None = None,
) -> Any:
    """Add a task in PROVISIONING.

    Args:
        backend: moto's ECS backend.
        cluster: The cluster it runs in.
        definition: Its task definition.
        group: ``service:NAME`` or ``family:NAME``.
        instance: Container instance it was placed on.
        started_by: Deployment id for a service's task.
        launch_type: ``EC2``, or "" with a capacity provider.
        capacity_provider: Capacity provider it uses, or "".
        overrides: As RunTask takes them.
        tags: As the ECS API gives them.

    Returns:
        The new record.
    """
    arn = instance.container_instance_arn if instance is not None else None
    needs = backend._calculate_task_resource_requirements(definition)
    task = Task(
        cluster, definition, arn, needs, backend, group, launch_type or "EC2", overrides, started_by, tags or []
    )
    task.id = task.id.replace("-", "")
    task.launch_type = launch_type or ("EC2" if not capacity_provider else None)
    task.capacity_provider_name = capacity_provider or None
    task.status = "PROVISIONING"
    task.created_at = now()
    task.version = 1
    task.cpu = definition.cpu or str(needs["CPU"])
    task.memory = definition.memory or str(needs["MEMORY"])
    task.health_status = "UNKNOWN"
    task.stopped_reason = None
    task.connectivity = "CONNECTED"
    task.connectivity_at = task.created_at
    task.availability_zone = instance.attributes["ecs.availability-zone"] if instance is not None else None
    task.attributes = [{"name": "ecs.cpu-architecture", "value": _architecture(instance)}]
    task.containers = [_container(task, cluster, one) for one in definition.container_definitions]
    backend.tasks.setdefault(cluster.name, {})[task.task_arn] = task
    return task


def requirements(definition: Any) -> dict[str, Any]:
    """Return what a task needs: ``CPU`` units, ``MEMORY`` in MiB and host ``PORTS``."""
    containers = definition.container_definitions
    memory = sum(int(one.get("memoryReservation") or one.get("memory") or 0) for one in containers)
    cpu = sum(int(one.get("cpu") or 0) for one in containers)
    ports = [port.get("hostPort") for one in containers for port in one.get("portMappings") or []]
    return {
        "CPU": int(definition.cpu or 0) or cpu,
        "MEMORY": int(definition.memory or 0) or memory,
        "PORTS": [port for port in ports if port],
        "PORTS_UDP": [],
    }


def cluster_tasks(backend: Any, cluster_name: str) -> Iterator[Any]:
    """Yield every task record of a cluster, stopped ones too, oldest first."""
    yield from backend.tasks.get(cluster_name, {}).values()


def service_tasks(backend: Any, service: Any) -> list[Any]:
    """Return the tasks of a service that have not stopped, oldest first."""
    group = f"service:{service.name}"
    return [one for one in cluster_tasks(backend, service.cluster_name) if one.group == group and not is_stopped(one)]


def instance_tasks(backend: Any, instance: Any) -> list[Any]:
    """Return the tasks on a container instance that have not stopped, oldest first."""
    arn = instance.container_instance_arn
    tasks = cluster_tasks(backend, instance.cluster_name)
    return [one for one in tasks if one.container_instance_arn == arn and not is_stopped(one)]


def is_stopped(task: Any) -> bool:
    """Return whether the task has reached its end."""
    return bool(task.status == "STOPPED")


def is_stopping(task: Any) -> bool:
    """Return whether the task was told to stop and has not yet reached its end."""
    return bool(task.desired_status == "STOPPED" and task.status != "STOPPED")


def has_health_check(task: Any) -> bool:
    """Return whether any container of the task has a health check."""
    return any(one.get("hasHealthCheck") for one in task.containers)


def set_status(task: Any, status: str) -> None:
    """Move a task to another state and stamp the times that go with it."""
    task.status = status
    task.version += 1
    if status == "RUNNING" and getattr(task, "started_at", None) is None:
        task.started_at = now()
    if status == "STOPPED":
        task.desired_status = "STOPPED"
        task.stopped_at = now()
        task.execution_stopped_at = task.stopped_at
        task.connectivity = "DISCONNECTED"


def request_stop(task: Any, reason: str, code: str) -> None:
    """Set the desired status STOPPED; the agent does the rest. A second request changes nothing.

    Args:
        task: The record.
        reason: Becomes ``stoppedReason``.
        code: Becomes ``stopCode``, for example ``UserInitiated``.
    """
    if task.desired_status == "STOPPED":
        return
    task.desired_status = "STOPPED"
    task.stopped_reason = reason
    task.stop_code = code
    task.stopping_at = now()
    task.version += 1


def end(task: Any, reason: str, code: str) -> None:
    """Record that a task and its containers ended without anybody having stopped them in order."""
    request_stop(task, reason, code)
    for container in task.containers:
        container["lastStatus"] = "STOPPED"
    set_status(task, "STOPPED")


def forget_old(backend: Any) -> None:
    """Drop the stopped tasks that Amazon ECS would not show any more."""
    moment = now()
    for tasks in backend.tasks.values():
        for arn, task in list(tasks.items()):
            if is_stopped(task) and (moment - task.stopped_at).total_seconds() > KEEP_STOPPED_S:
                del tasks[arn]


def _container(task: Any, cluster: Any, definition: dict[str, Any]) -> dict[str, Any]:
    place = f"arn:aws:ecs:{task.region_name}:{task._account_id}:container/{cluster.name}/{task.id}"
    container = {
        "containerArn": f"{place}/{uuid.uuid4()}",
        "taskArn": task.task_arn,
        "name": definition["name"],
        "image": definition["image"],
        "lastStatus": "PENDING",
        "networkInterfaces": [],
        "networkBindings": [],
        "healthStatus": "UNKNOWN",
        "cpu": str(definition.get("cpu", 0)),
        "hasHealthCheck": bool(definition.get("healthCheck")),
        "essential": bool(definition.get("essential", True)),
    }
    for key in ("memory", "memoryReservation"):
        if definition.get(key):
            container[key] = str(definition[key])
    return container


def _architecture(instance: Any) -> str:
    if instance is None:
        return "x86_64"
    return str(instance.attributes.get("ecs.cpu-architecture") or "x86_64")
