"""What the journal says of the run as a whole; pure."""

from __future__ import annotations

from collections.abc import Sequence

from runbook_lib.model import Event, RunStatus
from runbook_lib.report_attempts import Attempt, StepRecord, attempts, step_records
from runbook_lib.report_failure import is_given_up, last_failure
from runbook_lib.report_notebooks import CUT_OVER, ROLL_BACK

HOLD = "hold-cutover"
_APPROVAL_EXIT_CODE = 6


def derive_status(events: Sequence[Event]) -> RunStatus:
    """Return the state of a run.

    Args:
        events: The journal, oldest first.

    Returns:
        `rolled_back` from the end of 90_roll_back until the next cutover; `interrupted` when the last notebook was
        stopped or its end was never recorded; `waiting` when the last failure is a missing approval, or the cutover
        holds; `failed` when a
        step or notebook failed and did not succeed since; `planned` when nothing was ever executed.
    """
    return RunStatus.WAITING if find_hold(events) is not None else _derive_status(events)


def _derive_status(events: Sequence[Event]) -> RunStatus:
    all_steps, all_attempts = step_records(events), attempts(events)
    executed = any(event.kind == "run-opened" and event.fields.get("execute") for event in events)
    steps = [step for step in all_steps if step.execute or not executed]
    runs = [attempt for attempt in all_attempts if attempt.execute or not executed]
    if not runs or (not steps and runs[-1].status in {"open", "completed"}):
        return RunStatus.INTERRUPTED if executed else RunStatus.PLANNED
    ended = _ended_by_failure(runs[-1], steps) or _went_back(events, runs[-1].seq)
    if runs[-1].status in {"interrupted", "open"} and not ended:
        return RunStatus.INTERRUPTED
    rolled_back_at = _rolled_back_at(steps)
    failure = last_failure(steps, runs, since_seq=rolled_back_at)
    if failure:
        return RunStatus.WAITING if failure.get("exit_code") == _APPROVAL_EXIT_CODE else RunStatus.FAILED
    steps = [step for step in steps if not is_given_up(step, runs)]
    if any(step.status == "running" and step.seq > rolled_back_at for step in steps):
        return RunStatus.INTERRUPTED
    if rolled_back_at and not any(step.notebook == CUT_OVER and step.seq > rolled_back_at for step in steps):
        return RunStatus.ROLLED_BACK
    return RunStatus.SUCCEEDED if executed else RunStatus.PLANNED


def find_hold(events: Sequence[Event]) -> Event | None:
    """Return the hold that the run is in.

    Args:
        events: The journal, oldest first.

    Returns:
        Its `wait` event, or None when the run does not hold.
    """
    for event in reversed(events):
        if event.kind == "wait" and event.fields.get("step_id") == HOLD:
            return event
        if event.kind in {"step", "hold", "notebook-started", "notebook-finished", "panic"}:
            return None
    return None


def is_cut_off(step: StepRecord, runs: Sequence[Attempt]) -> bool:
    """Return whether a step began and never ended, although its notebook did, or another was begun.

    Args:
        step: Last word on the step.
        runs: Every attempt, oldest first.

    Returns:
        False for a step that ended, or that may still be under way.
    """
    own = [attempt for attempt in runs if attempt.seq < step.seq]
    return step.status == "running" and bool(own) and (own[-1].status != "open" or own[-1] is not runs[-1])


def _ended_by_failure(attempt: Attempt, steps: Sequence[StepRecord]) -> bool:
    """Return whether an attempt without a recorded end failed in a step, which is more than an interruption."""
    newest = max(steps, key=lambda step: step.seq, default=None)
    return attempt.status == "open" and newest is not None and newest.seq > attempt.seq and newest.status == "failed"


def _went_back(events: Sequence[Event], since_seq: int) -> bool:
    """Return whether the last thing that happened is that the run took the service back by itself."""
    acts = [e for e in events if e.seq > since_seq and e.kind in {"step", "outage-budget"}]
    return bool(acts) and acts[-1].kind == "outage-budget" and acts[-1].fields.get("phase") == "rolled-back"


def _rolled_back_at(steps: Sequence[StepRecord]) -> int:
    """Return the number of the event that ended a roll back, 0 when there was none or it did not get through."""
    back = [step for step in steps if step.notebook == ROLL_BACK and step.execute]
    return max((s.seq for s in back), default=0) if all(s.status in {"succeeded", "skipped"} for s in back) else 0
