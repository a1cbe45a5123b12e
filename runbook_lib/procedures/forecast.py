"""How long the outage will be, from what was measured before it. Pure: numbers in, a forecast and checks out.

Every part is something that was timed: on the rehearsal, whose task did on a clone what the service will do on the
volume, and on the source, whose second hot manifest did what the one inside the outage will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from runbook_lib.model import Check, Facts

COMMANDS_IN_OUTAGE = 3
"""Host commands whose way to the host and back is part of the outage: stop, proof before the start, look."""

REHEARSAL = "25_rehearse_on_clone"


@dataclass(frozen=True)
class Measured:
    """What was timed, in seconds.

    Args:
        stop_s: The rehearsed application, from the request to stop to the end of its containers.
        stop_grace_s: Longest time that the service has for that before it is killed.
        manifest_s: The second hot manifest on the source, its transport included.
        release_s: From the end of the containers until the clone was attached nowhere.
        start_s: From the request to run the task until it answered on the clone.
        commands_s: Durations of the short host commands of this run.
    """

    stop_s: float
    stop_grace_s: float
    manifest_s: float
    release_s: float
    start_s: float
    commands_s: Sequence[float]


def forecast_outage(measured: Measured) -> dict[str, Any]:
    """Return the forecast of the outage.

    Args:
        measured: What was timed.

    Returns:
        Keys `total_s`, `at_most_s` (with an application that needs its whole grace period), and `parts[]`
        {name, seconds, basis}; names are the steps of the cutover in which most of that time passes.
    """
    command_s = median(measured.commands_s) if measured.commands_s else 0.0
    stop_s = min(measured.stop_s, measured.stop_grace_s)
    ended = f"the rehearsed application ended in {measured.stop_s:.1f} s, at most {measured.stop_grace_s:g} s"
    parts = (
        (
            "stop-source-service",
            stop_s + measured.manifest_s,
            f"{ended}; the second hot manifest on the source took {measured.manifest_s:.1f} s",
        ),
        ("detach-volume", measured.release_s, "unmount and detach of the clone"),
        ("start-target-service", measured.start_s, "placement, attach, mount and application start on the clone"),
        (
            "host-commands",
            COMMANDS_IN_OUTAGE * command_s,
            f"{COMMANDS_IN_OUTAGE} looks and acts on hosts of {command_s:.2f} s each, the median of this run",
        ),
    )
    total_s = sum(seconds for _, seconds, _ in parts)
    return {
        "total_s": round(total_s, 1),
        "at_most_s": round(total_s - stop_s + measured.stop_grace_s, 1),
        "parts": [{"name": name, "seconds": round(seconds, 3), "basis": basis} for name, seconds, basis in parts],
    }


def describe_forecast(forecast: Mapping[str, Any]) -> str:
    """Return a forecast in words.

    Args:
        forecast: As `forecast_outage`.

    Returns:
        The total and every part.
    """
    parts = ", ".join(f"{part['name']} {part['seconds']:.1f} s" for part in forecast["parts"])
    return f"{forecast['total_s']:.1f} s ({parts})"


def check_forecast(forecast: Facts | None, budget_s: float, needs: str = "") -> Check:
    """Return whether the forecast stays within the budget.

    Args:
        forecast: As `forecast_outage`; None when nothing was measured.
        budget_s: Longest outage that is acceptable.
        needs: Step that measures.

    Returns:
        The check.
    """
    longest = max(forecast["parts"], key=lambda part: part["seconds"])["name"] if forecast else ""
    return Check(
        "forecast-within-budget",
        passed=forecast is not None and forecast["total_s"] <= budget_s,
        expected=f"an outage of at most {budget_s:g} s (policy.outage_budget_s)",
        observed=f"forecast {describe_forecast(forecast)}" if forecast else "nothing was measured",
        why="a cutover that cannot keep its budget would only be rolled back, after an outage for nothing",
        fix=f"shorten {longest or 'the outage'}, or open a new run with a larger policy.outage_budget_s that the "
        f"users agree to; then run {REHEARSAL} again",
        needs=needs,
    )


def check_rehearsed(rehearsal: Facts, budget_s: float, *, required: bool, needs: str) -> Check:
    """Return whether what this run rehearsed allows the cutover.

    Args:
        rehearsal: Keys `opened`, `finished`, `forecast` (of the newest rehearsal, or None).
        budget_s: Longest outage that is acceptable.
        required: Whether a run that did not rehearse may not cut over (policy.require_rehearsal).
        needs: Step that ends the rehearsal.

    Returns:
        One check.
    """
    if not rehearsal["opened"]:
        return Check(
            "forecast-within-budget",
            passed=not required,
            expected="a rehearsal in this run (policy.require_rehearsal)" if required else "a forecast, if rehearsed",
            observed="not rehearsed in this run; the outage was not forecast",
            why="nobody knows how long the outage will be",
            fix=f"run {REHEARSAL} with this run_id",
            needs=needs,
        )
    found = check_forecast(rehearsal["forecast"], budget_s, needs)
    if rehearsal["finished"] or not found.passed:
        return found
    return Check(
        "forecast-within-budget",
        passed=False,
        expected="the rehearsal of this run brought to its end",
        observed="begun, and not ended well",
        why="what failed on the clone would fail on the data volume, with users waiting",
        fix=f"run {REHEARSAL} again with this run_id; it removes what is left and begins anew",
        needs=needs,
    )
