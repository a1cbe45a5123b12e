"""What a backup and its drill are known by: their tags, what they left in the world, what the journal says. Reads only.

A backup carries no Name that the storage driver looks for; a restored copy neither. What an interruption left is found
again by the tags, not by remembering.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import RUN_TAG, observe_task, observe_volume

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "63_back_up_volume"
BACKUP_TAG = "runbook:backup"
"""Tag of a backup: the volume that it is of. Nothing without it is ever deleted by the retention."""

CONSISTENCY_TAG = "runbook:consistency"
"""Tag of a backup: `crash` from its creation on, `freeze` or `stop` once that was proved."""

DRILL_TAG = "runbook:drill"
"""Tag of a restored copy: the snapshot that it is of. Of a backup: `passed` when a drill restored it."""

CREATE, RESTORE, RUN_TASK = "create-backup", "restore-backup-copy", "run-drill-task"
BEFORE, AFTER, ON_COPY = "manifest-before-backup", "manifest-after-backup", "manifest-of-restored-copy"
CLEARED = "cleared"
_OF_DRILL = {"restoring", ON_COPY, "restored", "requested", "answered", "removed"}
_GONE = {"deleting", "deleted"}


def suffix(run: Run) -> str:
    """Return what tells this run's drill from every other's: eight hex digits."""
    return hashlib.sha256(run.run_id.encode()).hexdigest()[:8]


def family(run: Run) -> str:
    """Return the family of the drill's task definition, which no service uses."""
    return f"{run.parameters.target.service_name}-drill-{suffix(run)}"


def drill_tags(run: Run, snapshot_id: str) -> dict[str, str]:
    """Return the tags of a restored copy of this run.

    Args:
        run: The open run.
        snapshot_id: The backup that it is of.

    Returns:
        Keys and values.
    """
    return {RUN_TAG: run.run_id, DRILL_TAG: snapshot_id}


def note(run: Run, phase: str, **fields: Any) -> None:
    """Write one phase of the backup into the journal.

    Args:
        run: The open run.
        phase: `manifest-before-backup`, `manifest-after-backup`, `taken`, `restoring`, `manifest-of-restored-copy`,
            `restored`, `requested`, `answered`, `removed`, `cleared` (an attempt that failed was removed) or `expired`.
        **fields: What there is to say.

    Changes:
        A `backup` event.
    """
    run.journal.append("backup", phase=phase, **fields)


def noted(run: Run, phase: str) -> dict[str, Any]:
    """Return the newest event of a phase, with `at_utc`; {} when there is none.

    Args:
        run: The open run.
        phase: As `note`.

    Returns:
        Its fields. Of a drill only what was noted since the backup was taken, and since an attempt was removed.
    """
    event = run.journal.last("backup", phase=phase)
    if event is None or (phase in _OF_DRILL and event.seq < _drill_begins(run)):
        return {}
    return event.fields | {"at_utc": event.at_utc, "seq": event.seq}


def _drill_begins(run: Run) -> int:
    """Return the journal's line from which on events belong to the present drill."""
    found = (run.journal.last("backup", phase=phase) for phase in ("taken", CLEARED))
    return max((event.seq for event in found if event is not None), default=0)


def observe_backup(run: Run) -> dict[str, Any]:
    """Return this run's backup and how it is.

    Args:
        run: The open run.

    Returns:
        Keys `snapshot_id` ("" before one was taken whole), `state`, `progress`, `started_utc`, `consistency`.
    """
    taken = noted(run, "taken").get("snapshot_id", "")
    found = run.ebs.find_snapshots({RUN_TAG: run.run_id, BACKUP_TAG: run.parameters.volume.volume_id})
    mine = next((one for one in found if one["snapshot_id"] == taken), None)
    nothing = {"snapshot_id": "", "state": "none", "progress": "", "started_utc": "", "consistency": ""}
    if mine is None:
        return nothing
    keys = ("snapshot_id", "state", "progress", "started_utc")
    return {key: mine[key] for key in keys} | {"consistency": mine["tags"].get(CONSISTENCY_TAG, "")}


def observe_production(run: Run) -> dict[str, Any]:
    """Return what a drill must leave as it is.

    Args:
        run: The open run.

    Returns:
        Keys `task_arn` ("" when none runs alone), `desired_count`, `attachments`, `name`.
    """
    task, volume = observe_task(run), observe_volume(run)
    return {
        "task_arn": task["task"]["task_arn"] if task["task"] else "",
        "desired_count": task["service"].get("desired_count"),
        "attachments": [f"{a['instance_id']} {a['device_name']} {a['state']}" for a in volume["attachments"]],
        "name": volume["tags"].get("Name", ""),
    }


def observe_remains(run: Run) -> dict[str, Any]:
    """Return everything of this run's drill that is in the world now.

    Args:
        run: The open run.

    Returns:
        Keys `copies` [{`volume_id, state, holder`}], `tasks` (ARNs), `definitions` (ARNs).
    """
    key = DRILL_TAG
    found = [v for v in run.ebs.find_volumes({RUN_TAG: run.run_id}) if key in v["tags"] and v["state"] not in _GONE]
    tasks = [task for task in run.rehearsal_api.tasks_of(family(run)) if task["last_status"] != "STOPPED"]
    return {
        "copies": [
            {
                "volume_id": volume["volume_id"],
                "state": volume["state"],
                "holder": volume["attachments"][0]["instance_id"] if volume["attachments"] else "",
            }
            for volume in found
        ],
        "tasks": [task["task_arn"] for task in tasks],
        "definitions": run.rehearsal_api.active_definitions(family(run)),
    }


def is_removed(run: Run) -> bool:
    """Return whether this run's drill has come to its end, with everything of it removed."""
    return bool(noted(run, "removed"))


def say_error(backup: Facts) -> str:
    """Return that EBS has ended the backup in error, "" when it has not.

    Args:
        backup: As `observe_backup`.

    Returns:
        A sentence.
    """
    if backup["state"] != "error":
        return ""
    return f"EBS ended {backup['snapshot_id']} in error; a resumed run takes another one"


def check_completed(backup: Facts) -> Check:
    """Return whether this run's backup can be restored.

    Args:
        backup: As `observe_backup`.

    Returns:
        The check.
    """
    return Check(
        "backup-completed",
        passed=backup["state"] == "completed",
        expected="a completed backup of this run",
        observed=f"{backup['snapshot_id'] or 'none'} {backup['state']}",
        why="only a completed snapshot can be restored",
        fix=f"run {NOTEBOOK} from the top",
        needs=CREATE,
    )
