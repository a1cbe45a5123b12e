"""Readers: services all of whose containers mount the data volume read-only, so that several tasks cannot harm it.

Pure. A reader is told from its container definitions and from nothing that somebody could set: the tasks of a reader
run on the one host that has the volume, behind a load balancer, each with a host port of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Containers = Sequence[Mapping[str, Any]]
"""Container definitions as the ECS API takes them. A task has no other volume than the data volume and its folders."""


def only_read(containers: Containers) -> bool:
    """Return whether the containers mount the data volume, and none of them can write to it.

    Args:
        containers: Every container of the task.
    """
    mounts = [mount for one in containers for mount in one.get("mountPoints") or ()]
    return bool(mounts) and all(mount.get("readOnly") is True for mount in mounts)


def only_read_texts(texts: Sequence[Any]) -> bool:
    """Return the same of task definitions as a Terraform plan has them; what is not known yet counts as a writer.

    Args:
        texts: `container_definitions` of each task definition, JSON or None.
    """
    return bool(texts) and all(isinstance(text, str) and only_read(json.loads(text)) for text in texts)


def has_port_of_its_own(containers: Containers) -> bool:
    """Return whether every task gets host ports of its own, so that two can run on one host.

    Args:
        containers: Every container of the task.
    """
    ports = [port for one in containers for port in one.get("portMappings") or ()]
    return bool(ports) and not any(port.get("hostPort") for port in ports)


def may_share_a_host(containers: Containers) -> bool:
    """Return whether behind a load balancer each task can have a host port of its own: it has one port, and reads.

    Args:
        containers: Every container of the task.
    """
    ports = [port for one in containers for port in one.get("portMappings") or ()]
    return len(ports) == 1 and only_read(containers)


def reservation(containers: Containers) -> dict[str, int]:
    """Return what ECS keeps free for one task.

    Args:
        containers: Every container of the task.

    Returns:
        Keys `cpu_units`, `memory_mib`.
    """
    return {
        "cpu_units": sum(one.get("cpu") or 0 for one in containers),
        "memory_mib": sum(one.get("memoryReservation") or one.get("memory") or 0 for one in containers),
    }
