"""Say what containers, images, plugins and volumes are in the words of the Docker API. Pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox import container_process as process
from runbook_lib.sandbox.containers import NANOSECONDS, Container, HealthCheck
from runbook_lib.sandbox.health import check_of

if TYPE_CHECKING:
    from runbook_lib.sandbox.engine import Engine
    from runbook_lib.sandbox.images import Image
    from runbook_lib.sandbox.plugins import Plugin

NO_TIME = "0001-01-01T00:00:00Z"


def container(engine: Engine, one: Container) -> dict[str, Any]:
    """Return what ``docker inspect`` says of a container."""
    image = engine.image_of(one)
    argv = process.command_line(one, image)
    policy, _, count = one.restart.partition(":")
    return {
        "Id": one.id,
        "Created": one.created_utc,
        "Path": argv[0],
        "Args": argv[1:],
        "State": state(one),
        "Image": one.image_id,
        "LogPath": engine.host.guest_path(one.log_path),
        "Name": "/" + one.name,
        "RestartCount": one.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "Mounts": [_mount(one, number) for number in range(len(one.spec.mounts))],
        "HostConfig": {
            "Binds": [f"{m.source}:{m.target}:{'ro' if m.read_only else 'rw'}" for m in one.spec.mounts],
            "NetworkMode": one.spec.network_mode,
            "PortBindings": _ports(one, ""),
            "RestartPolicy": {"Name": policy or "no", "MaximumRetryCount": int(count or 0)},
        },
        "Config": _config(one, image),
        "NetworkSettings": {"IPAddress": one.address, "Ports": _ports(one, "0.0.0.0")},
    }


def state(one: Container) -> dict[str, Any]:
    """Return the ``State`` of a container."""
    facts: dict[str, Any] = {
        "Status": one.status,
        "Running": one.status in {"running", "restarting"},
        "Paused": False,
        "Restarting": one.status == "restarting",
        "OOMKilled": False,
        "Dead": False,
        "Pid": one.pid,
        "ExitCode": one.exit_code,
        "Error": one.error,
        "StartedAt": one.started_utc or NO_TIME,
        "FinishedAt": one.finished_utc or NO_TIME,
    }
    if one.health != "none":
        facts["Health"] = {"Status": one.health, "FailingStreak": one.failing_streak, "Log": one.health_log}
    return facts


def _config(one: Container, image: Image) -> dict[str, Any]:
    env = {**dict(entry.split("=", 1) for entry in image.config.get("Env") or []), **one.spec.environment}
    check = check_of(one, image)
    return {
        "Hostname": process.hostname_of(one),
        "User": one.spec.user or image.config.get("User", ""),
        "ExposedPorts": image.config.get("ExposedPorts") or {},
        "Env": [f"{key}={value}" for key, value in env.items()],
        "Cmd": list(one.spec.command) if one.spec.command is not None else image.config.get("Cmd") or None,
        "Healthcheck": None if check is None else _health_check(check),
        "Image": one.image,
        "Volumes": image.config.get("Volumes") or None,
        "WorkingDir": process.working_dir(one, image),
        "Entrypoint": list(one.spec.entrypoint) if one.spec.entrypoint is not None else image.config.get("Entrypoint"),
        "Labels": {**(image.config.get("Labels") or {}), **one.spec.labels},
        "StopSignal": image.config.get("StopSignal") or signal.SIGTERM.name,
        "StopTimeout": int(one.spec.stop_timeout_s),
    }


def _health_check(check: HealthCheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": int(check.interval_s * NANOSECONDS),
        "Timeout": int(check.timeout_s * NANOSECONDS),
        "StartPeriod": int(check.start_period_s * NANOSECONDS),
        "StartInterval": int(check.start_interval_s * NANOSECONDS),
        "Retries": check.retries,
    }


def _mount(one: Container, number: int) -> dict[str, Any]:
    """Return a mount as Docker tells it: of a volume, what its driver said when the container was made."""
    mount = one.spec.mounts[number]
    is_bind = mount.kind == "bind"
    facts = {
        "Type": mount.kind,
        "Source": mount.source if is_bind else one.told_paths.get(mount.target, ""),
        "Destination": mount.target,
        "Mode": "" if is_bind else "z",
        "RW": not mount.read_only,
        "Propagation": "rprivate" if is_bind else "",
    }
    return facts if is_bind else facts | {"Name": mount.source, "Driver": mount.driver or "local"}


def _ports(one: Container, address: str) -> dict[str, Any]:
    return {f"{inner}/tcp": [{"HostIp": address, "HostPort": str(outer)}] for outer, inner in one.spec.ports}


def container_line(one: Container) -> dict[str, Any]:
    """Return what ``docker ps --format json`` says of a container."""
    status = {"created": "Created", "running": "Up", "restarting": "Restarting"}.get(one.status, "Exited")
    health = "" if one.health == "none" or one.status != "running" else f" ({_shown_health(one.health)})"
    detail = f" ({one.exit_code})" if status in {"Exited", "Restarting"} else ""
    return {
        "Command": f'"{" ".join(one.spec.command or [])}"',
        "CreatedAt": one.created_utc,
        "ID": one.id[:12],
        "Image": one.image,
        "Labels": ",".join(f"{key}={value}" for key, value in one.spec.labels.items()),
        "Mounts": ",".join(mount.source for mount in one.spec.mounts),
        "Names": one.name,
        "Networks": one.spec.network_mode,
        "Ports": ", ".join(f"0.0.0.0:{outer}->{inner}/tcp" for outer, inner in one.spec.ports),
        "State": one.status,
        "Status": f"{status}{detail}{health}",
    }


def _shown_health(health: str) -> str:
    return "health: starting" if health == "starting" else health


def image(one: Image) -> dict[str, Any]:
    """Return what ``docker image inspect`` says of an image."""
    return {
        "Id": one.image_id,
        "RepoTags": [one.reference],
        "RepoDigests": [f"{one.repository}@{one.digest}"],
        "Created": "2026-01-05T00:00:00Z",
        "Architecture": "amd64",
        "Os": "linux",
        "Size": one.size_bytes,
        "Config": dict(one.config),
    }


def plugin(one: Plugin) -> dict[str, Any]:
    """Return what ``docker plugin inspect`` says of a plugin."""
    return {
        "Id": one.id,
        "Name": one.name,
        "PluginReference": one.reference if "@" in one.reference else f"docker.io/{one.reference}",
        "Enabled": one.enabled,
        "Config": {
            "Description": "REX-Ray for Amazon EBS",
            "Interface": {"Socket": "rexray.sock", "Types": ["docker.volumedriver/1.0"]},
            "Network": {"Type": "host"},
            "PropagatedMount": "/var/lib/libstorage/volumes",
            "Linux": {"AllowAllDevices": True, "Capabilities": ["CAP_SYS_ADMIN"]},
        },
        "Settings": {
            "Env": [f"{key}={value}" for key, value in one.env.items()],
            "Args": None,
            "Mounts": [],
            "Devices": [],
        },
    }
