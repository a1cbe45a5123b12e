"""65_prepare_storage_driver: everything slow of a change of the storage driver, while the service runs on.

The next revision of the task definition and a host that is set up for the other driver; the service keeps its revision,
its host and the volume. No host of the other driver can take the volume before 66 hands it over: REX-Ray takes none
without a task, and the unit of `host_mount` none without the tag, which is taken away first of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_look import check_change, look
from runbook_lib.procedures.driver_plan import PROVISION_STORAGE_DRIVER, plan_ahead
from runbook_lib.procedures.driver_steps import for_change
from runbook_lib.procedures.observations import CUT_OVER_TAG
from runbook_lib.procedures.prepare_host import LAUNCH_CONTAINER_INSTANCE
from runbook_lib.procedures.pull_images import PULL_IMAGE
from runbook_lib.procedures.snapshot_volume import COMPLETE_HOT_SNAPSHOT, CREATE_HOT_SNAPSHOT
from runbook_lib.procedures.storage_drivers import is_settled, is_withheld, observe_drivers
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "65_prepare_storage_driver"


def _plan_look(facts: Facts) -> str:
    return f"The service runs on {facts['current']['driver']} and shall run on {facts['wanted']}; every check passed."


def _check_withhold(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-not-on-source",
            passed=not facts["volume"]["on_source"],
            expected="the volume on the target",
            observed=facts["volume"]["holder"] or "attached nowhere",
            fix="run 30_cut_over_volume first",
        ),
    )


def _withhold(run: Run, before: Facts) -> None:
    """Take the tag away; REX-Ray does not look at it."""
    run.ec2.remove_tags(before["volume"]["volume_id"], [CUT_OVER_TAG])


def _verify_withheld(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-withheld",
            passed=is_withheld(after),
            expected=f"no tag {CUT_OVER_TAG} on {after['volume']['volume_id']}",
            observed=after["volume"]["tags"].get(CUT_OVER_TAG, "none"),
            why="the unit of a prepared host would take the volume whenever the running task ends",
            fix="remove the tag, then run again",
        ),
    )


CHECK_STORAGE_DRIVER = Step(
    "check-storage-driver",
    NOTEBOOK,
    "Check which storage driver the service runs on, and whether it may change",
    look,
    _plan_look,
    is_done=is_settled,
    check=check_change,
)

WITHHOLD_VOLUME = Step(
    "withhold-volume",
    NOTEBOOK,
    "Keep prepared hosts from taking the volume",
    observe_drivers,
    lambda facts: f"Remove the tag {CUT_OVER_TAG} from {facts['volume']['volume_id']}; the task runs on.",
    _withhold,
    is_done=is_withheld,
    check=_check_withhold,
    verify=_verify_withheld,
    timeout_s=30,
    plan_ahead=plan_ahead,
)

STEPS = (
    CHECK_STORAGE_DRIVER,
    WITHHOLD_VOLUME,
    PROVISION_STORAGE_DRIVER,
    LAUNCH_CONTAINER_INSTANCE,
    for_change(PULL_IMAGE, "pull-image-for-change", NOTEBOOK),
    for_change(CREATE_HOT_SNAPSHOT, "create-snapshot-before-change", NOTEBOOK),
    for_change(COMPLETE_HOT_SNAPSHOT, "complete-snapshot-before-change", NOTEBOOK),
)
