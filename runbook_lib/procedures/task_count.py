"""More tasks of the service: for whom there are some beside the first one, and why not for others. Reads only.

Every service of these runbooks has a data volume, which is attached to one host. A service that writes to it has one
task. One whose containers only read it can have more on that host, behind a load balancer, each with a port of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.model_readers import has_port_of_its_own, reservation
from runbook_lib.procedures.target_variables import wanted_scaling

if TYPE_CHECKING:
    from runbook_lib.run import Run

CPU_UNITS = 1024  # of one vCPU, as ECS counts
FOR_TASKS = 0.9
"""Share of a host's memory that tasks may reserve: the kernel's own part is not registered with ECS."""
_FOR_READERS = "more of a service that only reads the volume, behind a load balancer"
_READS = "the containers only read the volume, but it is attached to one host"


def observe_scaling(run: Run, facts: Facts) -> dict[str, Any]:
    """Return how many tasks somebody would like, which containers write to the volume, and what there is.

    Args:
        run: The open run, with evidence `task-mapping` when a service runs.
        facts: As `observe_drivers`.

    Returns:
        Keys `asked` (in words, "" when nobody does), `wanted` (as `wanted_scaling`), `registered` (as
        `registered_scaling`), `desired_count`, `tasks` and `running` (how many), `writers` and `readers` (names),
        `balanced`, `own_ports`, `needs` (as `reservation`), `host` (`cpu_units, memory_mib` that tasks may have there).
    """
    wanted, service = wanted_scaling(run), facts["service"]
    asked = say_scaling(wanted) if wanted else ""
    found: dict[str, list[str]] = {"writers": [], "readers": []}
    containers = run.evidence("task-mapping")["container_definitions"] if facts["current"]["driver"] else []
    for one in containers:
        mounts = one.get("mountPoints", [])
        if mounts:
            found["readers" if all(m.get("readOnly") for m in mounts) else "writers"].append(one["name"])
    return {
        "asked": asked,
        "wanted": wanted,
        "registered": facts["registered"],
        "desired_count": service.get("desired_count", 0),
        "tasks": len(facts["tasks"]),
        "running": service.get("running_count", 0),
        **found,
        "balanced": service.get("balanced", False),
        "own_ports": has_port_of_its_own(containers),
        "needs": reservation(containers),
        "host": _host(run, facts) if wanted and not found["writers"] else {},
    }


def say_scaling(scaling: Facts) -> str:
    """Return a range in words.

    Args:
        scaling: As `wanted_scaling`.

    Returns:
        For example `1 to 3 tasks at 60 % CPU`.
    """
    return f"{scaling['min_tasks']} to {scaling['max_tasks']} tasks at {scaling['target_cpu_percent']} % CPU"


def say_tasks(scaling: Facts) -> str:
    """Return what becomes of the number of tasks, a sentence, or "" when nothing does.

    Args:
        scaling: As `observe_scaling`.
    """
    if has_wanted_tasks(scaling):
        return ""
    return f"There shall be {scaling['asked'] or 'one task'}. "


def _host(run: Run, facts: Facts) -> dict[str, int]:
    """Return what tasks may have on the host that has the volume; nothing when nobody knows its type."""
    types = [host["instance_type"] for host in facts["hosts"] if host["instance_id"] == facts["volume"]["holder"]]
    known = run.instance_types.describe(types) if types else []
    return {
        "cpu_units": sum(one["vcpus"] * CPU_UNITS for one in known),
        "memory_mib": int(sum(one["memory_mib"] for one in known) * FOR_TASKS),
    }


def is_scaled(scaling: Facts) -> bool:
    """Return whether something changes the number of tasks, or there are more than one.

    Args:
        scaling: As `observe_scaling`, or `observe_drivers`.
    """
    count = scaling.get("desired_count", scaling.get("service", {}).get("desired_count")) or 0
    return bool(scaling["registered"]) or count > 1


def has_wanted_tasks(scaling: Facts) -> bool:
    """Return whether as many tasks run as the parameters ask for, kept by what they ask for.

    Args:
        scaling: As `observe_scaling`.
    """
    wanted, count = scaling["wanted"], scaling["desired_count"]
    if not is_reader(scaling):
        return not wanted
    if not wanted:
        return not is_scaled(scaling)
    in_range = wanted["min_tasks"] <= count <= wanted["max_tasks"]
    return bool(scaling["registered"] == wanted and in_range and scaling["tasks"] == scaling["running"] == count)


def is_reader(scaling: Facts) -> bool:
    """Return whether the containers of a running service read the volume, and none of them writes to it.

    Args:
        scaling: As `observe_scaling`.
    """
    return bool(scaling["readers"]) and not scaling["writers"]


def check_scaling(scaling: Facts) -> Sequence[Check]:
    """Return whether the service can have as many tasks as somebody would like.

    Args:
        scaling: As `observe_scaling`.

    Returns:
        One check, which fails with the reason; a second one of the host's room where more tasks may run.
    """
    why = _why_not(scaling) if scaling["asked"] else ""
    may = Check(
        "one-task",
        passed=not why,
        expected="no target.autoscaling: one task" + (f"; {_FOR_READERS}" if scaling["asked"] else ""),
        observed=scaling["asked"] or "so",
        why=why,
        fix="leave target.autoscaling out; give the task a larger host in target.instance_types, or the volume more in "
        "volume.iops and volume.throughput_mibps; a part that needs no volume is a service of its own",
    )
    return (may, _check_room(scaling)) if scaling["asked"] and not why else (may,)


def _why_not(scaling: Facts) -> str:
    if scaling["writers"]:
        return (
            f"{', '.join(scaling['writers'])} writes to the volume: a second task would be a second writer on a "
            "filesystem that has one, and the volume is attached to one host"
        )
    if not scaling["balanced"]:
        return f"{_READS}: a second task there needs a port that clients find through target.load_balancer only"
    if not scaling["own_ports"]:
        return (
            f"{_READS}, where the fixed host port is taken; 10_provision_target gives a reader that publishes one "
            "port, behind a load balancer, a port for each task"
        )
    return ""


def _check_room(scaling: Facts) -> Check:
    most, needs, host = scaling["wanted"]["max_tasks"], scaling["needs"], scaling["host"]
    return Check(
        "tasks-fit-on-the-host",
        passed=all(needs[key] * most <= host[key] for key in needs),
        expected=f"{needs['memory_mib'] * most} MiB and {needs['cpu_units'] * most} CPU units for {most} tasks on the "
        "host of the volume",
        observed=f"{host['memory_mib']} MiB and {host['cpu_units']} CPU units",
        why="no other host has the volume: ECS would find no place for them",
        fix="less in target.autoscaling.max_tasks, or a larger host first, in a run of its own",
    )


def check_unscaled(facts: Facts) -> Sequence[Check]:
    """Return that the one task may not be stopped, where something changes the number of tasks.

    Args:
        facts: Keys `service` (as `Ecs.describe_service`) and `registered` (as `registered_scaling`).

    Returns:
        The check, which fails; none where one task is all there can be.
    """
    if not is_scaled(facts):
        return ()
    registered, count = facts["registered"], facts["service"].get("desired_count") or 0
    scaling = f"{say_scaling(registered)} registered" if registered else "none registered"
    return (
        Check(
            "not-scaled",
            passed=False,
            expected="no scaling registered, and at most one task",
            observed=f"{scaling}, desired count {count}",
            why="scaling starts a task while the volume is let go, and each task holds the volume",
            fix="take target.autoscaling out of the parameters, run 62_resize, then this",
        ),
    )
