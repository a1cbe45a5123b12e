"""Change of the storage driver, the other side: the service moved, the volume handed over, verified, served again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_plan import CHANGES as NOTEBOOK
from runbook_lib.procedures.driver_steps import for_change, once_changed
from runbook_lib.procedures.gate import RELEASE_GATE, VERIFY_BEFORE_START
from runbook_lib.procedures.hand_over import NAME_VOLUME, is_named
from runbook_lib.procedures.observations import CUT_OVER_TAG
from runbook_lib.procedures.release_volume import RELEASE_ID
from runbook_lib.procedures.start_target import START_TARGET_SERVICE
from runbook_lib.procedures.stop_for_change import STOP_ID, check_down, is_past_stop
from runbook_lib.procedures.storage_drivers import is_draining, keeps_tag_for_later, observe_drivers
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

MOVE_ID = "change-task-definition"


def _observe_move(run: Run) -> dict[str, Any]:
    return {"drivers": observe_drivers(run)}


def _check_move(facts: Facts) -> Sequence[Check]:
    drivers = facts["drivers"]
    return (
        check_down(
            drivers,
            why="the service is moved while nothing runs, so that no deployment stops or starts a task",
            fix="run 66_change_storage_driver from the top",
            needs=STOP_ID,
        ),
        Check(
            "revision-registered",
            passed=bool(drivers["revision"]),
            expected="a revision that 65_prepare_storage_driver registered",
            observed=drivers["revision"] or "none",
            fix="run 65_prepare_storage_driver with this run_id",
            needs="provision-storage-driver",
        ),
    )


def _move(run: Run, before: Facts) -> None:
    """Let the service use the revision of the other driver; its desired count stays 0."""
    run.ecs.set_task_definition(before["drivers"]["revision"])


def _verify_moved(_before: Facts, after: Facts) -> Sequence[Check]:
    drivers = after["drivers"]
    return (
        Check(
            "service-moved",
            passed=bool(drivers["changed"]),
            expected=f"the service on {drivers['revision']}",
            observed=drivers["service"].get("task_definition_arn", "no service"),
            fix="run again",
        ),
    )


def _with_naming(step: Step) -> Any:
    """Return an observation in which a Name alone hands the volume over, where the tag has to wait."""

    def observe(run: Run) -> dict[str, Any]:
        facts = step.observe(run)
        return facts | {"naming": facts["naming"] | {"by_name_alone": keeps_tag_for_later(run)}}

    return observe


def _observe_hand_over(run: Run) -> dict[str, Any]:
    return NAME_VOLUME.observe(run) | {"by_name_alone": keeps_tag_for_later(run)}


def _hand_over(run: Run, before: Facts) -> None:
    """Set the Name, and with it the tag where a unit waits for it: the only host of that driver is the new one."""
    tags = {"Name": before["volume_name"]}
    if not before["by_name_alone"]:
        tags[CUT_OVER_TAG] = run.clock.now_utc().isoformat(timespec="seconds")
    run.ec2.set_tags(before["volume"]["volume_id"], tags)


def _check_hand_over(facts: Facts) -> Sequence[Check]:
    drivers = facts["drivers"]
    holder = drivers["volume"]["holder"]
    return (
        *NAME_VOLUME.check(facts),
        Check(
            "former-host-let-go",
            passed=holder not in drivers["former"],
            expected="the volume on no former host",
            observed=holder or "attached nowhere",
            why="only one host may hold the volume",
            fix="run 66_change_storage_driver from the top",
            needs=RELEASE_ID,
        ),
        Check(
            "service-moved",
            passed=bool(drivers["changed"]),
            expected=f"the service on the revision of {drivers['wanted']}",
            observed=drivers["service"].get("task_definition_arn", "none"),
            why="a task of the former revision would look for the volume on the former host",
            fix="run 66_change_storage_driver from the top",
            needs=MOVE_ID,
        ),
        Check(
            "former-hosts-drain",
            passed=is_draining(drivers),
            expected="no former host ACTIVE",
            observed=", ".join(drivers["former"]) or "none",
            why="its unit would take the volume",
            fix="run 66_change_storage_driver from the top",
            needs=RELEASE_ID,
        ),
    )


def _is_handed_over(facts: Facts) -> bool:
    return is_named(facts) and all(check["passed"] for check in facts["taken"])


CHANGE_TASK_DEFINITION = Step(
    MOVE_ID,
    NOTEBOOK,
    "Move the stopped service to the revision of the other driver",
    _observe_move,
    lambda facts: f"Let the service use {facts['drivers']['revision']}; nothing runs.",
    _move,
    is_done=lambda facts: is_past_stop(facts["drivers"]),
    check=_check_move,
    verify=_verify_moved,
    timeout_s=30,
    in_outage=True,
)

HAND_VOLUME_OVER = for_change(
    NAME_VOLUME,
    "hand-volume-over",
    NOTEBOOK,
    title="Hand the volume over to the other driver",
    plan=lambda facts: f"Hand {facts['volume']['volume_id']} over as {facts['volume_name']!r}; no other has that Name.",
    observe=_observe_hand_over,
    act=_hand_over,
    check=_check_hand_over,
    is_done=once_changed(_is_handed_over),
)

VERIFY_BEFORE_CHANGE = for_change(
    VERIFY_BEFORE_START,
    "verify-before-change",
    NOTEBOOK,
    title="Verify the volume on the other host before the application starts",
    plan=lambda facts: (
        f"Look at {facts['naming']['volume']['volume_id']} on {', '.join(facts['hosts']) or 'the other host'}; compare "
        f"{facts['expected']['entries']} entries with the manifest of the stopped service."
    ),
    observe=_with_naming(VERIFY_BEFORE_START),
    is_done=once_changed(VERIFY_BEFORE_START.is_done),
)

START_CHANGED_SERVICE = for_change(
    START_TARGET_SERVICE,
    "start-changed-service",
    NOTEBOOK,
    title="Start the service on the other driver and prove that it sees this volume",
    observe=_with_naming(START_TARGET_SERVICE),
    is_done=once_changed(START_TARGET_SERVICE.is_done),
)

RELEASE_GATE_AFTER_CHANGE = for_change(
    RELEASE_GATE, "release-gate-after-change", NOTEBOOK, is_done=once_changed(RELEASE_GATE.is_done)
)
