"""Make moto's task definitions complete: defaults, required attributes and times, as Amazon ECS returns them.

Replaces RegisterTaskDefinition's and DeregisterTaskDefinition's backend methods.
"""

from __future__ import annotations

from typing import Any

from moto.ecs.exceptions import EcsClientException
from moto.ecs.models import EC2ContainerServiceBackend

from runbook_lib.sandbox.backends import install
from runbook_lib.sandbox.ecs_tasks import now
from runbook_lib.sandbox.placement import required_attributes

_register = EC2ContainerServiceBackend.register_task_definition
_deregister = EC2ContainerServiceBackend.deregister_task_definition


def apply() -> None:
    """Install the replacements.

    Changes:
        moto's ECS backend, for the whole process.
    """
    install(EC2ContainerServiceBackend, "register_task_definition", _register_definition)
    install(EC2ContainerServiceBackend, "deregister_task_definition", _deregister_definition)


def _register_definition(self: Any, family: str, container_definitions: list[dict[str, Any]], **rest: Any) -> Any:
    containers = [_complete_container(dict(one)) for one in container_definitions]
    volumes = [dict(one) for one in rest.pop("volumes", None) or []]
    for volume in volumes:
        _complete_volume(volume)
    _check_mount_points(containers, {one["name"] for one in volumes})
    _check_dependencies({one["name"]: one for one in containers})
    if any(one.get("secrets") for one in containers) and not rest.get("execution_role_arn"):
        raise EcsClientException(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )
    definition = _register(self, family, containers, volumes=volumes, **rest)
    definition.registered_at = now()
    definition.registered_by = f"arn:aws:iam::{self.account_id}:root"
    definition.requires_attributes = [{"name": name} for name in required_attributes(definition)]
    return definition


def _deregister_definition(self: Any, name: str) -> Any:
    definition = _deregister(self, name)
    definition.deregistered_at = now()
    return definition


def _complete_container(container: dict[str, Any]) -> dict[str, Any]:
    container["portMappings"] = [
        {"hostPort": 0, "protocol": "tcp", **one} for one in container.get("portMappings") or []
    ]
    check = container.get("healthCheck")
    if check:
        container["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3, **check}
    return container


def _complete_volume(volume: dict[str, Any]) -> None:
    settings = volume.get("dockerVolumeConfiguration")
    if settings is None:
        return
    if (volume.get("host") or {}).get("sourcePath"):
        raise EcsClientException("Only one volume configuration can be specified for a volume.")
    if settings.get("autoprovision") and settings.get("scope") != "shared":
        raise EcsClientException("Autoprovision can only be used with scope shared.")
    volume["dockerVolumeConfiguration"] = {"scope": "task", "driver": "local", **settings}
    if volume["dockerVolumeConfiguration"]["scope"] == "shared":
        volume["dockerVolumeConfiguration"].setdefault("autoprovision", False)


def _check_dependencies(containers: dict[str, dict[str, Any]]) -> None:
    """Refuse an order that cannot be kept.

    Source: Amazon ECS API reference, ContainerDependency and `links` of ContainerDefinition.
    """
    if not any(one.get("essential", True) for one in containers.values()):
        raise EcsClientException("Invalid setting for container. At least one container must be essential.")
    for name, container in containers.items():
        linked = {link.partition(":")[0] for link in container.get("links") or []}
        if unknown := linked - containers.keys():
            raise EcsClientException(f"Container {name} links to unknown container {min(unknown)}.")
        for need in container.get("dependsOn") or []:
            _check_need(name, need, containers)


def _check_need(name: str, need: dict[str, Any], containers: dict[str, dict[str, Any]]) -> None:
    other, condition = containers.get(need["containerName"]), need["condition"]
    if other is None or other["name"] == name:
        raise EcsClientException(
            f"Container {name} depends on unknown container {need['containerName']}, or on itself."
        )
    if condition in {"COMPLETE", "SUCCESS"} and other.get("essential", True):
        raise EcsClientException(f"An essential container cannot be depended on with {condition}: {other['name']}.")
    if condition == "HEALTHY" and not other.get("healthCheck"):
        raise EcsClientException(f"Container {other['name']} needs a healthCheck for the condition HEALTHY.")


def _check_mount_points(containers: list[dict[str, Any]], volumes: set[str]) -> None:
    for container in containers:
        for mount in container.get("mountPoints") or []:
            if mount.get("sourceVolume") not in volumes:
                raise EcsClientException(f"Unknown volume '{mount.get('sourceVolume')}'.")
