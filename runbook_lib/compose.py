"""Turn a compose service into an ECS container definition, saying of every key what became of it.

Pure. A key is mapped, dropped with its consequence, or refused with its fix; nothing is left out silently. Values that
look like secrets never reach the definition: they are refused unless `target.secrets` holds a reference for them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from runbook_lib.compose_convert import DROPPED, MAPPED, Draft, add_tmpfs
from runbook_lib.compose_keys import KEYS
from runbook_lib.compose_values import MountedPath, read_mount, read_pairs
from runbook_lib.errors import ParameterError
from runbook_lib.model import KeyMapping, TaskMapping
from runbook_lib.parameters import Parameters, read_yaml, secret_in

DEFAULT_CPU = 256
DEFAULT_STOP_S = 30
_TIME_FILES = ("/etc/localtime", "/etc/timezone")


def parse_config(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a compose configuration as the host script ``compose_config`` read it.

    Args:
        answer: Its result: ``format`` ``json`` with ``config``, or ``yaml`` with ``text``.

    Returns:
        The configuration with its services.

    Raises:
        ParameterError: when the text is no compose configuration.
    """
    if answer["format"] == "json":
        config = answer["config"]
    else:
        document = read_yaml(answer["text"], "docker-compose config")
        if document.problems:
            raise ParameterError(document.problems)
        config = document.data
    if not isinstance(config, dict) or not isinstance(config.get("services"), dict):
        raise ParameterError(["docker compose config: has no services. Fix: check source.compose_file"])
    return {key: _unescaped(value) for key, value in config.items()}


