"""The change window: no step that stops the service begins outside it. The one place that knows it.

What was begun goes on, and neither ways back nor a restore are refused: a window that closes in the middle of an outage
must not make it longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.outage import open_outage_utc
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run


def observe_window(run: Run) -> dict[str, Any]:
    """Return what the window says of this moment.

    Args:
        run: The open run.

    Returns:
        Keys `opens_utc`, `closes_utc`, `now_utc` and `counts`: False once the outage has begun. Empty without a window,
        and for a plan.
    """
    window = run.change_window
    if window is None:
        return {}
    return {
        "opens_utc": run.clock.parse(window.opens_utc).isoformat(timespec="seconds"),
        "closes_utc": run.clock.parse(window.closes_utc).isoformat(timespec="seconds"),
        "now_utc": run.clock.now_utc().isoformat(timespec="seconds"),
        "counts": not open_outage_utc(run),
    }


def check_window(facts: Facts) -> Sequence[Check]:
    """Return the check that a service may be stopped now.

    Args:
        facts: As `observe_window`.
    """
    if not facts:
        return ()
    within = facts["opens_utc"] <= facts["now_utc"] < facts["closes_utc"]
    return (
        Check(
            "change-window",
            passed=within or not facts["counts"],
            expected=f"a time from {facts['opens_utc']} to {facts['closes_utc']}",
            observed=facts["now_utc"],
            why="policy.change_window: the service is stopped inside it only",
            fix="run again inside the window, or write another one down",
        ),
    )


def within_window(step: Step) -> Step:
    """Return a step that stops the service, and does not begin outside the change window.

    Args:
        step: The step.

    Returns:
        The same step with one more check, where the parameters name a window.
    """

    def observe(run: Run) -> dict[str, Any]:
        return step.observe(run) | {"change_window": observe_window(run)}

    def check(facts: Facts) -> Sequence[Check]:
        return (*check_window(facts["change_window"]), *step.check(facts))

    return replace(step, observe=observe, check=check)
