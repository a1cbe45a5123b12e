"""What counts of what Amazon ECS shows, as plain facts. Calls nothing."""

from __future__ import annotations

from typing import Any


def task_facts(task: dict[str, Any]) -> dict[str, Any]:
    """Return what counts of a task.

    Args:
        task: As DescribeTasks shows it.

    Returns:
        Keys as `Ecs.tasks`.
    """
    return {
        "task_arn": task["taskArn"],
        "task_definition_arn": task.get("taskDefinitionArn", ""),
        "last_status": task.get("lastStatus", ""),
        "desired_status": task.get("desiredStatus", ""),
        "health_status": task.get("healthStatus", "UNKNOWN"),
        "container_instance_arn": task.get("containerInstanceArn", ""),
        "stopped_reason": task.get("stoppedReason", ""),
        "started_utc": task["startedAt"].isoformat() if task.get("startedAt") else "",
        "host_ports": [
            {"container": c["name"], "container_port": b.get("containerPort", 0), "host_port": b.get("hostPort", 0)}
            for c in task.get("containers", [])
            for b in c.get("networkBindings", [])
        ],
        "containers": [
            {"name": c["name"], "last_status": c.get("lastStatus", ""), "reason": c.get("reason", "")}
            for c in task.get("containers", [])
        ],
    }


def deployment_facts(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return what counts of a deployment.

    Args:
        deployment: As DescribeServices shows it.

    Returns:
        Keys `status, task_definition_arn, rollout_state, failed_tasks`.
    """
    return {
        "status": deployment["status"],
        "task_definition_arn": deployment["taskDefinition"],
        "rollout_state": deployment.get("rolloutState", ""),
        "failed_tasks": deployment.get("failedTasks", 0),
    }


def resource_facts(resources: list[dict[str, Any]]) -> dict[str, int]:
    """Return how much of a container instance is left for tasks.

    Args:
        resources: `remainingResources`, as DescribeContainerInstances shows them.

    Returns:
        Keys `cpu_units`, `memory_mib`.
    """
    amounts = {one["name"]: int(one.get("integerValue", 0)) for one in resources}
    return {"cpu_units": amounts.get("CPU", 0), "memory_mib": amounts.get("MEMORY", 0)}
