"""What the containers of a task are told: environment, overrides, and secrets read from SSM and Secrets Manager.

Reads moto's backends under ``World.lock``; changes nothing. Secret values go to containers only, never to a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox.agent_problem import TaskProblem
from runbook_lib.sandbox.backends import backend

UNRESOLVED = "ResourceInitializationError: unable to pull secrets or registry auth"


def container_override(task: Any, name: str) -> dict[str, Any]:
    """Return what RunTask overrides of one container, {} for nothing."""
    overrides = (task.overrides or {}).get("containerOverrides") or []
    found: dict[str, Any] = next((one for one in overrides if one.get("name") == name), {})
    return found


def environment(world: Any, task: Any, container: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a container.

    Args:
        world: The sandbox's world, for its lock.
        task: The task's record.
        container: The container definition.

    Raises:
        TaskProblem: A secret does not exist.
    """
    override = container_override(task, container["name"])
    given = [*(container.get("environment") or []), *(override.get("environment") or [])]
    values = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", **{one["name"]: one["value"] for one in given}}
    for secret in container.get("secrets") or []:
        with world.lock:
            values[secret["name"]] = _secret(secret["valueFrom"])
    return values


def _secret(reference: str) -> str:
    if ":secretsmanager:" in reference:
        return _from_secrets_manager(reference)
    ssm = backend("ssm")
    found = ssm.get_parameters([reference]).get(reference)
    if found is None:
        raise TaskProblem(
            f"{UNRESOLVED}: fetching secret data from SSM Parameter Store in {ssm.region_name}: "
            f"invalid parameters: {reference}"
        )
    return str(found.decrypt(found.value))


def _from_secrets_manager(reference: str) -> str:
    arn = ":".join(reference.split(":")[:7])
    manager = backend("secretsmanager")
    secret = manager.secrets.get(arn)
    if secret is None or secret.is_deleted():
        raise TaskProblem(
            f"{UNRESOLVED}: unable to retrieve secret from asm: ResourceNotFoundException: "
            "Secrets Manager can't find the specified secret."
        )
    return str(manager.get_secret_value(secret_id=arn, version_id="", version_stage="")["SecretString"])
