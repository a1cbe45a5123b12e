"""A container of a real dockerd, as the ECS agent and the sandbox's controls look at it; and what to ask Docker for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.containers import NANOSECONDS, ContainerSpec, EngineError, HealthCheck, Limits, Mount

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.engine import RealEngine

POLL_S = 0.05
LEAST_CPU_SHARES = 2
"""What the ECS agent gives at least, as Linux takes no less."""


class RealContainer:
    """One container at the moment Docker was asked.

    Args:
        engine: Whose.
        facts: What ``GET /containers/ID/json`` said.
    """

    def __init__(self, engine: RealEngine, facts: Mapping[str, Any]) -> None:
        self._engine = engine
        state, config = facts["State"], facts["Config"]
        self.id = str(facts["Id"])
        self.name = str(facts["Name"]).removeprefix("/")
        self.image = str(config["Image"])
        self.image_id = str(facts["Image"])
        self.status = str(state["Status"])
        self.pid = int(state["Pid"])
        self.exit_code = int(state["ExitCode"])
        self.error = str(state.get("Error") or "")
        self.health = str((state.get("Health") or {}).get("Status") or "none")
        self.spec = ContainerSpec(
            name=self.name,
            image=self.image,
            labels=config.get("Labels") or {},
            ports=_ports(facts["HostConfig"].get("PortBindings") or {}),
            stop_timeout_s=float(config.get("StopTimeout") or 10),
        )

    @property
    def log_path(self) -> Path:
        """Return a file with everything it printed, written anew."""
        path = self._engine.host.folder / "container-logs" / f"{self.id}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(self._engine.api.logs(self.id))
        except EngineError:
            path.touch()  # it was removed: what was shipped stays shipped
        return path

    def wait(self, until: Sequence[str], timeout_s: float) -> bool:
        """Wait until it has one of these states; returns whether it has. One that is gone counts as exited."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                status = self._engine.inspect(self.id).status
            except EngineError:
                status = "exited"
            if status in until:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)


def request(spec: ContainerSpec, cgroup_parent: str) -> dict[str, Any]:
    """Return the body of ``POST /containers/create``.

    Args:
        spec: What is asked for.
        cgroup_parent: The control group of the host.
    """
    bindings = {f"{inner}/tcp": [{"HostPort": str(outer)}] for outer, inner in spec.ports}
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "Hostname": spec.hostname,
        "Labels": dict(spec.labels),
        "StopTimeout": int(spec.stop_timeout_s),
        "ExposedPorts": {port: {} for port in bindings},
        "HostConfig": {
            "Binds": [_bind(one) for one in spec.mounts if one.kind == "bind"],
            "Mounts": [_volume(one) for one in spec.mounts if one.kind == "volume"],
            "PortBindings": {} if spec.network_mode == "host" else bindings,
            "NetworkMode": spec.network_mode,
            "RestartPolicy": {"Name": spec.restart},
            "Init": spec.init,
            "CgroupParent": cgroup_parent,
            **_limits(spec.limits),
        },
    }
    if spec.command is not None:
        body["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        body["Entrypoint"] = list(spec.entrypoint)
    if spec.health_check is not None:
        body["Healthcheck"] = _health(spec.health_check)
    return body


def _limits(limits: Limits) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Memory": limits.memory_mib << 20,
        "MemoryReservation": limits.memory_reservation_mib << 20,
        "CpuShares": max(limits.cpu_shares, LEAST_CPU_SHARES) if limits.cpu_shares else 0,
    }
    rows = [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in limits.ulimits.items()]
    return {name: value for name, value in {**found, "Ulimits": rows}.items() if value}


def _bind(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")


def _volume(mount: Mount) -> dict[str, Any]:
    driver = {"Name": mount.driver, "Options": dict(mount.options)} if mount.driver not in {"", "local"} else {}
    return {
        "Type": "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        "VolumeOptions": {"DriverConfig": driver} if driver else {},
    }


def _health(check: HealthCheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": int(check.interval_s * NANOSECONDS),
        "Timeout": int(check.timeout_s * NANOSECONDS),
        "Retries": check.retries,
        "StartPeriod": int(check.start_period_s * NANOSECONDS),
    }


def _ports(bindings: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (int(one["HostPort"]), int(port.partition("/")[0]))
        for port, rows in bindings.items()
        for one in rows or []
        if one.get("HostPort")
    )
