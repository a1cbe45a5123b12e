"""A deployment in which the next task starts before the running one stops: for whom it is possible, and why not.

Reads only. Two tasks of a service whose containers only read the volume do no harm to each other. They run on the one
host that has the volume, so each needs a host port of its own, which clients find through a load balancer only. The
service has the percentages of one writer at all other times: with others a host that drains would keep its task until
another one runs elsewhere, where the volume is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.model import Check, Facts
from runbook_lib.model_readers import has_port_of_its_own, only_read, reservation
from runbook_lib.procedures.storage_drivers import wanted_revision

if TYPE_CHECKING:
    from runbook_lib.run import Run

OVERLAP = "overlap"
_BLUE_GREEN = "blue/green runs both revisions at once, and the volume has one writer"
_FOR_READERS = "overlap for a service that only reads the volume, behind a load balancer"
_WRITES = "the next task would start while the running one writes to the volume"
_READS = "the containers only read the volume, so two tasks could run; but on its one host each needs a port of its own"


def observe_way(run: Run, service: Facts, definition: Facts, instance_id: str = "") -> dict[str, Any]:
    """Return what decides whether the next task may start beside the running one.

    Args:
        run: The open run.
        service: As `Ecs.describe_service`.
        definition: As `Ecs.task_definition`, of the running revision.
        instance_id: The host of the running task, "" when its room does not matter.

    Returns:
        Keys `way` (of the parameters), `only_reads`, `balanced` (whether a load balancer is in front), `own_ports`
        (whether no host port is fixed), `needs` and `left` (`cpu_units, memory_mib` of a task, and on the host).
    """
    containers = definition["containerDefinitions"]
    hosts = run.ecs.container_instances() if instance_id and is_overlap(run) else []
    left = [host["left"] for host in hosts if host["instance_id"] == instance_id]
    return {
        "way": run.parameters.target.deployment,
        "only_reads": only_read(containers),
        "balanced": service["balanced"],
        "own_ports": has_port_of_its_own(containers),
        "needs": reservation(containers),
        "left": left[0] if left else {},
    }


def is_overlap(run: Run) -> bool:
    """Return whether the parameters ask for a deployment without a stop.

    Args:
        run: The open run.
    """
    return bool(run.parameters.target.deployment == OVERLAP)


def is_alone(service: Facts) -> bool:
    """Return whether the service has the settings of one writer, so that no task starts beside another.

    Args:
        service: As `Ecs.describe_service`.
    """
    return all(check.passed for check in checks.check_single_writer(service, needs=""))


def is_beside(run: Run, service: Facts) -> bool:
    """Return whether this run has begun an overlap that is not over.

    Args:
        run: The open run.
        service: As `Ecs.describe_service`.
    """
    return is_overlap(run) and bool(wanted_revision(run)) and not is_alone(service)


def check_way(facts: Facts) -> Check:
    """Return whether the task may be replaced as the parameters say.

    Args:
        facts: As `observe_way`.

    Returns:
        The check; it fails with the reason.
    """
    way, why = facts["way"], _why_not(facts)
    return Check(
        "stop-then-start",
        passed=not why,
        expected="target.deployment stop_then_start" + ("" if way == "stop_then_start" else f"; {_FOR_READERS}"),
        observed=way,
        why=why,
        fix="leave target.deployment out: the task is stopped, then the next one is started",
    )


def _why_not(facts: Facts) -> str:
    if facts["way"] == "stop_then_start":
        return ""
    if facts["way"] != OVERLAP:
        return _BLUE_GREEN
    if not facts["only_reads"]:
        return _WRITES
    if not facts["balanced"]:
        return f"{_READS}, and without target.load_balancer clients do not find it"
    if not facts["own_ports"]:
        return (
            f"{_READS}, and the running revision has a fixed one; 10_provision_target gives a reader that publishes "
            "one port, behind a load balancer, a port for each task"
        )
    return ""


def check_room(facts: Facts) -> Sequence[Check]:
    """Return whether the host has room for the next task beside the running one.

    Args:
        facts: As `observe_way`.

    Returns:
        One check for an overlap, none otherwise.
    """
    needs, left = facts["needs"], facts["left"]
    if facts["way"] != OVERLAP or not left:
        return ()
    return (
        Check(
            "room-for-two-tasks",
            passed=all(needs[key] <= left[key] for key in needs),
            expected=f"{needs['memory_mib']} MiB and {needs['cpu_units']} CPU units free on the host of the task",
            observed=f"{left['memory_mib']} MiB and {left['cpu_units']} CPU units",
            why="the volume is on this host alone: ECS would find no place for the next task",
            fix="a larger host (62_resize), or leave target.deployment out",
        ),
    )
