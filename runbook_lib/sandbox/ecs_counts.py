"""Count tasks: what services, deployments, container instances and clusters show comes from the task records alone.

Callers hold ``World.lock``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runbook_lib.sandbox.ecs_tasks import cluster_tasks, instance_tasks, is_stopped

PENDING = {"PROVISIONING", "PENDING", "ACTIVATING"}
PORTS_OF_THE_HOST = ["22", "2375", "2376", "51678", "51679"]


def refresh(backend: Any) -> None:
    """Bring every count of an ECS backend up to date.

    Changes:
        Counts and remaining resources of the backend's services, deployments, container instances and clusters.
    """
    for service in backend.services.values():
        _count_service(backend, service)
    for instances in backend.container_instances.values():
        for instance in instances.values():
            tasks = instance_tasks(backend, instance)
            instance.running_tasks_count, instance.pending_tasks_count = _running(tasks), _pending(tasks)
            instance.remaining_resources = remaining(instance, tasks)
    for cluster in backend.clusters.values():
        _count_cluster(backend, cluster)


def remaining(instance: Any, tasks: Iterable[Any]) -> list[dict[str, Any]]:
    """Return what a container instance has left beside the given tasks, as the ECS API shows it."""
    needs = [one.resource_requirements for one in tasks]
    left = []
    for resource in instance.registered_resources:
        name = resource["name"]
        if name == "PORTS":
            taken = [str(port) for need in needs for port in need["PORTS"] if port]
            left.append({**resource, "stringSetValue": [*resource["stringSetValue"], *taken]})
        elif name in {"CPU", "MEMORY"}:
            left.append({**resource, "integerValue": resource["integerValue"] - sum(need[name] for need in needs)})
        else:
            left.append(dict(resource))
    return left


def _count_service(backend: Any, service: Any) -> None:
    group = f"service:{service.name}"
    tasks = [one for one in cluster_tasks(backend, service.cluster_name) if one.group == group]
    service.running_count, service.pending_count = _running(tasks), _pending(tasks)
    for deployment in service.deployments:
        own = [one for one in tasks if one.started_by == deployment["id"]]
        deployment["runningCount"], deployment["pendingCount"] = _running(own), _pending(own)


def _count_cluster(backend: Any, cluster: Any) -> None:
    tasks = [one for one in cluster_tasks(backend, cluster.name) if not is_stopped(one)]
    cluster.running_tasks_count, cluster.pending_tasks_count = _running(tasks), _pending(tasks)
    instances = backend.container_instances.get(cluster.name, {}).values()
    cluster.registered_container_instances_count = sum(1 for one in instances if one.status != "INACTIVE")
    services = [one for one in backend.services.values() if one.cluster_name == cluster.name]
    cluster.active_services_count = sum(1 for one in services if one.status == "ACTIVE")


def _running(tasks: Iterable[Any]) -> int:
    return sum(1 for one in tasks if one.status == "RUNNING")


def _pending(tasks: Iterable[Any]) -> int:
    return sum(1 for one in tasks if one.status in PENDING and one.desired_status == "RUNNING")
