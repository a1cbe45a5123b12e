"""Map what compose services say of each other: who waits for whom, by which names they are reached, who may end alone.

Pure. Names go one way only: a container can be linked to those that started before it, so the others are told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runbook_lib.compose_convert import DROPPED, MAPPED, Draft
from runbook_lib.compose_members import COMPLETED, CONDITIONS, HEALTHY, Members, dependencies, linked, restart_policy

_LINK_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ADDRESSES = ("ipv4_address", "ipv6_address", "link_local_ips", "mac_address")
_ALONE = "The task uses the bridge network; names of other services do not resolve."
_REPLACED = "The ECS service starts a new task whenever one ends, whatever its exit code."


def container_name(service: str) -> str:
    """Return the container's name of a compose service; ECS takes no dots."""
    return service.replace(".", "-")


def map_restart(service: Mapping[str, Any], members: Members, draft: Draft) -> None:
    """Map what happens when a container ends: with an essential one the task ends, and ECS starts another task.

    Args:
        service: Configuration of the service.
        members: The task's services.
        draft: Its container definition.
    """
    policy, name = restart_policy(service), draft.service
    if name == members.main:
        if service.get("restart"):
            draft.note("restart", DROPPED, "", _REPLACED)
        return
    draft.definition["essential"] = False
    if name in members.one_shots:
        draft.note("restart", MAPPED, "essential", "It may end; when it fails, ECS replaces the whole task.")
    elif policy == "no":
        draft.note("restart", MAPPED, "essential", "When it ends the task goes on without it, as under compose.")
    elif policy == "on-failure":
        draft.refuse("restart", "ECS cannot tell a failure from an end here; write always, unless-stopped or no")
    else:
        draft.definition["essential"] = True
        draft.note("restart", MAPPED, "essential", "When it ends, ECS replaces the whole task, not it alone.")


def map_dependencies(config: Mapping[str, Any], members: Members, drafts: Mapping[str, Draft]) -> None:
    """Map ``depends_on``.

    Args:
        config: The compose configuration.
        members: The task's services.
        drafts: Container definitions by service, health checks mapped already.
    """
    for name in members.circle:
        drafts[name].refuse("depends_on", f"{', '.join(members.circle)} wait for each other; break the circle")
    for name, draft in drafts.items():
        for other, settings in sorted(dependencies(config["services"][name]).items()):
            _depend(other, settings, members, drafts, draft)


def _depend(
    other: str, settings: Mapping[str, Any], members: Members, drafts: Mapping[str, Draft], draft: Draft
) -> None:
    key, condition = f"depends_on.{other}", settings["condition"]
    if other not in drafts:
        if settings.get("required", True):
            draft.refuse(key, "the compose configuration has no such service; activate its profile, or remove it")
        else:
            draft.note(key, DROPPED, "", "It is optional and not part of the configuration.")
        return
    if condition not in CONDITIONS:
        draft.refuse(key, f"condition {condition} is unknown; write one of {', '.join(CONDITIONS)}")
        return
    check = drafts[other].definition.get("healthCheck")
    if condition == HEALTHY and (check is None or check["command"] == ["NONE"]):
        draft.refuse(key, f"ECS does not use the image's health check; write its test into {other}'s healthcheck")
    elif condition == COMPLETED and other == members.main:
        draft.refuse(key, f"{other} is the service that moves, and it ends; name another one in source.service")
    else:
        _wait(draft, other, CONDITIONS[condition])
        restarts = "It is not restarted with it: ECS replaces the whole task." if settings.get("restart") else ""
        draft.note(key, MAPPED, "dependsOn", restarts)


def _wait(draft: Draft, other: str, condition: str) -> None:
    needs = draft.definition.setdefault("dependsOn", [])
    if all(need["containerName"] != container_name(other) for need in needs):
        needs.append({"containerName": container_name(other), "condition": condition})


def map_names(config: Mapping[str, Any], members: Members, drafts: Mapping[str, Draft]) -> None:
    """Map networks, aliases and links: by which names each container reaches those that started before it.

    Args:
        config: The compose configuration.
        members: The task's services.
        drafts: Container definitions by service.
    """
    services = config["services"]
    for position, (name, draft) in enumerate(drafts.items()):
        before = [other for other in list(drafts)[:position] if other not in members.one_shots]
        reached = [other for other in before if _names(other, name, services)]
        for other in reached:
            _link(other, _names(other, name, services), draft)
        behind = [one for one in list(drafts)[position + 1 :] if _names(one, name, services)]
        if services[name].get("networks") or reached or behind:
            _note_networks(services[name], config, reached, behind, draft)
        for alias, other in sorted(linked(services[name]).items()):
            if other not in drafts:
                draft.refuse(f"links.{alias}", "the compose configuration has no such service; remove the link")
            elif other in before:
                draft.note(f"links.{alias}", MAPPED, "links")
            else:
                draft.refuse(f"links.{alias}", f"{other} starts later, or ends; let {name} depend on it, or remove it")


def _networks(service: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    given = service.get("networks") or {"default": None}
    return {str(name): dict((given[name] if isinstance(given, Mapping) else None) or {}) for name in given}


def _names(other: str, name: str, services: Mapping[str, Any]) -> list[str]:
    """Return by which names a service reaches another one under compose; none without a network in common."""
    own, others = _networks(services[name]), _networks(services[other])
    explicit = [alias for alias, service in linked(services[name]).items() if service == other]
    shared = own.keys() & others.keys()
    if services[name].get("network_mode") or services[other].get("network_mode"):
        shared = set()
    if not shared and not explicit:
        return []
    aliases = [alias for network in sorted(shared) for alias in others.get(network, {}).get("aliases") or ()]
    return list(dict.fromkeys([other, *aliases, *explicit]))


def _link(other: str, names: list[str], draft: Draft) -> None:
    target = container_name(other)
    for name in names:
        if not _LINK_NAME.fullmatch(name):
            fix = "ECS links take letters, digits, - and _ only; reach it by another name"
            draft.refuse("networks", f"{other} is reached as {name}: {fix}")
            continue
        draft.definition.setdefault("links", []).append(target if name == target else f"{target}:{name}")
    _wait(draft, other, "START")


def _note_networks(
    service: Mapping[str, Any], config: Mapping[str, Any], reached: list[str], behind: list[str], draft: Draft
) -> None:
    for network, settings in _networks(service).items():
        key, known = f"networks.{network}", (config.get("networks") or {}).get(network) or {}
        for setting in _ADDRESSES:
            if settings.get(setting):
                draft.refuse(f"{key}.{setting}", "Docker chooses the address in the task; use names and remove it")
        if rest := sorted(key for key in settings.keys() - {"aliases", *_ADDRESSES} if settings[key]):
            draft.note(key, DROPPED, "", f"{', '.join(rest)}: the bridge network of the host knows no such setting.")
        if known.get("external"):
            draft.note(f"{key}.external", DROPPED, "", "Containers of other projects on it are out of reach by name.")
        if known.get("driver") not in (None, "bridge", "overlay"):
            draft.refuse(key, f"driver {known['driver']} is none of the bridge network's; remove the network")
        if known.get("internal"):
            draft.note(f"{key}.internal", DROPPED, "", "The containers can reach beyond their network.")
    if not reached and not behind:
        draft.note("networks", DROPPED, "", _ALONE)
        return
    seen = f"Reaches {', '.join(reached)} by name." if reached else "Reaches no other container by name."
    unseen = f" Not {', '.join(behind)}, which may be linked to it but not it to them." if behind else ""
    draft.note("networks", MAPPED if reached else DROPPED, "links" if reached else "", seen + unseen)
