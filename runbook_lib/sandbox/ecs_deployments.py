"""Make and change the deployments and events of a service record in moto's ECS backend.

Callers hold ``World.lock``. Which tasks start and stop is decided in ``scheduler``.
"""

from __future__ import annotations

import uuid
from typing import Any

from moto.moto_api._internal import mock_random

from runbook_lib.sandbox.ecs_tasks import now

MAXIMUM_EVENTS = 100


def new_deployment(service: Any) -> dict[str, Any]:
    """Make a new PRIMARY deployment of what the service record now says; the others become ACTIVE.

    Args:
        service: moto's ``Service`` with the attributes set by ``patches.ecs_services``.

    Returns:
        The deployment, first in ``service.deployments``.
    """
    for older in service.deployments:
        older["status"] = "ACTIVE"
    identity = f"ecs-svc/{mock_random.randint(10**18, 10**19 - 1)}"
    moment = now()
    deployment: dict[str, Any] = {
        "id": identity,
        "status": "PRIMARY",
        "taskDefinition": service.task_definition,
        "desiredCount": service.desired_count,
        "pendingCount": 0,
        "runningCount": 0,
        "failedTasks": 0,
        "createdAt": moment,
        "updatedAt": moment,
        "launchType": service.launch_type,
        "capacityProviderStrategy": service.capacity_provider_strategy,
        "rolloutState": "IN_PROGRESS",
        "rolloutStateReason": f"ECS deployment {identity} in progress.",
    }
    service.deployments.insert(0, deployment)
    service.is_steady = False
    return deployment


def primary(service: Any) -> dict[str, Any]:
    """Return the deployment that the service is going to."""
    found: dict[str, Any] = service.deployments[0]
    return found


def set_rollout(deployment: dict[str, Any], state: str, reason: str) -> None:
    """Record how a deployment stands."""
    deployment["rolloutState"] = state
    deployment["rolloutStateReason"] = reason
    deployment["updatedAt"] = now()


def complete(service: Any) -> None:
    """Record that the PRIMARY deployment has reached its end."""
    deployment = primary(service)
    set_rollout(deployment, "COMPLETED", f"ECS deployment {deployment['id']} completed.")
    service.last_completed = {"id": deployment["id"], "taskDefinition": deployment["taskDefinition"]}
    add_event(service, f"(deployment {deployment['id']}) deployment completed.")


def fail(service: Any) -> None:
    """Trip the circuit breaker: the deployment is FAILED and, if asked for, the last completed one comes back."""
    failed = primary(service)
    set_rollout(failed, "FAILED", "ECS deployment circuit breaker: tasks failed to start.")
    add_event(service, f"(deployment {failed['id']}) deployment failed: tasks failed to start.")
    back = service.last_completed
    if not breaker(service).get("rollback") or back is None:
        return
    service.task_definition = back["taskDefinition"]
    deployment = new_deployment(service)
    service.deployments[:] = [deployment, *(one for one in service.deployments[1:] if one["id"] != back["id"])]
    deployment["id"] = back["id"]
    reason = f"ECS deployment circuit breaker: rolling back to deploymentId {back['id']}."
    set_rollout(deployment, "IN_PROGRESS", reason)
    add_event(service, f"rolling back to deployment {back['id']}.")


def breaker(service: Any) -> dict[str, Any]:
    """Return the circuit breaker's settings."""
    found: dict[str, Any] = service.deployment_configuration.get("deploymentCircuitBreaker") or {}
    return found


def add_event(service: Any, text: str) -> None:
    """Add an event, newest first, in the words of Amazon ECS: ``(service NAME) TEXT``."""
    event = {"id": str(uuid.uuid4()), "createdAt": now(), "message": f"(service {service.name}) {text}"}
    service.events.insert(0, event)
    del service.events[MAXIMUM_EVENTS:]
