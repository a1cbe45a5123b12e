"""End of a drill, however far it came: its remains removed, and what it proved reported.

Only volumes with this run's tags of a restored copy are deleted, after their tags were read again; the data volume's id
is refused whatever its tags say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.checks_words import describe_fact
from runbook_lib.errors import ActionError, AwsError, OutsideError, StepError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.backup_drill import wait
from runbook_lib.procedures.backup_facts import (
    CLEARED,
    DRILL_TAG,
    NOTEBOOK,
    RUN_TASK,
    is_removed,
    note,
    noted,
    observe_backup,
    observe_production,
    observe_remains,
)
from runbook_lib.procedures.backup_retention import backups
from runbook_lib.procedures.observations import RUN_TAG
from runbook_lib.procedures.spans import span
from runbook_lib.steps import Step, perform

if TYPE_CHECKING:
    from runbook_lib.run import Run

_STOPS_S, _POLL_S = 300.0, 0.3


def _observe_removal(run: Run) -> dict[str, Any]:
    return observe_remains(run) | {
        "removed": is_removed(run),
        "begun": bool(noted(run, "restoring")),
        "answered": noted(run, "answered"),
    }


def _is_clean(facts: Facts) -> bool:
    return not any(facts[key] for key in ("copies", "tasks", "definitions"))


def _check_removal(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "drill-begun",
            passed=bool(facts["begun"]),
            expected="a drill of this run",
            observed="begun" if facts["begun"] else "none",
            fix=f"run {NOTEBOOK} from the top",
            needs=RUN_TASK,
        ),
    )


def _remove(run: Run, before: Facts) -> None:
    """Stop the drill's task, let the host release the copy, detach it, delete it."""
    for arn in before["tasks"]:
        run.ecs.stop_task(arn, f"{run.run_id}: end of the drill")
    deadline = run.clock.monotonic() + _STOPS_S
    while observe_remains(run)["tasks"]:
        if run.clock.monotonic() >= deadline:
            raise AwsError("StopTask", "Timeout", f"the drill's task does not stop: {', '.join(before['tasks'])}")
        run.clock.sleep(_POLL_S)
    for arn in before["definitions"]:
        run.rehearsal_api.deregister_task_definition(arn)
    for copy in before["copies"]:
        _delete_copy(run, copy["volume_id"])
    note(run, "removed", copies=[copy["volume_id"] for copy in before["copies"]])


def _delete_copy(run: Run, volume_id: str) -> None:
    """Release, detach and delete one volume, if what EC2 says of it right now is what a copy of this run is."""
    volume = run.ebs.describe_volume(volume_id)
    ours = volume["tags"].get(RUN_TAG) == run.run_id and DRILL_TAG in volume["tags"]
    if volume_id == run.parameters.volume.volume_id or not ours:
        raise AwsError("DeleteVolume", "NotACopy", f"{volume_id} is no copy of this run; it was left alone")
    for attachment in volume["attachments"]:
        if attachment["state"] == "attached":
            run.host(attachment["instance_id"]).run("mount_copy", timeout_s=400, volume_id=volume_id, release=True)
            run.ebs.detach_volume(volume_id, attachment["instance_id"])
    wait(run, volume_id, lambda v: v["state"] in {"available", "error"} and not v["attachments"])
    run.rehearsal_api.delete_volume(volume_id)


def _verify_removed(_before: Facts, after: Facts) -> Sequence[Check]:
    left = [*(copy["volume_id"] for copy in after["copies"]), *after["tasks"], *after["definitions"]]
    return (
        Check(
            "nothing-left",
            passed=not left,
            expected="no copy, no task and no task definition of the drill",
            observed=", ".join(left) or "none",
            why="a forgotten copy costs money and holds the data",
            fix=f"run {NOTEBOOK} from the top; it removes what is left",
        ),
    )


def clear_after(run: Run, error: StepError) -> StepError:
    """Answer a failed step of the drill: leave nothing behind.

    Args:
        run: The open run, executing.
        error: How the step failed.

    Returns:
        The error; one that names what is left when that could not be removed.

    Changes:
        The drill's task, definition and copy are gone.
    """
    try:
        if any(observe_remains(run).values()):
            perform(REMOVE_DRILL, run)
            note(run, CLEARED)
    except (StepError, OutsideError) as left:
        return ActionError(
            error.step_id,
            f"{error.message}. What the drill made could not be removed either: {left}. "
            f"Run {NOTEBOOK} again; production was not touched",
        )
    return error


def _observe_recovery(run: Run) -> dict[str, Any]:
    backup, answered = observe_backup(run), noted(run, "answered")
    kept = run.journal.last("evidence", name="production-before-drill")
    return {
        "backup": backup,
        "restore_s": answered.get("restore_s"),
        **_ages(run, backup["started_utc"]),
        "before": run.evidence("production-before-drill") if kept else None,
        "now": observe_production(run),
        **observe_remains(run),
    }


def _ages(run: Run, started_utc: str) -> dict[str, Any]:
    """Return how old this run's backup is, and how long before it the former one was taken."""
    if not started_utc:
        return {"age_s": None, "since_last_backup_s": None}
    times = [s["started_utc"] for s in backups(run) if s["state"] == "completed" and s["started_utc"] < started_utc]
    began = run.clock.parse(started_utc)
    since = (began - run.clock.parse(max(times))).total_seconds() if times else None
    return {"age_s": (run.clock.now_utc() - began).total_seconds(), "since_last_backup_s": since}


def _check_recovery(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "production-untouched",
            passed=facts["before"] == facts["now"],
            expected=describe_fact(facts["before"]),
            observed=describe_fact(facts["now"]),
            why="a drill is beside production, never in its way",
            fix="run 64_check_drift, and read the service's events",
            needs=RUN_TASK,
        ),
        Check(
            "restore-proved",
            passed=facts["restore_s"] is not None and _is_clean(facts),
            expected="an answer from the restored copy, and nothing of the drill left",
            observed=f"answered after {facts['restore_s']} s" if facts["restore_s"] is not None else "none",
            fix=f"run {NOTEBOOK} from the top",
            needs=RUN_TASK,
        ),
    )


def _plan_recovery(facts: Facts) -> str:
    if facts["restore_s"] is None:
        return "Report the age of the backup and how long a restore takes."
    since = facts["since_last_backup_s"]
    lost = (
        f"at most {span(since)} of writes (since the backup before)" if since is not None else "known from the next on"
    )
    return (
        f"{facts['backup']['snapshot_id']} is {span(facts['age_s'])} old. RPO: {lost}. "
        f"RTO: {facts['restore_s']:.0f} s from the snapshot to an answer, on a host that runs."
    )


REMOVE_DRILL = Step(
    "remove-drill",
    NOTEBOOK,
    "Remove everything of the drill",
    _observe_removal,
    lambda facts: (
        f"Stop the drill's tasks (now {len(facts['tasks'])}), delete its restored copies (now {len(facts['copies'])})."
    ),
    _remove,
    is_done=lambda facts: facts["removed"] and _is_clean(facts),
    check=_check_removal,
    verify=_verify_removed,
    timeout_s=120,
    waits_for="EC2 deletes the copy",
)

REPORT_RECOVERY = Step(
    "report-recovery",
    NOTEBOOK,
    "Report what would be lost, and how long a restore takes",
    _observe_recovery,
    _plan_recovery,
    check=_check_recovery,
)
