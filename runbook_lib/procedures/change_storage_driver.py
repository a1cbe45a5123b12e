"""66_change_storage_driver: the service moves to the other storage driver, the volume stays. This is its order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.change_window import within_window
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.driver_plan import CHANGES, COMPLETE_STORAGE_DRIVER, PROVISION_ID
from runbook_lib.procedures.driver_steps import in_words_of_change
from runbook_lib.procedures.former_hosts import REMOVE_FORMER_HOSTS
from runbook_lib.procedures.gate import check_one_host
from runbook_lib.procedures.gate_proof import check_gate_image, hosts_without_image
from runbook_lib.procedures.manifest_of_change import COMPLETE_MANIFEST_OF_CHANGE, TAKE_MANIFEST_BEFORE_CHANGE
from runbook_lib.procedures.move_volume import (
    CHANGE_TASK_DEFINITION,
    HAND_VOLUME_OVER,
    RELEASE_GATE_AFTER_CHANGE,
    START_CHANGED_SERVICE,
    VERIFY_BEFORE_CHANGE,
)
from runbook_lib.procedures.observations import CUT_OVER_TAG, observe_container_hosts
from runbook_lib.procedures.release_volume import COPY_VOLUME_BEFORE_CHANGE, RELEASE_VOLUME
from runbook_lib.procedures.snapshot_volume import check_hot_snapshot, observe_hot_snapshot
from runbook_lib.procedures.stop_for_change import STOP_SERVICE_FOR_CHANGE
from runbook_lib.procedures.storage_drivers import gate_of_former, is_settled, is_withheld, volume_of
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = CHANGES


def _observe_readiness(run: Run) -> dict[str, Any]:
    """Return everything that decides whether the change may begin."""
    facts = look(run)
    ready = [one["instance_id"] for one in observe_container_hosts(run) if one["instance_id"] not in facts["former"]]
    revision = facts["revision"]
    return facts | {
        "begun": run.journal.last("manifest", phase="before") is not None,
        "ready": ready,
        "prepared": volume_of(run.ecs.task_definition(revision))["driver"] if revision else "",
        "without_image": hosts_without_image(run, ready) + _former_without_image(run, facts),
        "snapshot": observe_hot_snapshot(run)["snapshot"],
    }


def _former_without_image(run: Run, facts: Facts) -> list[str]:
    """Return the host that serves now, when it lacks the image of the container that will hold the volume there."""
    image, host = gate_of_former(run, facts["current"]).get("image"), facts["instance_id"]
    if not image or not host:
        return []
    return [] if run.host(host).run("inspect_image", image=image)["present"] else [host]


def _is_begun(facts: Facts) -> bool:
    """Return whether this run's change has stopped the service before, or there is nothing to change."""
    return is_settled(facts) or bool(facts["begun"])


def _check_readiness(facts: Facts) -> Sequence[Check]:
    volume = facts["volume"]
    return (
        *check_change(facts),
        Check(
            "revision-prepared",
            passed=facts["prepared"] == facts["wanted"],
            expected=f"a registered revision for {facts['wanted']}",
            observed=facts["prepared"] or "none",
            why="Terraform would take seconds inside the outage",
            fix="run 65_prepare_storage_driver with this run_id",
            needs=PROVISION_ID,
        ),
        *in_words_of_change((check_one_host(facts["ready"]), check_gate_image(facts["without_image"]))),
        Check(
            "volume-withheld",
            passed=is_withheld(facts),
            expected=f"no tag {CUT_OVER_TAG} on {volume['volume_id']} before it is handed over",
            observed=volume["tags"].get(CUT_OVER_TAG, "none"),
            why="the unit of the prepared host would take the volume in the moment when it is free",
            fix="run 65_prepare_storage_driver with this run_id",
            needs="withhold-volume",
        ),
        *in_words_of_change((check_hot_snapshot(facts["snapshot"]),)),
    )


CHECK_CHANGE = Step(
    "check-change",
    NOTEBOOK,
    "Check that the change may begin",
    _observe_readiness,
    lambda _facts: "Reads only; every check passed.",
    is_done=_is_begun,
    check=_check_readiness,
)

STEPS = (
    CHECK_CHANGE,
    TAKE_MANIFEST_BEFORE_CHANGE,
    within_window(STOP_SERVICE_FOR_CHANGE),  # the outage begins
    COMPLETE_MANIFEST_OF_CHANGE,
    RELEASE_VOLUME,  # nobody has the volume
    COPY_VOLUME_BEFORE_CHANGE,
    CHANGE_TASK_DEFINITION,
    HAND_VOLUME_OVER,
    VERIFY_BEFORE_CHANGE,
    START_CHANGED_SERVICE,  # the outage ends when users get an answer again
    RELEASE_GATE_AFTER_CHANGE,
    REMOVE_FORMER_HOSTS,
    COMPLETE_STORAGE_DRIVER,
)
