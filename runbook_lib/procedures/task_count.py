"""More tasks of the service: why there are none beside the first one. Reads only.

Every service of these runbooks has a data volume, which is attached to one host and has one writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts

if TYPE_CHECKING:
    from runbook_lib.run import Run


def observe_scaling(run: Run, facts: Facts) -> dict[str, Any]:
    """Return how many tasks somebody would like, and which containers write to the volume.

    Args:
        run: The open run, with evidence `task-mapping` when a service runs.
        facts: As `driver_look.look`.

    Returns:
        Keys `asked` (in words, "" when nobody does), `writers` and `readers` (container names).
    """
    wanted = run.parameters.target.autoscaling
    asked = f"{wanted.min_tasks} to {wanted.max_tasks} tasks at {wanted.target_cpu_percent} % CPU" if wanted else ""
    found: dict[str, list[str]] = {"writers": [], "readers": []}
    if facts["current"]["driver"]:
        for one in run.evidence("task-mapping")["container_definitions"]:
            mounts = [m for m in one.get("mountPoints", []) if m["sourceVolume"] == facts["volume_name"]]
            if mounts:
                found["readers" if all(m.get("readOnly") for m in mounts) else "writers"].append(one["name"])
    return {"asked": asked, **found}


def check_scaling(scaling: Facts) -> Check:
    """Return whether the service is left with the one task that it can have.

    Args:
        scaling: As `observe_scaling`.

    Returns:
        The check; it fails with the reason when more are asked for.
    """
    if scaling["writers"]:
        why = (
            f"{', '.join(scaling['writers'])} writes to the volume: a second task would be a second writer on a "
            "filesystem that has one, and the volume is attached to one host"
        )
    else:
        why = (
            "the containers only read the volume, but it is attached to one host: a second task could run beside the "
            "first one only, where the host port is taken, and modules/ecs_service gives a service with a data volume "
            "one task"
        )
    return Check(
        "one-task",
        passed=not scaling["asked"],
        expected="no target.autoscaling: one task",
        observed=scaling["asked"] or "so",
        why=why,
        fix="leave target.autoscaling out; give the task a larger host in target.instance_types, or the volume more in "
        "volume.iops and volume.throughput_mibps; a part that needs no volume is a service of its own",
    )
