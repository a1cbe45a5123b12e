"""Retention of backups: which expired, and their deletion where the policy wants it.

Only snapshots with the tag of a backup of this very volume are deleted, their tags read again right before. The newest
completed backup stays, and the newest that a drill has restored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_facts import (
    BACKUP_TAG,
    DRILL_TAG,
    NOTEBOOK,
    RUN_TASK,
    is_removed,
    note,
    noted,
    observe_backup,
)
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

PASSED = "passed"


def backups(run: Run) -> list[dict[str, Any]]:
    """Return every backup of the data volume, oldest first, as `Estate.snapshots_of`."""
    volume_id = run.parameters.volume.volume_id
    return [s for s in run.estate.snapshots_of(volume_id) if s["tags"].get(BACKUP_TAG) == volume_id]


def find_expired(
    snapshots: Sequence[Facts], *, volume_id: str, now: datetime, keep_last: int, keep_days: int
) -> list[str]:
    """Return the backups that the policy no longer keeps.

    Args:
        snapshots: As `Estate.snapshots_of`.
        volume_id: The data volume.
        now: The time now.
        keep_last: How many of the newest completed ones stay, however old.
        keep_days: How long one stays besides.

    Returns:
        Ids, oldest first. Never one without the tag of a backup of this volume, one that is pending, the newest
        completed one, or the newest that a drill has restored.
    """
    backups = [s for s in snapshots if s["tags"].get(BACKUP_TAG) == volume_id]
    newest_first = sorted(backups, key=lambda s: s["started_utc"], reverse=True)
    completed = [s["snapshot_id"] for s in newest_first if s["state"] == "completed"]
    proved = [
        s["snapshot_id"] for s in newest_first if s["state"] == "completed" and s["tags"].get(DRILL_TAG) == PASSED
    ]
    kept = {*completed[: max(keep_last, 1)], *proved[:1]}
    oldest = now - timedelta(days=keep_days)
    return [
        s["snapshot_id"]
        for s in reversed(newest_first)
        if s["snapshot_id"] not in kept
        and s["state"] in {"completed", "error"}
        and completed
        and datetime.fromisoformat(s["started_utc"]) < oldest
    ]


def _observe_expired(run: Run) -> dict[str, Any]:
    policy, volume_id = run.parameters.policy.backup, run.parameters.volume.volume_id
    snapshots, backup = backups(run), observe_backup(run)
    mine: Mapping[str, Any] = next((s for s in snapshots if s["snapshot_id"] == backup["snapshot_id"]), {"tags": {}})
    answered = bool(noted(run, "answered")) and is_removed(run)
    # the mark that this step sets is counted before it is set: the one that was restored before need not stay then
    counted = [s | {"tags": s["tags"] | {DRILL_TAG: PASSED}} if s is mine and answered else s for s in snapshots]
    now, last, days = run.clock.now_utc(), policy.keep_last, policy.keep_days
    expired = find_expired(counted, volume_id=volume_id, now=now, keep_last=last, keep_days=days)
    return {
        "backup": backup,
        "marked": mine["tags"].get(DRILL_TAG) == PASSED,
        "answered": answered,
        "kept": len(snapshots) - len(expired),
        "expired": expired,
        "deletes": policy.delete_expired,
    }


def _plan_expired(facts: Facts) -> str:
    what = f"delete {', '.join(facts['expired']) or 'no backup'}"
    if facts["expired"] and not facts["deletes"]:
        what = f"{', '.join(facts['expired'])} expired and stay: policy.backup.delete_expired is false"
    return f"Mark {facts['backup']['snapshot_id'] or 'the backup'} as restored; {what}; kept: {facts['kept']}."


def _check_expired(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "newest-backup-restored",
            passed=facts["answered"],
            expected="the drill of this run's backup passed",
            observed="passed" if facts["answered"] else "not",
            why="older backups go only when a newer one was proved",
            fix=f"run {NOTEBOOK} from the top",
            needs=RUN_TASK,
        ),
    )


def _expire(run: Run, before: Facts) -> None:
    """Mark this run's backup as restored; delete what expired, where the policy says so."""
    run.ec2.set_tags(before["backup"]["snapshot_id"], {DRILL_TAG: PASSED})
    deleted = []
    for snapshot_id in before["expired"] if before["deletes"] else ():
        now = {s["snapshot_id"]: s for s in backups(run)}  # read again right before
        if snapshot_id in now and snapshot_id != before["backup"]["snapshot_id"]:
            run.backups.delete(snapshot_id)
            deleted.append(snapshot_id)
    note(run, "expired", deleted=deleted, expired=before["expired"])


def _verify_expired(_before: Facts, after: Facts) -> Sequence[Check]:
    left = after["expired"] if after["deletes"] else []
    return (
        Check("backup-marked", bool(after["marked"]), "the backup tagged as restored",
              "tagged" if after["marked"] else "not tagged", fix="run again"),
        Check("expired-deleted", not left, "no expired backup", ", ".join(left) or "none",
              fix="a snapshot that an AMI or a lock uses cannot be deleted: read EC2's answer"),
    )  # fmt: skip


def _deleted_for_good(facts: Facts) -> str:
    return f"deletes {', '.join(facts['expired'])} for good" if facts["expired"] and facts["deletes"] else ""


EXPIRE_BACKUPS = Step(
    "expire-backups",
    NOTEBOOK,
    "Mark the backup as restored, and delete what expired",
    _observe_expired,
    _plan_expired,
    _expire,
    is_done=lambda facts: facts["marked"] and not (facts["expired"] and facts["deletes"]),
    check=_check_expired,
    verify=_verify_expired,
    no_return=_deleted_for_good,
    timeout_s=60,
)
