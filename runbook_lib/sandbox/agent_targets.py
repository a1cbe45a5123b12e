"""Register the tasks of a service with its load balancers, and take them out again.

Changes moto's elbv2 backend and the service's events, under ``World.lock``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.ecs_deployments import add_event


def register(world: Any, ecs: Any, task: Any, ec2_instance_id: str) -> None:
    """Add a task's host ports to the target groups of its service.

    Args:
        world: The sandbox's world, for its lock.
        ecs: moto's ECS backend.
        task: The task's record, with network bindings.
        ec2_instance_id: The host.
    """
    with world.lock:
        for service, arn, port in _targets(ecs, task):
            group = backend("elbv2").target_groups.get(arn)
            if group is not None:
                group.register([{"Id": ec2_instance_id, "Port": port}])
                add_event(service, f"registered 1 targets in (target-group {arn})")


def deregister(world: Any, ecs: Any, task: Any, ec2_instance_id: str) -> bool:
    """Take a task's host ports out of the target groups of its service.

    Returns:
        Whether there were any: connections then drain before the containers are stopped.
    """
    drained = False
    with world.lock:
        for service, arn, port in _targets(ecs, task):
            group = backend("elbv2").target_groups.get(arn)
            target = {"Id": ec2_instance_id, "Port": port}
            if group is not None and target in group.targets.values():
                group.deregister([target])
                add_event(service, f"deregistered 1 targets in (target-group {arn})")
                add_event(service, "has begun draining connections on 1 tasks.")
                drained = True
    return drained


def _targets(ecs: Any, task: Any) -> Iterator[tuple[Any, str, int]]:
    service = ecs.services.get(f"{task.cluster_name}:{task.group.removeprefix('service:')}")
    if not task.group.startswith("service:") or service is None:
        return
    bindings = {
        (container["name"], one["containerPort"]): one["hostPort"]
        for container in task.containers
        for one in container["networkBindings"]
    }
    for balancer in service.load_balancers:
        port = bindings.get((balancer.get("containerName"), balancer.get("containerPort")))
        if port is not None and balancer.get("targetGroupArn"):
            yield service, balancer["targetGroupArn"], port
