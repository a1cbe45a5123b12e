"""Rehearsal, last step: production is as it was, and the outage will stay within its budget.

Also what the cutover asks before it begins. The forecast is noted in the journal before it is judged, so that a
forecast above the budget refuses both here and there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.forecast import (
    Measured,
    check_forecast,
    check_rehearsed,
    describe_forecast,
    forecast_outage,
)
from runbook_lib.procedures.rehearsal_clone import AFTER_COPY
from runbook_lib.procedures.rehearsal_facts import (
    NOTEBOOK,
    RUN_TASK,
    describe,
    events,
    is_over,
    note,
    observe_clones,
    observe_foreign_clones,
    observe_state,
)
from runbook_lib.procedures.rehearsal_production import BEFORE, check_untouched, observe_production
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

FORECAST = "forecast-outage"
_SHORT_COMMANDS = frozenset({"compose_config", "inspect_target", "list_open_files", "probe_service"})
_MEASURED = (AFTER_COPY, "started", "compared", "stopped")


def _observe_forecast(run: Run) -> dict[str, Any]:
    facts = observe_state(run) | {"budget_s": run.parameters.policy.outage_budget_s}
    seen = events(run)
    if is_over(facts) or not facts["opened"] or not all(phase in seen for phase in _MEASURED):
        return facts | {"forecast": forecast_of(run), "before": {}, "after": {}, "clones": []}
    return facts | {
        "forecast": _note_forecast(run, _measured(run, seen)),
        "before": run.evidence(BEFORE),
        "after": observe_production(run),
        "clones": observe_clones(run),
    }


def _measured(run: Run, seen: Facts) -> Measured:
    commands = [e.fields for e in run.journal.find("host-command") if e.fields["script"] in _SHORT_COMMANDS]
    return Measured(
        stop_s=seen["stopped"]["stop_s"],
        stop_grace_s=float(run.evidence("task-mapping")["stop_timeout_s"]),
        manifest_s=seen[AFTER_COPY]["with_transport_s"],
        release_s=seen["stopped"]["release_s"],
        start_s=seen["started"]["start_s"],
        commands_s=[float(command["duration_s"]) for command in commands],
    )


def _note_forecast(run: Run, measured: Measured) -> dict[str, Any]:
    """Keep the forecast of this attempt, once."""
    known = forecast_of(run)
    if known is not None:
        return known
    forecast = forecast_outage(measured)
    run.keep_evidence("forecast", forecast | {"measured": dataclasses.asdict(measured)})
    run.journal.append("forecast", budget_s=run.parameters.policy.outage_budget_s, **forecast)
    return forecast


def forecast_of(run: Run) -> dict[str, Any] | None:
    """Return the forecast of this run's newest rehearsal.

    Args:
        run: The open run.

    Returns:
        As `forecast_outage`, or None when that rehearsal measured nothing, or there was none.
    """
    forecast, opened = run.journal.last("forecast"), run.journal.last("rehearsal", phase="opened")
    return dict(forecast.fields) if forecast and opened and forecast.seq > opened.seq else None


def _check_end(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "rehearsal-removed",
            passed=not facts["clones"],
            expected="the clone deleted",
            observed=describe(facts["clones"]),
            fix=f"run {NOTEBOOK} from the top",
            needs="remove-rehearsal",
        ),
        check_untouched(facts["before"], facts["after"]),
        check_forecast(facts["forecast"], facts["budget_s"], RUN_TASK),
    )


def _plan_forecast(facts: Facts) -> str:
    if facts["forecast"] is None:
        return f"Forecast the outage from what is measured; it may last {facts['budget_s']} s."
    return f"Forecast of the outage: {describe_forecast(facts['forecast'])}; it may last {facts['budget_s']} s."


def _finish(run: Run, _before: Facts) -> None:
    """Note that the rehearsal has come to its end."""
    note(run, "finished")


def _verify_finished(_before: Facts, after: Facts) -> Sequence[Check]:
    finished = bool(after["finished"])
    return (
        Check(
            "rehearsal-finished",
            passed=finished,
            expected="the end of the rehearsal in the journal",
            observed="there" if finished else "missing",
            fix="run again",
        ),
    )


def with_rehearsal(step: Step) -> Step:
    """Return the cutover's first step, which also asks what the rehearsal found.

    Args:
        step: The step that checks whether the cutover may begin.

    Returns:
        The same with two more checks.
    """

    def observe(run: Run) -> dict[str, Any]:
        policy, state = run.parameters.policy, observe_state(run)
        left = observe_clones(run) + observe_foreign_clones(run)
        return step.observe(run) | {
            "rehearsal": state | {"forecast": forecast_of(run), "left": left},
            "budget_s": policy.outage_budget_s,
            "require_rehearsal": policy.require_rehearsal,
        }

    def check(facts: Facts) -> Sequence[Check]:
        rehearsal = facts["rehearsal"]
        return (
            *step.check(facts),
            Check(
                "no-rehearsal-left",
                passed=not rehearsal["left"],
                expected="no clone of a rehearsal",
                observed=describe(rehearsal["left"]),
                why="its task may hold the host's port, and the service would not find a place",
                fix=f"run {NOTEBOOK} of the run that made it, or stop its task and delete the clone",
            ),
            check_rehearsed(rehearsal, facts["budget_s"], required=facts["require_rehearsal"], needs=FORECAST),
        )

    return dataclasses.replace(step, observe=observe, check=check)


FORECAST_OUTAGE = Step(
    FORECAST,
    NOTEBOOK,
    "Prove that production was not touched, and forecast the outage",
    _observe_forecast,
    _plan_forecast,
    _finish,
    is_done=is_over,
    check=_check_end,
    verify=_verify_finished,
    timeout_s=0,
)