def _unescaped(value: Any) -> Any:
    """Return values as the container gets them: `docker compose config` prints each `$` twice."""
    if isinstance(value, Mapping):
        return {key: _unescaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_unescaped(inner) for inner in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def map_service(config: Mapping[str, Any], parameters: Parameters) -> TaskMapping:
    """Return the container definition of the compose service that moves.

    Args:
        config: What `docker compose config` says; see `parse_config`.
        parameters: The migration: which service, which volume, and what replaces the compose file's values.

    Returns:
        The definition and one mapping for each key. When a mapping is ``refused`` the definition is incomplete and
        must not be used.

    Raises:
        ParameterError: when the configuration has no such service.
    """
    name = parameters.source.service
    service = config["services"].get(name)
    if service is None:
        known = ", ".join(sorted(config["services"])) or "none"
        raise ParameterError(
            [f"migration.source.service is {name}; rule: a service of the compose file. Fix: one of {known}"]
        )
    draft = Draft(name, {"name": name.replace(".", "-"), "essential": True})
    for key, value in sorted(service.items()):
        if key in ("image", "environment", "volumes") or _is_absent(key, value):
            continue
        _apply(key, value, draft)
    _map_image(service, parameters, draft)
    _map_environment(service, parameters, draft)
    container_path, sub_path = _map_volumes(config, service, parameters, draft)
    _map_resources(parameters, draft)
    _note_other_services(config, parameters, draft)
    return _task(draft, parameters, container_path, sub_path)


def refused(mapping: TaskMapping) -> tuple[KeyMapping, ...]:
    """Return the keys that keep a service from moving.

    Args:
        mapping: What `map_service` returned.

    Returns:
        The refused keys with their fixes; empty when the definition can be used.
    """
    return tuple(one for one in mapping.mappings if one.outcome == "refused")


def secret_arn(reference: str, parameters: Parameters) -> str:
    """Return what ECS reads a secret by.

    Args:
        reference: ``ssm:<name>`` or ``secretsmanager:<ARN>``.
        parameters: The migration, for account and Region.

    Returns:
        The ARN; for Secrets Manager possibly with ``:<JSON key>:<stage>:<version>`` behind it.
    """
    kind, _, name = reference.partition(":")
    if kind == "secretsmanager":
        return name
    region = parameters.aws.region
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")
    return f"arn:{partition}:ssm:{region}:{parameters.aws.account_id}:parameter/{name.removeprefix('/')}"


def _is_absent(key: str, value: Any) -> bool:
    """Return whether a key says nothing; an empty command or entrypoint says that the image's is cleared."""
    cleared = key in ("command", "entrypoint") and value is not None
    return key.startswith("x-") or (not cleared and value in (None, False, "", 0, [], {}))


def _apply(key: str, value: Any, draft: Draft) -> None:
    known = KEYS.get(key)
    if known is None:
        draft.refuse(key, "unknown to this release, and leaving it out could change the service; remove it")
        return
    try:
        known.apply(key, value, draft)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        draft.refuse(key, f"cannot be read ({error}); correct it")


def _map_image(service: Mapping[str, Any], parameters: Parameters, draft: Draft) -> None:
    image = parameters.target.image or service.get("image")
    if not image:
        draft.refuse("image", "the service is built, not pulled; push the image to a registry and set target.image")
        return
    replaced = "target.image replaces it." if parameters.target.image else ""
    draft.put("image", "image", image, replaced)


def _map_environment(service: Mapping[str, Any], parameters: Parameters, draft: Draft) -> None:
    target = parameters.target
    found = read_pairs(service.get("environment") or {})
    values: dict[str, str] = {}
    for name in sorted(found.keys() | target.environment.keys() | target.secrets.keys()):
        key = f"environment.{name}"
        value = target.environment.get(name, found.get(name))
        if name in target.secrets:
            secret = {"name": name, "valueFrom": secret_arn(target.secrets[name], parameters)}
            draft.definition.setdefault("secrets", []).append(secret)
            draft.note(key, MAPPED, "secrets", "Read from its reference when the task starts.")
        elif value is None:
            draft.refuse(key, f"its value comes from whoever starts compose; set it in target.environment.{name}")
        elif reason := secret_in(name, str(value), not_secret=name in target.not_secret):
            draft.refuse(
                key, f"{reason}; name a reference in target.secrets.{name}, or target.not_secret if it is none"
            )
        else:
            values[name] = _environment_text(value)
            replaced = "target.environment replaces it." if name in target.environment else ""
            draft.note(key, MAPPED, "environment", replaced)
    if values:
        draft.definition["environment"] = [{"name": name, "value": text} for name, text in values.items()]


def _environment_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _map_volumes(
    config: Mapping[str, Any], service: Mapping[str, Any], parameters: Parameters, draft: Draft
) -> tuple[str, str]:
    """Map the mounts of the service; return (container path, sub-path) of the first one on the data volume."""
    source_volume = parameters.storage.volume_name
    found: list[tuple[str, str]] = []
    for index, entry in enumerate(service.get("volumes") or ()):
        mount, key = read_mount(entry), f"volumes[{index}]"
        if mount.kind == "tmpfs":
            size = mount.options.get("size")
            add_tmpfs(key, mount.target, [f"size={size}"] if size else [], draft)
            continue
        sub_path = sub_path_of(mount, config, parameters)
        if sub_path is None:
            _map_other_mount(key, mount, draft)
            continue
        found.append((mount.target, sub_path))
        point = {"sourceVolume": source_volume, "containerPath": mount.target, "readOnly": mount.read_only}
        draft.definition.setdefault("mountPoints", []).append(point)
        draft.note(key, MAPPED, "mountPoints", f"The data volume{f', its folder {sub_path}' if sub_path else ''}.")
    _check_sub_paths(found, parameters, draft)
    return found[0] if found else ("", "")


def sub_path_of(mount: MountedPath, config: Mapping[str, Any], parameters: Parameters) -> str | None:
    """Return which folder of the data volume a mount shows.

    Args:
        mount: A mount of some service.
        config: The compose configuration, for named volumes.
        parameters: The migration, for the mount path.

    Returns:
        The path below the volume's root, "" for the root; None when the mount is not on the data volume.
    """
    source = mount.source
    if mount.kind == "volume":
        options = ((config.get("volumes") or {}).get(source) or {}).get("driver_opts") or {}
        is_bind = "bind" in str(options.get("o", "")).split(",") or options.get("type") == "bind"
        source = posixpath.join(options.get("device", ""), mount.options.get("subpath") or "") if is_bind else ""
    path, root = posixpath.normpath(source or "."), parameters.volume.mount_path
    if path == root:
        return ""
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else None


def _map_other_mount(key: str, mount: MountedPath, draft: Draft) -> None:
    if mount.source in _TIME_FILES and mount.read_only:
        draft.note(key, DROPPED, "", f"{mount.source} of the container instance says UTC; set TZ if that matters.")
    elif mount.kind == "volume":
        what = f"volume {mount.source}" if mount.source else "an anonymous volume"
        draft.refuse(key, f"{what} is not on the data volume, so its files would stay behind; move them onto it")
    else:
        draft.refuse(key, f"{mount.source} is on the source host only; put it into the image or onto the data volume")


def _check_sub_paths(found: list[tuple[str, str]], parameters: Parameters, draft: Draft) -> None:
    expected, seen = parameters.volume.sub_path.rstrip("/"), sorted({sub_path for _, sub_path in found})
    if not found:
        draft.refuse("volumes", f"nothing is mounted from {parameters.volume.mount_path}; check volume.mount_path")
    elif len(seen) > 1:
        draft.refuse(
            "volumes", f"shows several folders of the data volume ({', '.join(seen)}); mount one common folder"
        )
    elif seen[0] != expected:
        draft.refuse("volumes", f"shows folder {seen[0]!r} of the volume, not {expected!r}; set volume.sub_path to it")


def _map_resources(parameters: Parameters, draft: Draft) -> None:
    target, definition = parameters.target, draft.definition
    if target.memory_mib:
        definition["memory"] = target.memory_mib
        draft.note("(memory)", MAPPED, "memory", "From target.memory_mib.")
    elif "memory" not in definition:
        draft.refuse("(memory)", "compose sets no limit and ECS needs one; set target.memory_mib")
    definition["cpu"] = target.cpu or definition.get("cpu", DEFAULT_CPU)
    if definition.get("memoryReservation", 0) > definition.get("memory", 0):
        draft.refuse("(memory)", "the reservation is more than the limit; correct target.memory_mib")


def _note_other_services(config: Mapping[str, Any], parameters: Parameters, draft: Draft) -> None:
    """Refuse when another service uses the data volume; say of the others that they stay."""
    for name, service in sorted(config["services"].items()):
        if name == draft.service:
            continue
        mounts = [read_mount(entry) for entry in service.get("volumes") or ()]
        if any(mount.kind != "tmpfs" and sub_path_of(mount, config, parameters) is not None for mount in mounts):
            fix = "it uses the data volume too, and one service moves in this release; take the volume from it"
            draft.mappings.append(KeyMapping(f"services.{name}.volumes", "refused", "", fix))
        else:
            note = "Stays on the source host, and cannot reach the moved service by its name any more."
            draft.mappings.append(KeyMapping(f"services.{name}", DROPPED, "", note))


def _task(draft: Draft, parameters: Parameters, container_path: str, sub_path: str) -> TaskMapping:
    definition = draft.definition
    definition.setdefault("stopTimeout", DEFAULT_STOP_S)
    ports = [port for port in definition.get("portMappings", ()) if port["protocol"] == "tcp"]
    return TaskMapping(
        container_definitions=(definition,),
        mappings=tuple(draft.mappings),
        image=definition.get("image", ""),
        container_name=definition["name"],
        container_path=container_path,
        source_volume=parameters.storage.volume_name,
        container_port=ports[0]["containerPort"] if ports else 0,
        host_port=ports[0]["hostPort"] if ports else 0,
        stop_timeout_s=definition["stopTimeout"],
        sub_path=sub_path,
    )
