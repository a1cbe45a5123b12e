"""Make and change the container instance records that moto's ECS backend holds.

Callers hold ``World.lock``.
"""

from __future__ import annotations

from typing import Any

from moto.ecs.models import ContainerInstance

from runbook_lib.sandbox import ecs_tasks
from runbook_lib.sandbox.ecs_counts import PORTS_OF_THE_HOST

AGENT_VERSION = "1.106.1"
DOCKER_VERSION = "25.0.16"
RESERVED_MEMORY_MIB = 64
RESOURCES = {
    "t3.micro": (2048, 937),
    "t3.small": (2048, 1893),
    "t3.medium": (2048, 3807),
    "t3.large": (2048, 7763),
    "t3a.small": (2048, 1893),
    "t4g.small": (2048, 1838),
    "m5.large": (2048, 7680),
    "m6i.large": (2048, 7680),
}
"""CPU units and MiB of memory that instance types register."""


def register(
    backend: Any, cluster_name: str, ec2_instance_id: str, instance_type: str, attributes: dict[str, str | None]
) -> Any:
    """Register a host, or bring its registration up to date when its agent has started again.

    Args:
        backend: moto's ECS backend.
        cluster_name: The cluster, which must exist.
        ec2_instance_id: The host.
        instance_type: Decides CPU and memory.
        attributes: Capabilities (value None) and attributes of the agent.

    Returns:
        The record.
    """
    instance = find(backend, ec2_instance_id)
    if instance is None:
        region = backend.region_name
        instance = ContainerInstance(ec2_instance_id, backend.account_id, region, cluster_name, backend)
        instance.id = instance.id.replace("-", "")
        instance.registered_resources = _resources(instance_type)
        backend.container_instances.setdefault(cluster_name, {})[instance.id] = instance
        instance.registered_at = ecs_tasks.now()
        instance.version = 0
    instance.attributes.update(attributes)
    for stale in [name for name in instance.attributes if _is_capability(name) and name not in attributes]:
        del instance.attributes[stale]
    instance.agent_connected = True
    instance.version += 1
    instance.version_info = {
        "agentVersion": AGENT_VERSION,
        "agentHash": "*7d3f6c1b",
        "dockerVersion": f"DockerVersion: {DOCKER_VERSION}",
    }
    return instance


def find(backend: Any, ec2_instance_id: str) -> Any:
    """Return the record of a host that is registered now, or None."""
    for instances in backend.container_instances.values():
        for instance in instances.values():
            if instance.ec2_instance_id == ec2_instance_id and instance.status != "INACTIVE":
                return instance
    return None


def deregister(backend: Any, instance: Any) -> None:
    """Take a container instance out of its cluster; its tasks are not stopped here.

    Changes:
        The record becomes INACTIVE and its agent counts as gone.
    """
    instance.status = "INACTIVE"
    instance.agent_connected = False
    for task in ecs_tasks.instance_tasks(backend, instance):
        task.connectivity = "DISCONNECTED"


def _resources(instance_type: str) -> list[dict[str, Any]]:
    cpu, memory = RESOURCES.get(instance_type, (2048, 3807))
    blank = {"doubleValue": 0.0, "longValue": 0, "integerValue": 0}
    return [
        {**blank, "name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {**blank, "name": "MEMORY", "type": "INTEGER", "integerValue": memory - RESERVED_MEMORY_MIB},
        {**blank, "name": "PORTS", "type": "STRINGSET", "stringSetValue": list(PORTS_OF_THE_HOST)},
        {**blank, "name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]


def _is_capability(name: str) -> bool:
    return ".capability." in name
