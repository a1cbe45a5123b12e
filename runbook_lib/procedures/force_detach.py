"""Break-glass: tear the volume from an instance that is proved stopped. A command of its own, in no notebook.

For an attachment that stays `busy` although its instance is down. Refused while the instance could still write, while
ECS would mount the volume at once, and without a reason. It is noted before it is done, so that whatever happens then,
nobody mounts the filesystem before it was checked: `check-filesystem` of 90_roll_back does that on the source, between
attach and mount, and `name-volume` of 30_cut_over_volume refuses until it was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import (
    CUT_OVER_TAG,
    FORMER_NAME_TAG,
    RUN_TAG,
    SOURCE_DEVICE_TAG,
    found,
    observe_volume,
)
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "force_detach"
_DOWN = {"stopped", "terminated"}


def _observe_forced(run: Run) -> dict[str, Any]:
    """Return who holds the volume, whether that instance is down, and whether ECS waits for the volume."""
    volume = observe_volume(run)
    holder = volume["holder"]
    instance = found(lambda: run.ec2.describe_instance(holder)) if holder else {}
    return {
        "volume": volume,
        "holder": holder,
        "holder_state": instance.get("state", instance.get("error", "")),
        "desired_count": run.ecs.describe_service().get("desired_count", 0),
        "reason": run.reason.strip(),
    }


def _is_free(facts: Facts) -> bool:
    volume = facts["volume"]
    return volume["state"] == "available" and not volume["attachments"]


def _check_forced(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "holder-down",
            passed=facts["holder_state"] in _DOWN,
            expected=f"{facts['holder']} stopped or terminated",
            observed=facts["holder_state"] or "unknown",
            why="an instance that runs still writes, and what it has not written would be lost",
            fix="stop the instance in EC2 and wait until it is stopped; then run force-detach again",
        ),
        Check(
            "nobody-waits-for-it",
            passed=facts["desired_count"] == 0,
            expected="the ECS service at desired count 0",
            observed=f"desired {facts['desired_count']}",
            why="the storage driver of another host would mount the volume before its filesystem was checked",
            fix="set the desired count to 0; then run force-detach again",
        ),
        Check(
            "reason-given",
            passed=bool(facts["reason"]),
            expected="a reason",
            observed=facts["reason"] or "none",
            why="data may be lost, and the record must say why that was accepted",
            fix="give --reason",
        ),
    )


def _force_detach(run: Run, before: Facts) -> None:
    """Note it, remember on the volume where it came from, then force."""
    volume = before["volume"]
    volume_id = volume["volume_id"]
    run.journal.append(
        "forced-detach",
        volume_id=volume_id,
        instance_id=before["holder"],
        instance_state=before["holder_state"],
        attachment_state=volume["attachments"][0]["state"],
        operator=run.journal.last("run-opened").fields["operator"],  # type: ignore[union-attr] # an open run has one
        reason=before["reason"],
    )
    if volume["on_source"] and CUT_OVER_TAG not in volume["tags"]:
        origin = {
            RUN_TAG: run.run_id,
            SOURCE_DEVICE_TAG: volume["attachments"][0]["device_name"],
            FORMER_NAME_TAG: volume["tags"].get("Name", ""),
        }
        run.ec2.set_tags(volume_id, origin)
    run.break_glass.force_detach_volume(volume_id, before["holder"])


def _verify_forced(_before: Facts, after: Facts) -> Sequence[Check]:
    volume = after["volume"]
    return (
        Check(
            "volume-available",
            passed=_is_free(after),
            expected=f"{volume['volume_id']} available",
            observed=volume["attachments"][0]["state"] if volume["attachments"] else volume["state"],
            why="only an available volume can be attached to a host that checks it",
            fix="terminate the instance, which detaches it, or ask AWS Support; then run force-detach again",
        ),
    )


STEPS = (
    Step(
        "force-detach-volume",
        NOTEBOOK,
        "Tear the volume from its stopped instance",
        _observe_forced,
        lambda facts: f"Force the detach of {facts['volume']['volume_id']} from {facts['holder']}: data may be lost.",
        _force_detach,
        is_done=_is_free,
        check=_check_forced,
        verify=_verify_forced,
        timeout_s=300,
        waits_for="EC2 ends the attachment",
        in_outage=True,
    ),
)
