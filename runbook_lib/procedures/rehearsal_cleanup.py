"""End of a rehearsal, however far it came: stop its task, wait until the plugin lets the clone go, remove everything.

The operator's credentials delete the clone; the instance role cannot. Only volumes with this run's rehearsal tags are
deleted, their tags are read again right before, and the data volume's id is refused whatever its tags say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import ActionError, AwsError, OutsideError, StepError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.rehearsal_facts import (
    NOTEBOOK,
    STOP_TASK,
    check_opened,
    describe,
    events,
    family,
    is_over,
    note,
    observe_clones,
    observe_remains,
    observe_state,
    observe_tasks,
    rehearsal_tags,
)
from runbook_lib.steps import Step, perform

if TYPE_CHECKING:
    from runbook_lib.run import Run

_GONE = "InvalidVolume.NotFound"
_SETTLED = {"available", "error"}


def _observe_stop(run: Run) -> dict[str, Any]:
    """Return the task and the clone; note once how long the task took to stop and the clone to be free."""
    tasks, clones, seen = observe_tasks(run), observe_clones(run), events(run)
    if "stopping" in seen and "stopped" not in seen and not tasks and not any(c["holder"] for c in clones):
        _note_stopped(run, seen)
    return observe_state(run) | {"tasks": [t["task_arn"] for t in tasks], "clones": clones}


def _note_stopped(run: Run, seen: dict[str, Any]) -> None:
    asked = run.clock.parse(seen["stopping"]["at_utc"])
    total_s = (run.clock.now_utc() - asked).total_seconds()
    found = [t for t in run.rehearsal_api.tasks_of(family(run)) if t["task_arn"] == seen["stopping"]["task_arn"]]
    stop_s = total_s
    if found and found[0]["stopping_utc"] and found[0]["containers_stopped_utc"]:
        began, ended = (run.clock.parse(found[0][key]) for key in ("stopping_utc", "containers_stopped_utc"))
        stop_s = min(max((ended - began).total_seconds(), 0.0), total_s)
    note(
        run,
        "stopped",
        task_arn=seen["stopping"]["task_arn"],
        stop_s=round(stop_s, 3),
        release_s=round(total_s - stop_s, 3),
    )


def _stop(run: Run, before: Facts) -> None:
    """Ask ECS to stop every task of this rehearsal; the plugin unmounts and detaches the clone when it has ended."""
    for task_arn in before["tasks"]:
        note(run, "stopping", task_arn=task_arn)
        run.ecs.stop_task(task_arn, f"{run.run_id}: end of the rehearsal")


def _verify_stopped(_before: Facts, after: Facts) -> Sequence[Check]:
    held = [c for c in after["clones"] if c["holder"] or c["state"] not in _SETTLED]
    return (
        Check(
            "rehearsal-task-stopped",
            passed=not after["tasks"],
            expected="no task of the rehearsal",
            observed=", ".join(after["tasks"]) or "none",
            fix="stop the task in ECS, then run again",
        ),
        Check(
            "clone-let-go",
            passed=not held,
            expected="the clone attached nowhere",
            observed=describe(held),
            why="a plugin that does not let go of the clone would not let go of the data volume either",
            fix="replace the container instance before the cutover; nothing forces a detach",
        ),
    )


def _observe_removal(run: Run) -> dict[str, Any]:
    return observe_state(run) | observe_remains(run)


def _check_removal(facts: Facts) -> Sequence[Check]:
    held = [c for c in facts["clones"] if c["holder"]]
    return (
        check_opened(facts),
        Check(
            "clone-free",
            passed=not held and not facts["tasks"],
            expected="the rehearsal's task stopped and its clone attached nowhere",
            observed=f"{', '.join(facts['tasks']) or 'no task'}; {describe(held)}",
            why="a volume is deleted only when nobody uses it",
            fix=f"run {NOTEBOOK} from the top",
            needs=STOP_TASK,
        ),
    )


def _remove(run: Run, before: Facts) -> None:
    """Delete the clone and deregister the task definition."""
    for clone in before["clones"]:
        _delete_clone(run, clone["volume_id"])
    for arn in before["definitions"]:
        run.rehearsal_api.deregister_task_definition(arn)


def _delete_clone(run: Run, volume_id: str) -> None:
    """Delete one volume, if what EC2 says of it right now is what a clone of this run is."""
    try:
        volume = run.ebs.describe_volume(volume_id)
    except AwsError as error:
        if error.code == _GONE:
            return
        raise
    ours = all(volume["tags"].get(key) == value for key, value in rehearsal_tags(run).items())
    if volume_id == run.parameters.volume.volume_id or not ours or volume["attachments"]:
        raise AwsError(
            "DeleteVolume",
            "NotAClone",
            f"{volume_id} is no free clone of this run: {volume['tags']}; it was left alone",
        )
    if volume["state"] in _SETTLED:
        run.rehearsal_api.delete_volume(volume_id)


def _verify_removed(_before: Facts, after: Facts) -> Sequence[Check]:
    left = [*(c["volume_id"] for c in after["clones"]), *after["definitions"]]
    return (
        Check(
            "nothing-left",
            passed=not left,
            expected="no clone and no task definition of the rehearsal",
            observed=", ".join(left) or "none",
            why="a forgotten clone costs money and holds a copy of the data",
            fix=f"run {NOTEBOOK} from the top; it removes what is left",
        ),
    )


def clear(run: Run) -> None:
    """Remove what is in the world of this run's rehearsal.

    Args:
        run: The open run, executing.

    Raises:
        StepError: when something could not be removed.

    Changes:
        The rehearsal's task, clone and task definition are gone.
    """
    perform(STOP_REHEARSAL_TASK, run)
    perform(REMOVE_REHEARSAL, run)


def clear_after(run: Run, error: StepError) -> StepError:
    """Answer a failed step of the rehearsal: leave nothing behind.

    Args:
        run: The open run, executing.
        error: How the step failed.

    Returns:
        The error; one that names what is left when that could not be removed.

    Changes:
        As `clear`.
    """
    try:
        if any(observe_remains(run).values()):
            clear(run)
    except (StepError, OutsideError) as left:
        return ActionError(
            error.step_id,
            f"{error.message}. What the rehearsal made could not be removed either: {left}. "
            f"Run {NOTEBOOK} again, it begins with that; production was not touched",
        )
    return error


STOP_REHEARSAL_TASK = Step(
    STOP_TASK,
    NOTEBOOK,
    "Stop the rehearsal's task and wait until its plugin lets the clone go",
    _observe_stop,
    lambda facts: f"Stop the tasks of the rehearsal (now {len(facts['tasks'])}).",
    _stop,
    is_done=is_over,
    check=lambda facts: (check_opened(facts),),
    verify=_verify_stopped,
    timeout_s=300,
    poll_s=0.3,
    waits_for="the task ends, the plugin unmounts and detaches the clone",
)

REMOVE_REHEARSAL = Step(
    "remove-rehearsal",
    NOTEBOOK,
    "Delete the clone and deregister the rehearsal's task definition",
    _observe_removal,
    lambda facts: (
        f"Delete its clones (now {describe(facts['clones'])}), deregister its task definitions "
        f"(now {len(facts['definitions'])})."
    ),
    _remove,
    is_done=is_over,
    check=_check_removal,
    verify=_verify_removed,
    timeout_s=120,
    waits_for="EC2 deletes the clone",
)
