"""Turn container definitions into containers for Docker, as the ECS container agent does. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.sandbox.agent_environment import container_override
from runbook_lib.sandbox.agent_error import TaskError
from runbook_lib.sandbox.containers import ContainerSpec, HealthCheck, Limits, Mount

DEFAULT_STOP_TIMEOUT_S = 30.0
EPHEMERAL_PORTS = range(32768, 61000)
UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def container_spec(
    task: Any,
    definition: Any,
    container: Mapping[str, Any],
    *,
    environment: Mapping[str, str],
    mounts: Sequence[Mount],
    ports: Sequence[tuple[int, int]],
    stop_timeout_s: float,
) -> ContainerSpec:
    """Return the Docker side of one container definition.

    Args:
        task: The task's record.
        definition: The task definition's record.
        container: The container definition.
        environment: Complete, with secrets.
        mounts: What its mount points became.
        ports: (host port, container port), none of them 0.
        stop_timeout_s: Grace period when the definition gives none.
    """
    override = container_override(task, container["name"])
    identity = f"{definition.family}-{definition.revision}-{container['name']}"
    return ContainerSpec(
        name=f"ecs-{identity}-{secrets.token_hex(10)}",
        image=container["image"],
        command=override.get("command") or container.get("command") or None,
        entrypoint=container.get("entryPoint") or None,
        environment=environment,
        user=container.get("user") or "",
        ports=tuple(ports),
        mounts=tuple(mounts),
        health_check=_health_check(container.get("healthCheck")),
        stop_timeout_s=float(container.get("stopTimeout") or stop_timeout_s),
        labels=_labels(task, definition, container),
        network_mode=definition.network_mode or "bridge",
        working_dir=container.get("workingDirectory") or "",
        hostname=container.get("hostname") or "",
        init=bool((container.get("linuxParameters") or {}).get("initProcessEnabled")),
        limits=_limits(container),
    )


def ports_of(container: Mapping[str, Any], network_mode: str, taken: set[int]) -> list[tuple[int, int]]:
    """Return (host port, container port) pairs; host port 0 becomes a free one, as in bridge mode.

    Args:
        container: The container definition.
        network_mode: ``bridge`` or ``host``.
        taken: Host ports in use; what is chosen is added.
    """
    pairs = []
    for one in container.get("portMappings") or []:
        inner = int(one["containerPort"])
        outer = inner if network_mode == "host" else int(one.get("hostPort") or 0)
        outer = outer or next(port for port in EPHEMERAL_PORTS if port not in taken)
        taken.add(outer)
        pairs.append((outer, inner))
    return pairs


def in_order(containers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return container definitions so that each comes after those it depends on.

    Raises:
        TaskError: They depend on each other in a circle.
    """
    waiting, ordered = list(containers), list[dict[str, Any]]()
    while waiting:
        started = {one["name"] for one in ordered}
        ready = [one for one in waiting if {need["containerName"] for need in one.get("dependsOn") or []} <= started]
        if not ready:
            raise TaskError("dependency graph: there is a cycle or an unknown container in dependsOn")
        ordered += ready
        waiting = [one for one in waiting if one not in ready]
    return ordered


def duration_s(text: str, default_s: float) -> float:
    """Return the seconds of a duration in Go's notation, for example ``1m30s``; a default when it is not one."""
    parts = re.findall(r"([\d.]+)(ns|us|ms|s|m|h)", text)
    return sum(float(number) * UNITS_S[unit] for number, unit in parts) if parts else default_s


def _limits(container: Mapping[str, Any]) -> Limits:
    return Limits(
        memory_mib=int(container.get("memory") or 0),
        memory_reservation_mib=int(container.get("memoryReservation") or 0),
        cpu_shares=int(container.get("cpu") or 0),
        ulimits={
            str(one["name"]): (int(one["softLimit"]), int(one["hardLimit"])) for one in container.get("ulimits") or []
        },
    )


def _health_check(check: Mapping[str, Any] | None) -> HealthCheck | None:
    if not check:
        return None
    return HealthCheck(
        test=tuple(check["command"]),
        interval_s=float(check.get("interval") or 30),
        timeout_s=float(check.get("timeout") or 5),
        retries=int(check.get("retries") or 3),
        start_period_s=float(check.get("startPeriod") or 0),
    )


def _labels(task: Any, definition: Any, container: Mapping[str, Any]) -> dict[str, str]:
    return {
        **(container.get("dockerLabels") or {}),
        "com.amazonaws.ecs.cluster": task.cluster_name,
        "com.amazonaws.ecs.container-name": container["name"],
        "com.amazonaws.ecs.task-arn": task.task_arn,
        "com.amazonaws.ecs.task-definition-family": definition.family,
        "com.amazonaws.ecs.task-definition-version": str(definition.revision),
    }
