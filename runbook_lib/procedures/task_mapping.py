"""The containers of a running task as evidence `task-mapping` has them, read from its task definition."""

from __future__ import annotations

import json
from typing import Any

from runbook_lib.model import Facts


def mapping_of(definition: Facts, current: Facts, volume_name: str, main: str) -> dict[str, Any]:
    """Return the containers of a task definition as evidence `task-mapping` has them.

    Args:
        definition: As `Ecs.task_definition`.
        current: As `volume_of`.
        volume_name: Name of the volume in the next revision.
        main: The container that serves, where several see the volume.

    Returns:
        Keys `container_definitions, container_name, container_path, container_port, host_port, image, secret_arns`.
    """
    definitions = [_without_empty(one) for one in definition["containerDefinitions"]]
    serving: dict[str, Any] = {}
    path = ""
    for one in definitions:
        for mount in one.get("mountPoints", []):
            if mount["sourceVolume"] == current["volume_name"]:
                if not serving or (one["name"] == main and serving["name"] != main):
                    serving, path = one, mount["containerPath"]
                mount["sourceVolume"] = volume_name
    port: dict[str, Any] = next(iter(serving.get("portMappings", [])), {})
    secrets = [secret["valueFrom"] for one in definitions for secret in one.get("secrets", [])]
    return {
        "container_definitions": definitions,
        "container_name": serving.get("name", ""),
        "container_path": path,
        "container_port": port.get("containerPort", 0),
        "host_port": port.get("hostPort", 0),
        "image": serving.get("image", ""),
        "secret_arns": [secret for secret in secrets if secret.startswith("arn:")],
    }


def _without_empty(definition: Facts) -> dict[str, Any]:
    """Return a container definition without what ECS fills in for what was not given, as a copy."""
    copied: dict[str, Any] = json.loads(json.dumps(definition))
    return {key: value for key, value in copied.items() if value not in ([], {}, None, "")}
