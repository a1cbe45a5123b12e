"""Read a compose file and bring it into the form of ``docker compose config``. Pure: texts in, mapping out.

Source: Compose specification; output of Docker Compose v2.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

import yaml

VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\})")
DURATIONS = ("interval", "timeout", "start_period", "start_interval")
PROJECT_KEYS = {"name", "services", "volumes", "networks", "version"}


class ComposeError(Exception):
    """The project cannot be read; the text is what compose prints."""


def load(text: str, *, file: str, project: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a project in its resolved form.

    Args:
        text: The compose file.
        file: Its absolute path on the host; relative paths count from its folder.
        project: Name given with ``-p``, or "".
        variables: What ``${NAME}`` stands for.

    Raises:
        ComposeError: It is no compose file, or holds what is not simulated.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ComposeError(f"yaml: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("services"), dict):
        raise ComposeError(f"{file}: no service selected: services must be a mapping")
    if unknown := sorted(key for key in data if key not in PROJECT_KEYS and not str(key).startswith("x-")):
        raise ComposeError(f"{file}: additional properties '{unknown[0]}' not allowed (or not simulated)")
    data = _interpolated(data, variables)
    folder = posixpath.dirname(file)
    name = project or str(data.get("name") or re.sub(r"[^a-z0-9_-]", "", posixpath.basename(folder).lower()))
    volumes = {key: _volume(key, value or {}, name) for key, value in (data.get("volumes") or {}).items()}
    services = {key: _service(key, value, folder, volumes) for key, value in sorted(data["services"].items())}
    result: dict[str, Any] = {
        "name": name,
        "networks": {"default": {"name": f"{name}_default", "ipam": {}}},
        "services": services,
    }
    if volumes:
        result["volumes"] = volumes
    return result


def _interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one, variables) for one in value]
    return VARIABLE.sub(lambda found: _variable(found, variables), value) if isinstance(value, str) else value


def _variable(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found[1]:
        return "$"
    name, sign, other = found[2] or found[3], found[4] or "", found[5] or ""
    value = variables.get(name)
    is_set = value is not None and not (sign.startswith(":") and value == "")
    if sign.endswith("?") and not is_set:
        raise ComposeError(f"required variable {name} is missing a value: {other}")
    if sign.endswith("+"):
        return other if is_set else ""
    return (value or "") if is_set or not sign.endswith("-") else other


def _volume(key: str, value: Mapping[str, Any], project: str) -> dict[str, Any]:
    name = value.get("name") or (key if value.get("external") else f"{project}_{key}")
    return {**value, "name": name}


def _service(key: str, value: Any, folder: str, volumes: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ComposeError(f"services.{key} must be a mapping")
    service: dict[str, Any] = {"command": None, "entrypoint": None, **value}
    for name in ("command", "entrypoint"):
        if isinstance(service[name], str):
            service[name] = shlex.split(service[name])
    service["networks"] = service.get("networks") or {"default": None}
    forms: dict[str, Callable[[Any], Any]] = {
        "environment": _mapping,
        "labels": _mapping,
        "ports": lambda entries: [port for entry in entries for port in _ports(key, entry)],
        "volumes": lambda entries: [_mount(key, entry, folder, volumes) for entry in entries],
        "healthcheck": _health_check,
        "stop_grace_period": lambda text: duration(seconds(text)),
        "depends_on": _depends_on,
    }
    for name, form in forms.items():
        if value.get(name) is not None:
            service[name] = form(value[name])
    return dict(sorted(service.items()))


def _depends_on(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {name: {"condition": "service_started", "required": True} for name in value}


def _mapping(value: Any) -> dict[str, str | None]:
    if isinstance(value, list):
        return {text.partition("=")[0]: text.partition("=")[2] if "=" in text else None for text in map(str, value)}
    return {str(key): None if one is None else _plain(one) for key, one in dict(value).items()}


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ports(key: str, entry: Any) -> list[dict[str, Any]]:
    if isinstance(entry, dict):
        port = {"mode": "ingress", "protocol": "tcp", **entry}
        return [{**port, "target": int(port["target"]), "published": str(port.get("published", ""))}]
    text, _, protocol = str(entry).partition("/")
    parts = text.rsplit(":", 2)
    if not all(part.isdigit() for part in parts[-2:]):
        raise ComposeError(f"services.{key}.ports: the simulated engine knows HOST:CONTAINER ports, got {entry!r}")
    port = {"mode": "ingress", "target": int(parts[-1]), "protocol": protocol or "tcp"}
    if len(parts) > 1:
        port["published"] = parts[-2]
    if len(parts) > 2:  # noqa: PLR2004 - address, host port, container port
        port["host_ip"] = parts[0]
    return [port]


def _mount(key: str, entry: Any, folder: str, volumes: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(entry, dict):
        mount = dict(entry)
    else:
        parts = str(entry).split(":")
        if len(parts) == 1:
            return {"type": "volume", "target": parts[0], "volume": {}}
        is_path = parts[0].startswith(("/", ".", "~"))
        mount = {"type": "bind" if is_path else "volume", "source": parts[0], "target": parts[1]}
        mount |= {"bind": {"create_host_path": True}} if is_path else {"volume": {}}
        if "ro" in (parts[2].split(",") if len(parts) > 2 else []):  # noqa: PLR2004 - source, target, mode
            mount["read_only"] = True
    if mount.get("type") == "bind":
        mount["source"] = posixpath.normpath(posixpath.join(folder, str(mount["source"])))
    elif mount.get("type") == "volume":
        if mount.get("source") and mount["source"] not in volumes:
            raise ComposeError(f'service "{key}" refers to undefined volume {mount["source"]}: invalid compose project')
    elif mount.get("type") != "tmpfs":
        raise ComposeError(f"services.{key}.volumes: the simulated engine does not know type {mount.get('type')!r}")
    return mount


def _health_check(value: Mapping[str, Any]) -> dict[str, Any]:
    check = dict(value)
    if check.get("disable"):
        return {"disable": True}
    if isinstance(check.get("test"), str):
        check["test"] = ["CMD-SHELL", check["test"]]
    for name in DURATIONS:
        if name in check:
            check[name] = duration(seconds(check[name]))
    return check


def seconds(value: Any) -> float:
    """Return a compose duration in seconds.

    Raises:
        ComposeError: It is not one.
    """
    text = str(value)
    scale = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001, "ns": 0.000000001}
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|us|ns|m|s))+", text):
        raise ComposeError(f"invalid duration {text!r}")
    return sum(float(number) * scale[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|us|ns|m|s)", text))


def duration(total_s: float) -> str:
    """Return seconds as Go writes a duration."""
    if 0 < total_s < 1:
        return f"{total_s * 1000:g}ms"
    hours, rest = divmod(total_s, 3600)
    minutes, left_s = divmod(rest, 60)
    text = (f"{hours:g}h" if hours else "") + (f"{minutes:g}m" if hours or minutes else "")
    return text + f"{left_s:g}s"
