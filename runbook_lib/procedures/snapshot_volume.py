"""20_snapshot_volume: a hot snapshot, so that the one inside the outage is small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import POINT_TAG, RUN_TAG, observe_volume
from runbook_lib.steps import Step, only_wait

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "20_snapshot_volume"
HOT = "hot"
_USABLE = {"pending", "completed"}


def observe_hot_snapshot(run: Run) -> dict[str, Any]:
    """Return this run's hot snapshot of the volume.

    Args:
        run: The open run.

    Returns:
        Keys `volume_id`, `volume_state`, `snapshot` (facts of the newest usable one, or None), `failed` (ids), `asked`
        (id of the one that was asked for last, "" for none).
    """
    volume, asked = observe_volume(run), run.journal.last("rollback-point", point=HOT)
    found = run.ebs.find_snapshots({RUN_TAG: run.run_id, POINT_TAG: HOT})
    usable = [s for s in found if s["state"] in _USABLE and s["volume_id"] == volume["volume_id"]]
    return {
        "volume_id": volume["volume_id"],
        "volume_state": volume["state"],
        "snapshot": usable[-1] if usable else None,
        "failed": [s["snapshot_id"] for s in found if s["state"] not in _USABLE],
        "asked": asked.fields["id"] if asked else "",
    }


def check_hot_snapshot(snapshot: Facts | None) -> Check:
    """Return whether this run has a hot snapshot.

    Args:
        snapshot: As `observe_hot_snapshot`.

    Returns:
        The check.
    """
    return Check(
        "hot-snapshot-taken",
        passed=snapshot is not None,
        expected="a hot snapshot of this run",
        observed=snapshot["snapshot_id"] if snapshot else "none",
        why="it makes the rollback point inside the outage small",
        fix="run 20_snapshot_volume with this run_id",
        needs="create-hot-snapshot",
    )


def _has_snapshot(facts: Facts) -> bool:
    return facts["snapshot"] is not None


def _is_completed(facts: Facts) -> bool:
    return facts["snapshot"] is not None and facts["snapshot"]["state"] == "completed"


def _plan_create(facts: Facts) -> str:
    return f"Create a snapshot of {facts['volume_id']} while the service runs."


def _check_create(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-healthy",
            passed=facts["volume_state"] in {"in-use", "available"},
            expected=f"{facts['volume_id']} in-use or available",
            observed=facts["volume_state"],
            fix="look at the volume's status in EC2",
        ),
    )


def create_hot_snapshot(run: Run, before: Facts) -> None:
    """Start the hot snapshot.

    Args:
        run: The open run.
        before: As `observe_hot_snapshot`.

    Changes:
        A new snapshot, tagged with the run.
    """
    tags = {RUN_TAG: run.run_id, POINT_TAG: HOT, "Name": f"{run.run_id}-{HOT}"}
    snapshot_id = run.ebs.create_snapshot(before["volume_id"], f"{run.run_id}: hot, before the cutover", tags)
    run.journal.append("rollback-point", point=HOT, type="snapshot", id=snapshot_id, status="pending")


def _verify_create(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "snapshot-started",
            passed=_has_snapshot(after),
            expected="a pending or completed snapshot of this run",
            observed="none" if after["snapshot"] is None else after["snapshot"]["snapshot_id"],
            fix="read StatusMessage of the failed snapshots and run again",
        ),
    )


def _plan_complete(facts: Facts) -> str:
    which = facts["snapshot"]["snapshot_id"] if facts["snapshot"] else "the hot snapshot"
    return f"Wait until {which} is completed; the service runs on."


def _check_complete(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "hot-snapshot-exists",
            passed=_has_snapshot(facts) or bool(_failed_meanwhile(facts)),  # told with exit code 4
            expected="a hot snapshot of this run",
            observed=facts["snapshot"]["snapshot_id"] if facts["snapshot"] else facts["asked"] or "none",
            fix="run 20_snapshot_volume from the top",
            needs="create-hot-snapshot",
        ),
    )


def _verify_complete(_before: Facts, after: Facts) -> Sequence[Check]:
    snapshot = after["snapshot"] or {"state": "none", "progress": ""}
    return (
        Check(
            "hot-snapshot-completed",
            passed=snapshot["state"] == "completed",
            expected="completed",
            observed=f"{snapshot['state']} {snapshot['progress']}".strip(),
            why="the snapshot inside the outage then holds only what changed since",
            fix="run again to go on waiting; snapshots of large volumes take hours",
        ),
    )


def _failed_meanwhile(facts: Facts) -> str:
    """Return that the snapshot has failed; one that EC2 does not show yet has not."""
    failed = facts["snapshot"] is None and facts["asked"] in facts["failed"]
    return f"EBS ended snapshot {facts['asked']} in error; a resumed run takes another one" if failed else ""


CREATE_HOT_SNAPSHOT = Step(
    "create-hot-snapshot",
    NOTEBOOK,
    "Create a snapshot while the service runs",
    observe_hot_snapshot,
    _plan_create,
    create_hot_snapshot,
    is_done=_has_snapshot,
    check=_check_create,
    verify=_verify_create,
    hopeless=_failed_meanwhile,
)

COMPLETE_HOT_SNAPSHOT = Step(
    "complete-hot-snapshot",
    NOTEBOOK,
    "Wait until the hot snapshot is completed",
    observe_hot_snapshot,
    _plan_complete,
    only_wait,
    is_done=_is_completed,
    check=_check_complete,
    verify=_verify_complete,
    hopeless=_failed_meanwhile,
    timeout_s=6 * 3600,
    poll_s=1.0,
    waits_for="EBS copies the changed blocks; nothing is down meanwhile",
)

STEPS = (CREATE_HOT_SNAPSHOT, COMPLETE_HOT_SNAPSHOT)
