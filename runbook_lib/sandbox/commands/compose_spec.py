"""Turn a service of a resolved compose project into what the engine starts. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox.commands.compose import ComposeError, seconds
from runbook_lib.sandbox.containers import ContainerSpec, HealthCheck, Mount

SIMULATED = {
    "command", "container_name", "depends_on", "entrypoint", "environment", "healthcheck", "hostname", "image", "init",
    "labels", "network_mode", "networks", "ports", "restart", "stop_grace_period", "user", "volumes", "working_dir",
}  # fmt: skip
HARMLESS = {
    "cap_drop", "cpus", "deploy", "expose", "logging", "mem_limit", "mem_reservation", "memswap_limit", "read_only",
    "security_opt", "shm_size", "stop_signal", "sysctls", "tmpfs", "tty", "ulimits",
}  # fmt: skip
"""Keys that a process on the sandbox's machine does not feel; they stay visible in ``config``."""
DEFAULT_GRACE_S = 10.0


def checked(name: str, service: Mapping[str, Any]) -> None:
    """Refuse a service that would run otherwise than written.

    Raises:
        ComposeError: It has a key that is neither simulated nor harmless.
    """
    unknown = [key for key in service if key not in SIMULATED | HARMLESS and not key.startswith("x-")]
    if unknown:
        raise ComposeError(f"services.{name}.{unknown[0]}: the simulated engine cannot do this")
    if not service.get("image"):
        raise ComposeError(f"services.{name}: the simulated engine needs an image, it builds nothing")


def spec_of(config: Mapping[str, Any], name: str, file: str, digest: str) -> ContainerSpec:
    """Return the container of a service.

    Args:
        config: The resolved project.
        name: The service.
        file: The compose file's path on the host.
        digest: Of the service's settings.
    """
    service = config["services"][name]
    labels = {
        "com.docker.compose.project": config["name"],
        "com.docker.compose.service": name,
        "com.docker.compose.config-hash": digest,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.config_files": file,
        "com.docker.compose.project.working_dir": posixpath.dirname(file),
    }
    grace = service.get("stop_grace_period")
    return ContainerSpec(
        name=service.get("container_name") or f"{config['name']}-{name}-1",
        image=service["image"],
        command=service.get("command"),
        entrypoint=service.get("entrypoint"),
        environment={key: value or "" for key, value in (service.get("environment") or {}).items()},
        user=str(service.get("user") or ""),
        ports=[
            (int(port["published"]), port["target"]) for port in service.get("ports") or [] if port.get("published")
        ],
        mounts=[_mount(entry, config) for entry in service.get("volumes") or [] if entry["type"] != "tmpfs"],
        health_check=_health(service.get("healthcheck")),
        stop_timeout_s=seconds(grace) if grace else DEFAULT_GRACE_S,
        restart=str(service.get("restart") or "no"),
        labels={**labels, **(service.get("labels") or {})},
        network_mode=service.get("network_mode") or f"{config['name']}_default",
        working_dir=service.get("working_dir") or "",
        hostname=service.get("hostname") or "",
        init=bool(service.get("init")),
    )


def _mount(entry: Mapping[str, Any], config: Mapping[str, Any]) -> Mount:
    read_only = bool(entry.get("read_only"))
    if entry["type"] == "bind":
        creates = bool((entry.get("bind") or {}).get("create_host_path"))
        return Mount("bind", entry["source"], entry["target"], read_only=read_only, create_source=creates)
    if not entry.get("source"):
        raise ComposeError(f"volumes: {entry['target']}: the simulated engine needs a name or a path")
    volume = config["volumes"][entry["source"]]
    options = {str(key): str(value) for key, value in (volume.get("driver_opts") or {}).items()}
    return Mount("volume", volume["name"], entry["target"], volume.get("driver") or "", read_only, options=options)


def _health(check: Mapping[str, Any] | None) -> HealthCheck | None:
    if check is None:
        return None
    if check.get("disable"):
        return HealthCheck(("NONE",))
    return HealthCheck(
        test=tuple(check["test"]),
        interval_s=seconds(check.get("interval", "30s")),
        timeout_s=seconds(check.get("timeout", "30s")),
        retries=int(check.get("retries", 3)),
        start_period_s=seconds(check.get("start_period", "0s")),
        start_interval_s=seconds(check.get("start_interval", "5s")),
    )
