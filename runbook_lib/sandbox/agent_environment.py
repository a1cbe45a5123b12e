"""What the containers of a task are told: environment, overrides, and secrets read from SSM and Secrets Manager.

Reads moto's backends under ``World.lock``; changes nothing. Secret values go to containers only, never to a record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox.agent_error import TaskError
from runbook_lib.sandbox.agent_role import refusal
from runbook_lib.sandbox.backends import backend

UNRESOLVED = "ResourceInitializationError: unable to pull secrets or registry auth"


def container_override(task: Any, name: str) -> dict[str, Any]:
    """Return what RunTask overrides of one container, {} for nothing."""
    overrides = (task.overrides or {}).get("containerOverrides") or []
    found: dict[str, Any] = next((one for one in overrides if one.get("name") == name), {})
    return found


def environment(
    world: Any, task: Any, definition: Any, container: Mapping[str, Any], *, host_role: str
) -> dict[str, str]:
    """Return the environment of a container.

    Args:
        world: The sandbox's world, for its lock.
        task: The task's record.
        definition: The task definition's record.
        container: The container definition.
        host_role: Name of the host's role.

    Raises:
        TaskError: A secret does not exist, or the role may not read it.
    """
    override = container_override(task, container["name"])
    given = [*(container.get("environment") or []), *(override.get("environment") or [])]
    values = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2", **{one["name"]: one["value"] for one in given}}
    for secret in container.get("secrets") or []:
        reference = secret["valueFrom"]
        with world.lock:
            kind = _from_secrets_manager if ":secretsmanager:" in reference else _from_parameter_store
            values[secret["name"]] = kind(reference, definition, host_role)
    return values


def _from_parameter_store(reference: str, definition: Any, host_role: str) -> str:
    ssm = backend("ssm")
    name = reference.rsplit(":parameter", maxsplit=1)[-1].removeprefix("/")
    resource = f"arn:aws:ssm:{ssm.region_name}:{ssm.account_id}:parameter/{name}"
    found = ssm.get_parameters([reference]).get(reference)
    problem = refusal(definition, host_role, "ssm:GetParameters", resource)
    if problem or found is None:
        problem = problem or f"invalid parameters: {reference}"
        where = f"fetching secret data from SSM Parameter Store in {ssm.region_name}"
        raise TaskError(f"{UNRESOLVED}: {where}: {problem}")
    return str(found.decrypt(found.value))


def _from_secrets_manager(reference: str, definition: Any, host_role: str) -> str:
    arn = ":".join(reference.split(":")[:7])
    manager = backend("secretsmanager")
    secret = manager.secrets.get(arn)
    problem = refusal(definition, host_role, "secretsmanager:GetSecretValue", arn)
    if problem or secret is None or secret.is_deleted():
        missing = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
        raise TaskError(f"{UNRESOLVED}: unable to retrieve secret from asm: {problem or missing}")
    return str(manager.get_secret_value(secret_id=arn, version_id="", version_stage="")["SecretString"])
