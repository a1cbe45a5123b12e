"""What happens when the outage budget is used up before the service is up on ECS. The one place that decides it.

`policy.on_budget_exceeded` says `roll_back` or `continue`. A broken budget ends the step that waits, or the one that
would begin, and the run then performs the steps of 90_roll_back: compose on the same volume, nothing lost. Terraform
has no part in it. The way back ends the outage, so the next attempt has a whole budget again and nothing loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import ActionError, OutsideError, RolledBackError, StepError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures import roll_back
from runbook_lib.procedures.observations import observe_task, target_urls
from runbook_lib.procedures.outage import open_outage_utc
from runbook_lib.steps import Step, perform

if TYPE_CHECKING:
    from runbook_lib.run import Run

ROLL_BACK = "roll_back"


def observe_budget(run: Run) -> dict[str, Any]:
    """Return how much of the outage budget is used.

    Args:
        run: The open run.

    Returns:
        Keys `budget_s`, `down_s` (0.0 when the service is up as far as this run knows), `decision` (`roll_back`,
        `continue`, or "" while the budget holds).
    """
    policy, since = run.parameters.policy, open_outage_utc(run)
    down_s = (run.clock.now_utc() - run.clock.parse(since)).total_seconds() if since else 0.0
    broken = down_s > policy.outage_budget_s and not _is_up_on_target(run)
    return {
        "budget_s": policy.outage_budget_s,
        "down_s": round(down_s, 1),
        "decision": policy.on_budget_exceeded if broken else "",
    }


def _is_up_on_target(run: Run) -> bool:
    """Return whether users are served on ECS already, though nobody has noted the end of the outage yet."""
    try:
        return observe_task(run)["task"] is not None and any(run.reaches(url) for url in target_urls(run))
    except OutsideError:
        return False


def _exceeded(budget: Facts) -> str:
    if budget["decision"] != ROLL_BACK:
        return ""
    return (
        f"the service is down for {budget['down_s']} s, the outage budget is {budget['budget_s']} s "
        "(policy.outage_budget_s, policy.on_budget_exceeded: roll_back)"
    )


def within_budget(step: Step) -> Step:
    """Return a step of the cutover that does not outlive the outage budget.

    Args:
        step: Any step of 30_cut_over_volume.

    Returns:
        The same step; inside the outage it neither begins nor goes on waiting once the budget is used up, and
        whatever ended it then, the service is taken back.
    """

    def observe(run: Run) -> dict[str, Any]:
        return step.observe(run) | {"outage_budget": observe_budget(run)}

    def check(facts: Facts) -> Sequence[Check]:
        budget = facts["outage_budget"]
        return (
            Check(
                "outage-budget",
                passed=not _exceeded(budget),
                expected=f"an outage of at most {budget['budget_s']} s",
                observed=f"{budget['down_s']} s so far",
                why="policy.on_budget_exceeded is roll_back",
                fix="find in the report where the time went, then cut over again",
            ),
            *step.check(facts),
        )

    def hopeless(facts: Facts) -> str:
        return step.hopeless(facts) or _exceeded(facts["outage_budget"])

    if not step.in_outage:
        return replace(step, on_failure=go_back)
    return replace(step, observe=observe, check=check, hopeless=hopeless, on_failure=go_back)


def go_back(run: Run, error: StepError) -> StepError:
    """Answer a failed step of the cutover: take the service back when the outage budget is used up.

    Args:
        run: The open run, executing.
        error: How the step failed.

    Returns:
        The error itself while the budget holds or the policy is `continue`; else one that says how going back ended.

    Changes:
        As 90_roll_back, when the service was taken back; an `outage-budget` event for the decision, one for its end.
    """
    budget = observe_budget(run)
    if not budget["decision"]:
        return error
    run.journal.append("outage-budget", phase="decided", step_id=error.step_id, **budget)
    if budget["decision"] != ROLL_BACK:
        return error
    try:
        for step in roll_back.STEPS:
            perform(step, run)
    except StepError as stopped:
        return ActionError(
            error.step_id,
            f"{_exceeded(budget)}; the way back then stopped: {stopped.message}. The service may still be "
            f"down. Run `runbook roll-back {run.run_id} --execute`; it goes on where this one stopped",
        )
    run.journal.append("outage-budget", phase="rolled-back", step_id=error.step_id, **budget)
    return RolledBackError(
        error.step_id,
        f"{_exceeded(budget)}. The service was taken back by itself: compose runs again on the same volume, nothing is "
        f"lost. What had failed: {error.message}",
    )
