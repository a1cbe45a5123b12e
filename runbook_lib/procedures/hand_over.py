"""Cutover, between the hosts: take the rollback point, detach the volume, hand it to the storage driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks
from runbook_lib.errors import AwsError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.filesystem_check import check_filesystem_looked_at, is_filesystem_unchecked
from runbook_lib.procedures.observations import (
    CUT_OVER_TAG,
    FORMER_NAME_TAG,
    POINT_TAG,
    RUN_TAG,
    SOURCE_DEVICE_TAG,
    detach_by_hand,
    driver_of,
    observe_names,
    observe_volume,
)
from runbook_lib.procedures.rollback_points import (
    ROLLBACK,
    observe_rollback_points,
)
from runbook_lib.procedures.together import together
from runbook_lib.procedures.verification import send_ahead
from runbook_lib.steps import Step
from runbook_lib.storage import REFUSED

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "30_cut_over_volume"
_NO_COPIES = {"InvalidAction", "UnsupportedOperation", "Unsupported", "OperationNotPermitted"}


def _has_rollback_point(facts: Facts) -> bool:
    return any(point["is_current"] for point in facts["points"])


def _check_rollback_point(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-unmounted",
            passed=not facts["mounted"],
            expected="the volume unmounted on the source",
            observed="mounted" if facts["mounted"] else "not mounted",
            why="a copy of a mounted filesystem is only crash-consistent",
            fix="run 30_cut_over_volume from the top",
            needs="stop-source-service",
        ),
        Check(
            "before-foreign-mount",
            passed=facts["volume"]["on_source"] or not facts["volume"]["holder"],
            expected="the volume on the source, or nowhere",
            observed=facts["volume"]["holder"] or "attached nowhere",
            why="the rollback point is worth something only before the first foreign mount",
            fix="roll back, then run 30_cut_over_volume from the top",
        ),
    )


def _token(run: Run, points: Sequence[Facts]) -> str:
    """Return the same client token until a copy is seen or noted: AWS answers it with the first copy, failed or not."""
    noted = sum(1 for _ in run.journal.find("rollback-point", point=ROLLBACK))
    return f"{run.run_id}-{len(points)}-{noted}"


def _create_rollback_point(run: Run, before: Facts) -> None:
    """Copy the volume where the region can, else start a snapshot."""
    volume_id = before["volume"]["volume_id"]
    tags = {RUN_TAG: run.run_id, POINT_TAG: ROLLBACK, "Name": f"{run.run_id}-{ROLLBACK}"}
    if before["policy"] == "copy_or_snapshot":
        try:
            token = _token(run, before["points"])
            copy_id = run.ebs.copy_volume(volume_id, tags, token)
        except AwsError as error:
            if error.code not in _NO_COPIES:
                raise
        else:
            run.journal.append("rollback-point", point=ROLLBACK, type="volume", id=copy_id, status="creating")
            return
    snapshot_id = run.ebs.create_snapshot(volume_id, f"{run.run_id}: after unmount, before ECS", tags)
    run.journal.append("rollback-point", point=ROLLBACK, type="snapshot", id=snapshot_id, status="pending")


def _verify_rollback_point(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "rollback-point-exists",
            passed=_has_rollback_point(after),
            expected="a copy or snapshot taken after unmount",
            observed=", ".join(f"{p['id']} {p['state']}" for p in after["points"]) or "none",
            why="without it a damaged filesystem has no way back",
            fix="read the error in EC2 and run again; do not go on without it",
        ),
    )


def _is_detached(facts: Facts) -> bool:
    return not facts["volume"]["on_source"]


def _check_detach(facts: Facts) -> Sequence[Check]:
    return (
        _check_rollback_point(facts)[0],
        Check(
            "rollback-point-exists",
            passed=_has_rollback_point(facts),
            expected="a copy or snapshot taken after unmount",
            observed=", ".join(p["id"] for p in facts["points"]) or "none",
            why="the next step gives the volume to another host",
            fix="run 30_cut_over_volume from the top",
            needs="create-rollback-point",
        ),
    )


def _detach(run: Run, before: Facts) -> None:
    """Note on the volume where it came from, ask for a clean detach, and let the target's host wait for the volume."""
    volume = before["volume"]
    origin = {
        RUN_TAG: run.run_id,
        SOURCE_DEVICE_TAG: volume["attachments"][0]["device_name"],
        FORMER_NAME_TAG: volume["tags"].get("Name", ""),
    }
    run.ec2.set_tags(volume["volume_id"], origin)
    run.ebs.detach_volume(volume["volume_id"], volume["holder"])
    send_ahead(run, volume)


def _verify_detached(_before: Facts, after: Facts) -> Sequence[Check]:
    volume = after["volume"]
    state = volume["attachments"][0]["state"] if volume["attachments"] else volume["state"]
    return (
        Check(
            "volume-available",
            passed=volume["state"] == "available" and not volume["attachments"],
            expected=f"{volume['volume_id']} available",
            observed=state,
            why="nobody may hold it before the target's storage driver does",
            fix="when it stays busy something still holds the device: find it on the source, or stop the instance "
            "cleanly; the runbook never forces a detach",
        ),
    )


