"""The compose project on the source host: what it says, and whether ECS can have all of it. Shared by 00, 10 and 90."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import compose
from runbook_lib.model import Check, Facts, TaskMapping

if TYPE_CHECKING:
    from runbook_lib.run import Run


def observe_compose(run: Run) -> dict[str, Any]:
    """Return the compose project as docker compose resolves it, and what ECS would make of it.

    Args:
        run: The open run.

    Returns:
        Keys `services, one_shots, sub_path` (as `TaskMapping`), `containers, mapped, dropped, refused`.

    Changes:
        Evidence `compose-mapping`.
    """
    config = read_compose(run)
    mapping = map_service(run, config["config"])
    run.keep_evidence("compose-mapping", [dataclasses.asdict(m) for m in mapping.mappings])
    return {
        "services": list(mapping.services),
        "one_shots": list(mapping.one_shots),
        "sub_path": mapping.sub_path,
        "containers": config["containers"],
        "mapped": sum(m.outcome == "mapped" for m in mapping.mappings),
        "dropped": [f"{m.key}: {m.consequence}" for m in mapping.mappings if m.outcome == "dropped"],
        "refused": [f"{m.key}: {m.consequence}" for m in mapping.mappings if m.outcome == "refused"],
    }


def read_compose(run: Run) -> dict[str, Any]:
    """Return the resolved compose file and the project's containers.

    Args:
        run: The open run.

    Returns:
        Keys `config` (parsed) and `containers`.
    """
    source = run.parameters.source
    answer = run.source_host.run("compose_config", file=source.compose_file, project=source.compose_project)
    return {"config": compose.parse_config(answer), "containers": answer["containers"]}


def map_service(run: Run, config: dict[str, Any]) -> TaskMapping:
    """Return the compose service, and those that move with it, as an ECS task.

    Args:
        run: The open run.
        config: The resolved compose file.

    Returns:
        The mapping; secrets are references.
    """
    parameters = run.parameters
    return compose.map_service(config, parameters)


def check_compose(facts: Facts) -> Sequence[Check]:
    """Return whether the service can run on ECS as it does under compose.

    Args:
        facts: As `observe_compose`.

    Returns:
        The checks.
    """
    return (
        _check_running(facts),
        check_root_shown(facts),
        Check(
            "compose-fully-mapped",
            passed=not facts["refused"],
            expected="every compose key mapped to ECS, or without effect there",
            observed="; ".join(facts["refused"]) or "nothing refused",
            why="a key that is left out silently changes how the service behaves",
            fix="as each line says",
        ),
    )


def check_root_shown(facts: Facts) -> Check:
    """Return whether the service that moves sees the volume's root, through which the runbook proves the data.

    Args:
        facts: Key `sub_path`, as `TaskMapping` has it.

    Returns:
        The check.
    """
    return Check(
        "service-sees-the-root",
        passed=not facts["sub_path"],
        expected="the volume's root mounted in the container of source.service",
        observed=f"its folder {facts['sub_path']!r}" if facts["sub_path"] else "its root, or nothing of it",
        why="the sentinel and every manifest on ECS are read through that container, and lie at the root",
        fix="mount the volume's root in that service and point the application at the folder, then empty "
        "volume.sub_path; services beside it may keep their folders",
    )


def _check_running(facts: Facts) -> Check:
    """Return whether each service that moves has one container that runs, or has ended well where it is to end."""
    states = {name: [c for c in facts["containers"] if c["service"] == name] for name in facts["services"]}
    running = {name: sum(c["status"] == "running" for c in found) for name, found in states.items()}
    ended = {
        name
        for name in facts["one_shots"]
        if any(c["status"] == "exited" and c["exit_code"] == 0 for c in states[name]) and not running[name]
    }
    counted = [f"{name} {number}" for name, number in running.items() if name not in ended]
    names = ", ".join(facts["services"])
    return Check(
        "compose-service-running",
        passed=all(number == 1 for name, number in running.items() if name not in ended),
        expected=f"one running container of each compose service that moves: {names}",
        observed=f"{', '.join(counted)} running",
        why="what runs now is what is migrated",
        fix="start the service with docker compose up -d, or correct source.service",
    )
