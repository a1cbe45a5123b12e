"""The failure that a run stands at; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runbook_lib.report_attempts import Attempt, StepRecord
from runbook_lib.report_notebooks import CUT_OVER, ROLL_BACK


def is_given_up(one: StepRecord | Attempt, runs: Sequence[Attempt]) -> bool:
    """Return whether something belongs to a way back that a cutover ended, which completed later.

    Args:
        one: The step or the attempt.
        runs: Every attempt.
    """
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
    steps = [step for step in steps if not is_given_up(step, runs)]
    runs = [attempt for attempt in runs if not is_given_up(attempt, runs)]
    # a step that was killed later is what the run stopped at, and nobody knows whether that one changed anything
    killed_at = max((step.seq for step in steps if step.status == "running"), default=0)
    failed = [step for step in steps if step.status == "failed" and step.seq > max(since_seq, killed_at)]
    step = max(failed, key=lambda record: record.seq, default=None)
    attempt = _failed_attempt(steps, runs, since_seq=since_seq, killed_at=killed_at)
    if step is None:
        return _failure_of(attempt, steps) if attempt else None
    names = {"step_id": step.step_id, "cell_id": step.step_id, "notebook": step.notebook}
    of_step = names | {"title": step.fields.get("title", "")} | dict(step.fields.get("error") or {})
    if attempt is None or attempt.seq < step.seq:
        return of_step
    # it was taken up again and did not get that far; what the step may have changed is so all the same
    before = of_step.get("changed", "maybe")
    return _failure_of(attempt, steps) | ({} if before == "no" else {"changed": before})


def _failed_attempt(
    steps: Sequence[StepRecord], runs: Sequence[Attempt], *, since_seq: int, killed_at: int
) -> Attempt | None:
    """Return the newest attempt at a notebook that failed, with no step of that notebook since."""
    newest = {attempt.notebook: attempt for attempt in runs if attempt.notebook}
    for attempt in sorted(newest.values(), key=lambda record: -record.seq):
        mended = any(s.notebook == attempt.notebook and s.seq > attempt.end_seq for s in steps)
        newer = attempt.seq > since_seq and attempt.end_seq > killed_at
        if attempt.status == "failed" and newer and not mended:
            return attempt
    return None


def _failure_of(attempt: Attempt, steps: Sequence[StepRecord]) -> dict[str, Any]:
    """Return the failure of an attempt outside of any step."""
    within = [s for s in steps if s.seq > attempt.seq and s.notebook == attempt.notebook]
    changed = "maybe" if any(s.status == "running" for s in within) else "no"
    names = {"step_id": "", "notebook": attempt.notebook, "title": "", "changed": changed}
    return names | {"exit_code": attempt.fields.get("exit_code", 5)} | dict(attempt.fields.get("error") or {})