def observe_name(run: Run) -> dict[str, Any]:
    """Return the volume's Name and every other Name in its Availability Zone.

    Args:
        run: The open run.

    Returns:
        Keys `volume`, `names`, `volume_name`, `unchecked` (nobody may mount it after a forced detach).
    """
    volume, unchecked = observe_volume(run), is_filesystem_unchecked(run)
    names = {"names": observe_names(run, volume), "volume_name": driver_of(run).volume_name}
    return {"volume": volume, "unchecked": unchecked} | names


def check_unique_name(facts: Facts) -> Check:
    """Return whether the Name would be, or is, the data volume's alone.

    Args:
        facts: As `observe_name`.

    Returns:
        The check.
    """
    return checks.check_name_free(facts["names"], facts["volume"]["volume_id"], facts["volume_name"])


def is_named(facts: Facts) -> bool:
    """Return whether the data volume, and no other, has the Name and the tag that hand it to the storage driver.

    Args:
        facts: As `observe_name`; `by_name_alone` when the tag may be missing, because hosts of another driver heed it.

    Returns:
        True when so.
    """
    tags = facts["volume"]["tags"]
    has_tag = CUT_OVER_TAG in tags or facts.get("by_name_alone", False)
    return tags.get("Name") == facts["volume_name"] and has_tag and check_unique_name(facts).passed


def _observe_hand_over(run: Run) -> dict[str, Any]:
    """Return the naming, and whether the storage driver has taken the volume where it does so before the task."""
    seen = together(naming=lambda: observe_name(run), instances=run.ecs.container_instances)
    taken = driver_of(run).check_handed_over(seen["instances"])
    return {**seen["naming"], "taken": [check.as_json() for check in taken]}


def _check_naming(facts: Facts) -> Sequence[Check]:
    volume = facts["volume"]
    is_on_target = volume["tags"].get("Name") == facts["volume_name"] and not volume["on_source"]
    stranger = "" if volume["on_source"] or is_on_target else volume["holder"]
    return (
        check_unique_name(facts),
        check_filesystem_looked_at(facts["unchecked"]),
        Check(
            "volume-available",
            passed=volume["state"] == "available" or is_on_target,
            expected=f"{volume['volume_id']} attached nowhere",
            observed=f"{volume['state']} {volume['holder']}".strip(),
            why="the Name hands the volume to the plugin; it is set last",
            fix=f"{detach_by_hand(volume)}; then run again" if stranger else "run 30_cut_over_volume from the top",
            needs="detach-volume",
        ),
    )


def _name_volume(run: Run, before: Facts) -> None:
    """Set the Name and the tag by which the storage driver knows that the volume is its own."""
    now = run.clock.now_utc().isoformat(timespec="seconds")
    run.ec2.set_tags(before["volume"]["volume_id"], {"Name": before["volume_name"], CUT_OVER_TAG: now})


def _verify_named(_before: Facts, after: Facts) -> Sequence[Check]:
    observed = after["volume"]["tags"].get("Name", "")
    return (
        Check(
            "volume-named",
            passed=observed == after["volume_name"],
            expected=f"Name {after['volume_name']}",
            observed=observed or "no Name",
            fix="set the tag by hand, then run again",
        ),
        check_unique_name(after),
        *(Check(**check) for check in after["taken"]),
    )


CREATE_ROLLBACK_POINT = Step(
    "create-rollback-point",
    NOTEBOOK,
    "Create the rollback point before anyone else mounts the volume",
    observe_rollback_points,
    lambda facts: f"Copy {facts['volume']['volume_id']} where the region can, else snapshot it; never wait for it.",
    _create_rollback_point,
    is_done=_has_rollback_point,
    check=_check_rollback_point,
    verify=_verify_rollback_point,
    in_outage=True,
)

DETACH_VOLUME = Step(
    "detach-volume",
    NOTEBOOK,
    "Detach the volume from the source",
    observe_rollback_points,
    lambda facts: f"Detach {facts['volume']['volume_id']} from {facts['volume']['holder']}, not forced.",
    _detach,
    is_done=_is_detached,
    check=_check_detach,
    verify=_verify_detached,
    roll_back="attach-volume-to-source",
    timeout_s=180,
    poll_s=0.1,
    waits_for="EC2 detaches the volume",
    in_outage=True,
)

NAME_VOLUME = Step(
    "name-volume",
    NOTEBOOK,
    "Name the volume for the target's storage driver",
    _observe_hand_over,
    lambda facts: f"Set Name {facts['volume_name']!r} on {facts['volume']['volume_id']}.",
    _name_volume,
    is_done=lambda facts: is_named(facts) and all(check["passed"] for check in facts["taken"]),
    check=_check_naming,
    verify=_verify_named,
    hopeless=lambda facts: "; ".join(
        c["observed"] for c in facts["taken"] if c["check_id"] == REFUSED and not c["passed"]
    ),
    roll_back="rename-volume",
    timeout_s=180,
    poll_s=0.3,
    waits_for="the storage driver takes the volume, where it does so before the task starts",
    in_outage=True,
)
