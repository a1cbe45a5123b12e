"""What the journal says of steps, notebooks and the run as a whole; pure.

A dry run never hides what an executing one did: what was only planned counts where nothing was executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbook_lib.model import Event, RunStatus

CUT_OVER = "30_cut_over_volume"
VERIFY = "40_verify_persistence"
ADOPT = "45_adopt_volume"
RETIRE = "50_retire_source"
PATCH = "60_patch_hosts"
DEPLOY = "61_deploy_image"
RESIZE = "62_resize"
BACK_UP = "63_back_up_volume"
LOOK = "64_check_drift"
PREPARE = "65_prepare_storage_driver"
CHANGE = "66_change_storage_driver"
RESTORE = "70_restore_volume"
ROLL_BACK = "90_roll_back"
HOLD = "hold-cutover"
_APPROVAL_EXIT_CODE = 6


@dataclass(frozen=True)
class StepRecord:
    """The last word of the journal on one step.

    Args:
        seq: Number of that event.
        execute: Whether it was written while the run executed.
        attempts: How often the step began.
        started_utc: RFC 3339 time of its first observation.
        ended_utc: RFC 3339 time of the event.
        fields: The event's fields.
    """

    seq: int
    execute: bool
    attempts: int
    started_utc: str
    ended_utc: str
    fields: dict[str, Any]

    @property
    def step_id(self) -> str:
        """The step."""
        return str(self.fields.get("step_id", ""))

    @property
    def notebook(self) -> str:
        """The notebook the step belongs to."""
        return str(self.fields.get("notebook", ""))

    @property
    def status(self) -> str:
        """Its state."""
        return str(self.fields.get("status", ""))


@dataclass(frozen=True)
class Attempt:
    """One run of one notebook, or one session of somebody in JupyterLab.

    Args:
        seq: Number of the event that began it.
        execute: Whether it executed.
        started_utc: RFC 3339 time.
        fields: Fields of `notebook-started` and `notebook-finished` together; no `notebook` for a session by hand.
        closed: Whether the notebook came to its last cell.
        end_seq: Number of the newest event that says something of its end; 0 while there is none.
    """

    seq: int
    execute: bool
    started_utc: str
    fields: dict[str, Any]
    closed: bool = False
    end_seq: int = 0

    @property
    def notebook(self) -> str:
        """The notebook, "" for a session by hand."""
        return str(self.fields.get("notebook", ""))

    @property
    def status(self) -> str:
        """`completed`, `failed`, `interrupted`, or `open` when its end was never recorded."""
        return str(self.fields.get("status") or ("completed" if self.closed else "open"))


def step_records(events: Sequence[Event]) -> list[StepRecord]:
    """Return the last word on each step, in the order in which the steps first appeared.

    Args:
        events: The journal, oldest first.

    Returns:
        One record per step.
    """
    records: dict[tuple[str, str], StepRecord] = {}
    execute = False
    for event in events:
        if event.kind == "run-opened":
            execute = bool(event.fields.get("execute"))
        if event.kind != "step":
            continue
        key = (str(event.fields.get("notebook", "")), str(event.fields.get("step_id", "")))
        former = records.get(key)
        began = former is None or former.status != "running" or former.execute != execute
        attempts = (former.attempts if former else 0) + began
        if former and former.execute and not execute:
            continue
        started = began_utc(event.at_utc, float(event.fields.get("duration_s") or 0))
        records[key] = StepRecord(event.seq, execute, attempts, started, event.at_utc, event.fields)
    return list(records.values())


def began_utc(ended_utc: str, duration_s: float) -> str:
    """Return when something began.

    Args:
        ended_utc: RFC 3339 time of its end.
        duration_s: How long it took.

    Returns:
        RFC 3339 time.
    """
    return (datetime.fromisoformat(ended_utc) - timedelta(seconds=duration_s)).isoformat(timespec="milliseconds")


def attempts(events: Sequence[Event]) -> list[Attempt]:
    """Return every run of a notebook and every session by hand, oldest first.

    Args:
        events: The journal, oldest first.

    Returns:
        One attempt per `notebook-started`, and per `run-opened` outside of these.
    """
    found: list[Attempt] = []
    execute = False
    for event in events:
        inside = bool(found) and "notebook" in found[-1].fields and "status" not in found[-1].fields
        if event.kind == "run-opened":
            execute = bool(event.fields.get("execute"))
            if not inside:
                found.append(Attempt(event.seq, execute, event.at_utc, {}))
        elif event.kind == "notebook-started":
            if (
                found
                and "notebook" not in found[-1].fields
                and not found[-1].closed
                and _is_empty(events, found[-1].seq, event.seq)
            ):
                found.pop()  # the runner opened the run for its notebooks
            acts = bool(event.fields.get("execute", execute))
            found.append(Attempt(event.seq, acts, event.at_utc, dict(event.fields)))
        elif event.kind in {"run-closed", "notebook-finished"} and found:
            last = found[-1]
            fields = last.fields | (event.fields if event.kind == "notebook-finished" else {})
            found[-1] = Attempt(last.seq, last.execute, last.started_utc, fields, closed=True, end_seq=event.seq)
    return found


def _is_empty(events: Sequence[Event], after_seq: int, before_seq: int) -> bool:
    """Return whether no step was performed between two events."""
    return not any(event.kind == "step" and after_seq < event.seq < before_seq for event in events)


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
    steps = [step for step in steps if not _is_given_up(step, runs)]
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


def _is_given_up(one: StepRecord | Attempt, runs: Sequence[Attempt]) -> bool:
    """Return whether something belongs to a way back that a cutover ended, which completed later."""
    ended = (run for run in runs if run.notebook == CUT_OVER and run.status == "completed")
    return one.notebook == ROLL_BACK and any(run.seq > one.seq for run in ended)


def last_failure(steps: Sequence[StepRecord], runs: Sequence[Attempt], *, since_seq: int = 0) -> dict[str, Any] | None:
    """Return the newest failure that nothing has mended since.

    Args:
        steps: Last word on each step.
        runs: Every attempt.
        since_seq: Events up to this one do not count.

    Returns:
        Keys `step_id, cell_id, notebook, title, kind, message, changed, exit_code`, or None.
    """
    steps = [step for step in steps if not _is_given_up(step, runs)]
    runs = [attempt for attempt in runs if not _is_given_up(attempt, runs)]
    # a step that was killed later is what the run stopped at, and nobody knows whether that one changed anything
    killed_at = max((step.seq for step in steps if step.status == "running"), default=0)
    failed = [step for step in steps if step.status == "failed" and step.seq > max(since_seq, killed_at)]
    if failed:
        step = max(failed, key=lambda record: record.seq)
        names = {"step_id": step.step_id, "cell_id": step.step_id, "notebook": step.notebook}
        return names | {"title": step.fields.get("title", "")} | dict(step.fields.get("error") or {})
    newest = {attempt.notebook: attempt for attempt in runs if attempt.notebook}
    for attempt in sorted(newest.values(), key=lambda record: -record.seq):
        mended = any(s.notebook == attempt.notebook and s.seq > attempt.end_seq for s in steps)
        newer = attempt.seq > since_seq and attempt.end_seq > killed_at
        if attempt.status == "failed" and newer and not mended:
            error = dict(attempt.fields.get("error") or {})
            within = [s for s in steps if s.seq > attempt.seq and s.notebook == attempt.notebook]
            changed = "maybe" if any(s.status == "running" for s in within) else "no"
            names = {"step_id": "", "notebook": attempt.notebook, "title": "", "changed": changed}
            return names | {"exit_code": attempt.fields.get("exit_code", 5)} | error
    return None
