"""Find the compose services that become one ECS task, the order in which they start, and what each waits for.

Pure. A task holds the service that moves, every service that uses its data volume, and whatever these need: a container
that is left behind could not be reached, and a second task could not mount the volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runbook_lib.compose_mounts import uses_volume
from runbook_lib.parameters import Parameters

STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
CONDITIONS = {STARTED: "START", HEALTHY: "HEALTHY", COMPLETED: "SUCCESS"}
"""What ECS calls compose's conditions."""
_POLICIES = {"any": "always", "on-failure": "on-failure", "none": "no"}


@dataclass(frozen=True)
class Members:
    """The services of one task.

    Args:
        main: The service that the parameters name.
        in_order: All of them, each behind those that it needs.
        one_shots: Those of them that end before others start.
        circle: Services that need each other, so that none can start first; empty when there are none.
    """

    main: str
    in_order: tuple[str, ...]
    one_shots: frozenset[str]
    circle: tuple[str, ...] = ()


def dependencies(service: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a service's ``depends_on`` says, in the long form.

    Args:
        service: Its configuration.

    Returns:
        ``condition``, ``required`` and ``restart`` by service.
    """
    given = service.get("depends_on") or {}
    if not isinstance(given, Mapping):
        return {str(name): {"condition": STARTED} for name in given}
    return {name: {"condition": STARTED, **(settings or {})} for name, settings in given.items()}


def linked(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the other service by the name that ``links`` gives it.

    Args:
        service: Its configuration.

    Returns:
        Service by alias.
    """
    pairs = (str(entry).partition(":") for entry in service.get("links") or ())
    return {alias or name: name for name, _, alias in pairs}


def restart_policy(service: Mapping[str, Any]) -> str:
    """Return what compose does when a service's container ends: ``no``, ``always``, ``on-failure``, ``unless-stopped``.

    Args:
        service: Its configuration; ``deploy.restart_policy`` counts where ``restart`` says nothing.
    """
    if service.get("restart"):
        return str(service["restart"]).partition(":")[0]
    deployed = (service.get("deploy") or {}).get("restart_policy")
    return _POLICIES.get(str(deployed.get("condition") or "any"), "always") if deployed else "no"


def find_members(config: Mapping[str, Any], parameters: Parameters) -> Members:
    """Return the services that move together.

    Args:
        config: What `docker compose config` says, with the service that moves.
        parameters: The migration.

    Returns:
        The members; a service that is needed and not there is none of them.
    """
    services, main = config["services"], parameters.source.service
    chosen = {main, *(name for name in services if uses_volume(config, name, parameters))}
    waiting = sorted(chosen)
    while waiting:
        needed = set(_needed(services[waiting.pop()]))
        needed |= {name for name, one in services.items() if _namespaces(one) & chosen}
        waiting += sorted((needed & services.keys()) - chosen)
        chosen |= needed & services.keys()
    ordered, circle = _in_order(services, main, chosen)
    one_shots = {
        other
        for name in chosen
        for other, settings in dependencies(services[name]).items()
        if settings["condition"] == COMPLETED and other in chosen
    }
    return Members(main, ordered, frozenset(one_shots), circle)


def _needed(service: Mapping[str, Any]) -> Iterator[str]:
    """Yield the services without which another one cannot run."""
    yield from dependencies(service)
    yield from linked(service).values()
    yield from _namespaces(service)
    for entry in service.get("volumes_from") or ():
        yield str(entry).partition(":")[0]


def _namespaces(service: Mapping[str, Any]) -> set[str]:
    """Return the services whose network, processes or shared memory a service joins."""
    joined = (str(service.get(key) or "").partition(":") for key in ("network_mode", "pid", "ipc"))
    return {name for kind, _, name in joined if kind == "service"}


def _in_order(services: Mapping[str, Any], main: str, chosen: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the chosen services so that each comes behind what it needs, and those that need each other."""
    ordered: list[str] = []
    circle: list[str] = []

    def place(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            circle.extend(above[above.index(name) :])
        elif name not in ordered:
            for other in sorted(set(_needed(services[name])) & chosen - {name}):
                place(other, (*above, name))
            if name not in ordered:
                ordered.append(name)

    for name in (main, *sorted(chosen)):
        place(name, ())
    return tuple(ordered), tuple(sorted(set(circle)))
