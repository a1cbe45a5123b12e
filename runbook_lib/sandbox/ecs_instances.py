"""Make and change the container instance records that moto's ECS backend holds.

Callers hold ``World.lock``.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import InvalidInstanceTypeError
from moto.ecs.models import ContainerInstance

from runbook_lib.sandbox import ecs_tasks
from runbook_lib.sandbox.ecs_counts import PORTS_OF_THE_HOST

AGENT_VERSION, DOCKER_VERSION = "1.106.1", "25.0.16"
MEMORY_LEFT = 0.93
"""Part of an instance type's memory that the operating system leaves, which is what an agent registers."""
UNKNOWN_TYPE = (2048, 3807)


def register(
    backend: Any,
    cluster_name: str,
    ec2_instance_id: str,
    attributes: dict[str, str | None],
    *,
    resources: tuple[int, int] = UNKNOWN_TYPE,
    versions: tuple[str, str] = (AGENT_VERSION, DOCKER_VERSION),
) -> Any:
    """Register a host, or bring its registration up to date when its agent has started again.

    Args:
        backend: moto's ECS backend.
        cluster_name: The cluster, which must exist.
        ec2_instance_id: The host.
        attributes: Capabilities (value None) and attributes of the agent.
        resources: CPU units and MiB of memory.
        versions: Of the agent and of Docker.

    Returns:
        The record.
    """
    instance = find(backend, ec2_instance_id)
    if instance is None:
        region = backend.region_name
        instance = ContainerInstance(ec2_instance_id, backend.account_id, region, cluster_name, backend)
        instance.id = instance.id.replace("-", "")
        instance.registered_resources = _resources(*resources)
        backend.container_instances.setdefault(cluster_name, {})[instance.id] = instance
        instance.registered_at = ecs_tasks.now()
        instance.version = 0
    instance.attributes.update(attributes)
    for stale in [name for name in instance.attributes if _is_capability(name) and name not in attributes]:
        del instance.attributes[stale]
    instance.agent_connected = True
    instance.version += 1
    instance.version_info = {
        "agentVersion": versions[0],
        "agentHash": "7d3f6c1b",
        "dockerVersion": f"DockerVersion: {versions[1]}",
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


def resources_of(ec2: Any, instance_type: str) -> tuple[int, int]:
    """Return the CPU units and the MiB of memory that a host of an instance type registers.

    Args:
        ec2: moto's EC2 backend.
        instance_type: For example ``t3.small``.
    """
    try:
        found = ec2.describe_instance_types([instance_type])[0]
    except InvalidInstanceTypeError:
        return UNKNOWN_TYPE
    return 1024 * int(found["VCpuInfo"]["DefaultVCpus"]), int(found["MemoryInfo"]["SizeInMiB"] * MEMORY_LEFT)


def _resources(cpu: int, memory: int) -> list[dict[str, Any]]:
    blank = {"doubleValue": 0.0, "longValue": 0, "integerValue": 0}
    return [
        {**blank, "name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {**blank, "name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        {**blank, "name": "PORTS", "type": "STRINGSET", "stringSetValue": list(PORTS_OF_THE_HOST)},
        {**blank, "name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]


def _is_capability(name: str) -> bool:
    return ".capability." in name
