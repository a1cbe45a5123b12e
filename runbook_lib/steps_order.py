"""Whether the cells before a step's cell have run: what a person who runs cells one by one must be told.

Papermill stops at the first cell that fails, so there this can refuse nothing. Reads the journal, writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runbook_lib.errors import CheckError
from runbook_lib.model import StepStatus

if TYPE_CHECKING:
    from runbook_lib.journal import Journal
    from runbook_lib.steps import Step

_ENDED_WELL = {StepStatus.SUCCEEDED.value, StepStatus.SKIPPED.value}


def refuse_out_of_order(step: Step, earlier: Sequence[str], journal: Journal, *, planned_counts: bool) -> None:
    """Refuse a step whose predecessors in its notebook have not ended well in this run; nothing is contacted.

    Args:
        step: The step.
        earlier: Ids of the steps before it, in order.
        journal: The run's journal.
        planned_counts: Whether a step that was only planned counts as done, as in a run that only plans.

    Raises:
        CheckError: when one of them never ran, failed, or was only planned where that does not count.
    """
    states = {
        event.fields["step_id"]: str(event.fields["status"]) for event in journal.events() if event.kind == "step"
    }
    enough = _ENDED_WELL | {StepStatus.PLANNED.value} if planned_counts else _ENDED_WELL
    missing = [
        f"{step_id} ({states.get(step_id, 'not run')})" for step_id in earlier if states.get(step_id) not in enough
    ]
    if missing:
        raise CheckError(
            step.step_id,
            f"out of order: expected every cell before it to have run in run {journal.run_id}, found not done: "
            f"{', '.join(missing)}. Run these first, or {step.notebook} from the top: what is done is skipped",
        )
