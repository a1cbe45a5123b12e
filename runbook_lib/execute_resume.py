"""Which notebooks a run has still to go on with; from its journal alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runbook_lib.engine_record import COMPLETED
from runbook_lib.execute_names import CUT_OVER, ROLL_BACK
from runbook_lib.model import Event, StepStatus


def notebooks_to_resume(events: Sequence[Event], *, execute: bool) -> list[str]:
    """Return which of the notebooks that were last asked for have not completed, and which stopped half-way before.

    Half-way is a notebook that began to act and has not completed since. A way back gives up what was begun before it,
    and is itself given up by a later cutover: a run never goes both ways.

    Args:
        events: The journal, oldest first.
        execute: Whether they are to execute; what was only planned is then not completed, and what stopped half-way
            counts.

    Returns:
        Names for `execute_notebooks`: as they were asked for, or by their number when an earlier one is among them.
    """
    asked: list[str] = []
    half_way: list[str] = []
    names: dict[str, str] = {}
    executing = acts = False
    for event in events:
        name = str(event.fields.get("notebook", ""))
        if event.kind == "notebooks-requested":
            asked, executing = list(event.fields["notebooks"]), bool(event.fields["execute"])
            titles = {Path(one).stem: one for one in asked}
            half_way, names = _still_wanted(half_way, set(titles)), names | titles
        elif event.kind == "notebook-started":
            acts = event.fields.get("execute", executing)  # one that is planned for an approval does not
        elif event.kind == "step" and event.fields.get("status") == StepStatus.RUNNING and name not in half_way:
            half_way.append(name)
        elif event.kind == "notebook-finished" and event.fields["status"] == COMPLETED and (acts or not execute):
            asked, half_way = _without(asked, name), _without(half_way, name)
    if not execute:
        return asked
    if ROLL_BACK in half_way:
        return [ROLL_BACK]
    earlier = [name for title in half_way if (name := names.get(title, title)) not in asked]
    return sorted([*earlier, *asked], key=lambda one: Path(one).stem) if earlier else asked


def _still_wanted(half_way: list[str], asked: set[str]) -> list[str]:
    """Return what stopped half-way and is not given up by what was asked for now."""
    if ROLL_BACK in asked:
        return []
    return _without(half_way, ROLL_BACK) if CUT_OVER in asked else half_way


def _without(names: list[str], title: str) -> list[str]:
    return [name for name in names if Path(name).stem != title]
