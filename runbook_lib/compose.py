"""Turn compose services into the containers of one ECS task, saying of every key what became of it.

Pure. A key is mapped, dropped with its consequence, or refused with its fix; nothing is left out silently. What the
service that moves needs, and what uses its volume, moves with it; see `compose_members`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.compose_convert import DROPPED, MAPPED, Draft
from runbook_lib.compose_members import Members, find_members
from runbook_lib.compose_mounts import Mounts, check_main
from runbook_lib.compose_service import map_environment, map_image, map_keys, map_resources, secret_arn
from runbook_lib.compose_together import container_name, map_dependencies, map_names, map_restart
from runbook_lib.errors import ParameterError
from runbook_lib.model import KeyMapping, TaskMapping
from runbook_lib.model_readers import may_share_a_host
from runbook_lib.parameters import Parameters, read_yaml

__all__ = ["container_name", "map_service", "moving_services", "parse_config", "refused", "secret_arn"]

DEFAULT_STOP_S = 30


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
    """Return the containers of the compose service that moves and of those that move with it.

    Args:
        config: What `docker compose config` says; see `parse_config`.
        parameters: The migration: which service, which volume, and what replaces the compose file's values.

    Returns:
        The definitions, that of the service first, and one mapping for each key. When a mapping is ``refused`` the
        definitions are incomplete and must not be used.

    Raises:
        ParameterError: when the configuration has no such service.
    """
    members = _members(config, parameters)
    mounts = Mounts(config, parameters)
    drafts, seen = {}, ("", "")
    for name in members.in_order:
        drafts[name] = draft = Draft(name, {"name": container_name(name), "essential": True})
        service = config["services"][name]
        map_keys(service, draft)
        map_image(service, parameters, draft)
        map_environment(service, parameters, draft)
        found = mounts.add(name, draft)
        if name == members.main:
            seen = check_main(found, parameters, draft)
        map_resources(parameters, draft)
        map_restart(service, members, draft)
    map_dependencies(config, members, drafts)
    map_names(config, members, drafts)
    _check_parameters(parameters, members, drafts)
    left = [_left_behind(name) for name in sorted(config["services"].keys() - drafts.keys())]
    return _task(drafts, members, mounts, seen, left)


def moving_services(config: Mapping[str, Any], parameters: Parameters) -> tuple[str, ...]:
    """Return the compose services that move together, in the order in which they start.

    Args:
        config: As `map_service`.
        parameters: The migration.

    Returns:
        Names of services, those of the parameters among them.

    Raises:
        ParameterError: when the configuration has no such service.
    """
    return _members(config, parameters).in_order


def refused(mapping: TaskMapping) -> tuple[KeyMapping, ...]:
    """Return the keys that keep a service from moving.

    Args:
        mapping: What `map_service` returned.

    Returns:
        The refused keys with their fixes; empty when the definitions can be used.
    """
    return tuple(one for one in mapping.mappings if one.outcome == "refused")


def _members(config: Mapping[str, Any], parameters: Parameters) -> Members:
    name = parameters.source.service
    if config["services"].get(name) is None:
        known = ", ".join(sorted(config["services"])) or "none"
        raise ParameterError(
            [f"migration.source.service is {name}; rule: a service of the compose file. Fix: one of {known}"]
        )
    return find_members(config, parameters)


def _check_parameters(parameters: Parameters, members: Members, drafts: Mapping[str, Draft]) -> None:
    """Refuse a section of the parameters for a container that the task has not, and two containers of one name."""
    main = drafts[members.main]
    others = [name for name in members.in_order if name != members.main]
    for name in sorted(parameters.target.other_containers.keys() - set(others)):
        fix = f"it is no other container of this task, which has {', '.join(others) or 'none'}; remove the section"
        main.refuse(f"(target.other_containers.{name})", fix)
    names = [container_name(name) for name in members.in_order]
    for name in sorted({name for name in names if names.count(name) > 1}):
        main.refuse("(name)", f"two services become container {name}, because ECS takes no dots; rename one")


def _left_behind(name: str) -> KeyMapping:
    note = (
        "Does not move. The cutover stops the whole project and keeps it stopped; it can be started again by hand, but "
        "cannot reach the moved service by its name any more."
    )
    return KeyMapping(f"services.{name}", DROPPED, "", note)


def _share_host(drafts: Mapping[str, Draft], main: str, parameters: Parameters) -> None:
    """Let ECS choose the host port of a reader behind a load balancer, so that a second task can start beside it."""
    definitions = [draft.definition for draft in drafts.values()]
    if not (parameters.target.load_balancer.enabled and may_share_a_host(definitions)):
        return
    for port in drafts[main].definition.get("portMappings", ()):
        port["hostPort"] = 0
        note = "It only reads the volume: each task gets a host port of its own, which the load balancer finds."
        drafts[main].note("ports", MAPPED, "portMappings", note)


def _task(
    drafts: Mapping[str, Draft], members: Members, mounts: Mounts, seen: tuple[str, str], left: list[KeyMapping]
) -> TaskMapping:
    for draft in drafts.values():
        draft.definition.setdefault("stopTimeout", DEFAULT_STOP_S)
    main = drafts[members.main].definition
    _share_host(drafts, members.main, mounts.parameters)
    others = [draft.definition for name, draft in drafts.items() if name != members.main]
    ports = [port for port in main.get("portMappings", ()) if port["protocol"] == "tcp"]
    return TaskMapping(
        container_definitions=(main, *others),
        mappings=(*(mapping for draft in drafts.values() for mapping in draft.mappings), *left),
        image=main.get("image", ""),
        container_name=main["name"],
        container_path=seen[0],
        source_volume=mounts.parameters.storage.volume_name,
        container_port=ports[0]["containerPort"] if ports else 0,
        host_port=ports[0]["hostPort"] if ports else 0,
        stop_timeout_s=sum(draft.definition["stopTimeout"] for draft in drafts.values()),
        sub_path=seen[1],
        folders=mounts.folders,
        services=members.in_order,
        one_shots=tuple(sorted(members.one_shots)),
    )
