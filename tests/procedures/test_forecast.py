"""The forecast adds up what was measured, and refuses what would break the outage budget."""

from __future__ import annotations

import dataclasses

import pytest

from runbook_lib.procedures.forecast import (
    COMMANDS_IN_OUTAGE,
    Measured,
    check_forecast,
    check_rehearsed,
    forecast_outage,
)

MEASURED = Measured(
    stop_s=1.5, stop_grace_s=10.0, manifest_s=2.0, release_s=3.0, start_s=8.0, commands_s=(0.5, 0.4, 9.0)
)
TOTAL_S = 1.5 + 2.0 + 3.0 + 8.0 + COMMANDS_IN_OUTAGE * 0.5


def test_the_forecast_is_the_sum_of_its_named_parts():
    """Every part has a name and what it is based on; their sum is the total; one slow command moves no median."""
    forecast = forecast_outage(MEASURED)
    assert [part["name"] for part in forecast["parts"]] == [
        "stop-source-service",
        "detach-volume",
        "start-target-service",
        "host-commands",
    ]
    assert all(part["basis"] for part in forecast["parts"])
    assert sum(part["seconds"] for part in forecast["parts"]) == forecast["total_s"] == TOTAL_S
    assert forecast["at_most_s"] == TOTAL_S - 1.5 + 10.0


def test_an_application_is_killed_after_its_grace_period():
    """A rehearsed application that was slower than its grace period counts with the grace period."""
    forecast = forecast_outage(dataclasses.replace(MEASURED, stop_s=12.0))
    assert forecast["parts"][0]["seconds"] == 10.0 + 2.0
    assert forecast["total_s"] == forecast["at_most_s"]


def test_without_a_host_command_nothing_is_added_for_them():
    """A run that timed no host command has a part of zero, not an error."""
    assert forecast_outage(dataclasses.replace(MEASURED, commands_s=()))["parts"][-1]["seconds"] == 0


@pytest.mark.parametrize(("budget_s", "passed"), [(TOTAL_S, True), (TOTAL_S - 0.1, False)])
def test_a_forecast_above_the_budget_is_refused_with_its_parts(budget_s, passed):
    """The budget itself is still kept; above it the refusal names every part, the longest one and what to do."""
    check = check_forecast(forecast_outage(MEASURED), budget_s)
    assert check.passed is passed
    assert "start-target-service 8.0 s" in check.observed
    assert "shorten start-target-service" in check.fix
    assert "policy.outage_budget_s" in check.fix


def test_nothing_measured_is_no_forecast():
    """Without measurements the check fails instead of passing a forecast of zero."""
    assert not check_forecast(None, 60).passed


FORECAST = forecast_outage(MEASURED)


@pytest.mark.parametrize(
    ("rehearsal", "required", "passed", "text"),
    [
        ({"opened": False, "finished": False, "forecast": None}, False, True, "not rehearsed"),
        ({"opened": False, "finished": False, "forecast": None}, True, False, "not rehearsed"),
        ({"opened": True, "finished": True, "forecast": FORECAST}, True, True, "forecast"),
        ({"opened": True, "finished": False, "forecast": FORECAST}, False, False, "not ended well"),
        ({"opened": True, "finished": False, "forecast": None}, False, False, "nothing was measured"),
    ],
    ids=["not rehearsed", "not rehearsed though required", "rehearsed", "production changed", "failed half-way"],
)
def test_the_cutover_follows_the_rehearsal(rehearsal, required, passed, text):
    """Not rehearsed is said, and refused only where the policy asks; a rehearsal that did not end well is refused."""
    check = check_rehearsed(rehearsal, TOTAL_S, required=required, needs="forecast-outage")
    assert (check.passed, text in check.observed) == (passed, True), check


def test_the_cutover_is_refused_above_the_budget_even_when_the_rehearsal_finished():
    """A finished rehearsal does not help against its own forecast."""
    rehearsal = {"opened": True, "finished": True, "forecast": FORECAST}
    assert not check_rehearsed(rehearsal, TOTAL_S - 1, required=False, needs="forecast-outage").passed
