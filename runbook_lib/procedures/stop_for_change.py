"""Change of the storage driver, the side that runs now: stop the service, read what it left, let the volume go.

While the task runs, a container that does nothing takes hold of the volume beside it where a plugin would else detach
it with the task: so the stopped volume is read where the service wrote it, without a second attachment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_plan import CHANGES as NOTEBOOK
from runbook_lib.procedures.observations import STOP_TASK, target_urls
from runbook_lib.procedures.outage import note_outage_start
from runbook_lib.procedures.storage_drivers import (
    REXRAY,
    gate_of_former,
    is_settled,
    observe_drivers,
)
from runbook_lib.procedures.task_count import check_unscaled
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

STOP_ID = "stop-service-for-change"
STOP_IDS = (STOP_ID, "stop-service-for-patch", "stop-service-for-resize")
"""The steps that end with a stopped service and a volume that is still held where it was."""


def is_down(drivers: Facts) -> bool:
    """Return whether no task of the service can write.

    Args:
        drivers: As `observe_drivers`.

    Returns:
        True with desired count 0 and no task.
    """
    return drivers["service"].get("desired_count") == 0 and not drivers["tasks"]


def check_down(drivers: Facts, *, fix: str, why: str = "", needs: str = "") -> Check:
    """Return whether no task of the service can write.

    Args:
        drivers: As `observe_drivers`.
        fix: What to do when one can.
        why: What depends on it.
        needs: Step that stops the service.

    Returns:
        The check.
    """
    return Check(
        "service-stopped",
        passed=is_down(drivers),
        expected="desired count 0 and no task",
        observed=f"desired count {drivers['service'].get('desired_count')}, {len(drivers['tasks'])} tasks",
        why=why,
        fix=fix,
        needs=needs,
    )


def is_past_stop(drivers: Facts) -> bool:
    """Return whether the service was moved to the wanted revision already, or there is nothing to move.

    Args:
        drivers: As `observe_drivers`.

    Returns:
        True when so; what the service left is not to be read any more.
    """
    return bool(drivers["changed"]) or is_settled(drivers)


def _observe_service(run: Run) -> dict[str, Any]:
    return {"drivers": observe_drivers(run)}


def _is_stopped(facts: Facts) -> bool:
    return is_down(facts["drivers"]) or is_past_stop(facts["drivers"])


def _check_stop(facts: Facts) -> Sequence[Check]:
    drivers = facts["drivers"]
    return (
        Check(
            "volume-on-a-host",
            passed=any(host["instance_id"] == drivers["volume"]["holder"] for host in drivers["hosts"]),
            expected=f"{drivers['volume']['volume_id']} on a container instance",
            observed=drivers["volume"]["holder"] or "attached nowhere",
            fix="run 66_change_storage_driver from the top",
        ),
        *check_unscaled(drivers),
    )


def _stop(run: Run, before: Facts) -> None:
    """Take hold of the volume where a plugin would detach it; then let the task end. The outage begins."""
    drivers = before["drivers"]
    if drivers["current"]["driver"] == REXRAY:
        hold(run, gate_of_former(run, drivers["current"]), drivers["volume"]["holder"])
    note_outage_start(run, lambda: target_urls(run))
    run.ecs.set_desired_count(0)


def hold(run: Run, gate: Facts, instance_id: str) -> dict[str, Any]:
    """Hold the volume on a host.

    Args:
        run: The open run.
        gate: As `StorageDriver.gate`.
        instance_id: The host.

    Returns:
        As host script `hold_volume`.

    Changes:
        On a host with a plugin, the gate container.
    """
    return run.host(instance_id).run(
        "hold_volume",
        timeout_s=400,
        run_id=run.run_id,
        volume_id=run.parameters.volume.volume_id,
        gate=dict(gate),
    )


def _verify_stopped(_before: Facts, after: Facts) -> Sequence[Check]:
    drivers = after["drivers"]
    return (
        check_down(drivers, fix=f"read the service's events; {STOP_TASK}"),
        Check(
            "volume-held",
            passed=bool(drivers["volume"]["holder"]),
            expected=f"{drivers['volume']['volume_id']} still on its host, to be read there",
            observed=drivers["volume"]["holder"] or "attached nowhere",
            fix="run again: the next step takes hold of it",
        ),
    )


STOP_SERVICE_FOR_CHANGE = Step(
    STOP_ID,
    NOTEBOOK,
    "Stop the service, the volume held where it is",
    _observe_service,
    lambda facts: f"Set the desired count to 0; {len(facts['drivers']['tasks'])} tasks end; the outage begins.",
    _stop,
    is_done=_is_stopped,
    check=_check_stop,
    verify=_verify_stopped,
    roll_back="stop-target-service",
    timeout_s=300,
    poll_s=0.3,
    waits_for="the task ends",
    in_outage=True,
)
