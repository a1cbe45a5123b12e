"""The change window: refused outside it, right before the service is stopped; never what has begun, never a plan."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from runbook_lib.adapters.clock import Clock
from runbook_lib.parameters_policy import ChangeWindow
from runbook_lib.procedures import (
    change_storage_driver,
    cut_over_volume,
    deploy_image,
    patch_hosts,
    resize,
    roll_back,
)
from runbook_lib.procedures.change_window import check_window, observe_window
from runbook_lib.run import Run

WINDOW = ChangeWindow(opens_utc="2026-11-24T22:00Z", closes_utc="2026-11-24T23:30:00Z")
BEFORE, INSIDE, AFTER = (datetime(2026, 11, 24, *time, tzinfo=UTC) for time in ((21, 0), (22, 0), (23, 30)))


def run_at(now, *, execute=True, down_since="", window=WINDOW):
    """Return as much of a run as the window asks for."""
    outage = SimpleNamespace(at_utc=down_since, fields={"phase": "started"}) if down_since else None
    return SimpleNamespace(
        change_window=window if execute else None,
        clock=SimpleNamespace(now_utc=lambda: now, parse=Clock().parse),
        journal=SimpleNamespace(last=lambda kind, **_match: outage if kind == "outage" else None),
    )


def checked(**how):
    return [check.passed for check in check_window(observe_window(run_at(**how)))]


@pytest.mark.parametrize(("now", "passed"), [(BEFORE, False), (INSIDE, True), (AFTER, False)])
def test_the_service_is_stopped_inside_the_window_only(now, passed):
    """The first moment counts, the last does not."""
    assert checked(now=now) == [passed]


def test_the_refusal_says_when():
    """The message has the window, the time, the rule and what to do."""
    (check,) = check_window(observe_window(run_at(BEFORE)))

    sentence = check.sentence()

    assert "a time from 2026-11-24T22:00:00+00:00 to 2026-11-24T23:30:00+00:00" in sentence
    assert "observed 2026-11-24T21:00:00+00:00" in sentence
    assert "policy.change_window" in sentence


def test_a_plan_is_never_refused_for_its_time():
    """Whoever plans in the afternoon stops nothing: the run says that no window binds it."""
    policy = SimpleNamespace(policy=SimpleNamespace(change_window=WINDOW))
    binds = {does: Run.change_window.fget(SimpleNamespace(parameters=policy, execute=does)) for does in (True, False)}

    assert binds == {True: WINDOW, False: None}
    assert checked(now=BEFORE, execute=False) == []


def test_what_has_begun_goes_on():
    """The window closed while the service is down: to stop here would make the outage longer."""
    assert checked(now=AFTER, down_since="2026-11-24T23:29:00+00:00") == [True]


def test_without_a_window_there_is_no_check():
    """Any time is right, and the record says nothing of it."""
    assert checked(now=BEFORE, window=None) == []


@pytest.mark.parametrize("procedure", [cut_over_volume, patch_hosts, deploy_image, resize, change_storage_driver])
def test_every_runbook_that_stops_the_service_asks(procedure):
    """The first step inside the outage observes the window; a way back does not."""
    (first, *_others) = [step for step in procedure.STEPS if step.in_outage]

    assert first.step_id.startswith(("stop-", "deploy-"))
    assert "change_window" in names_of(first.observe)


def test_the_way_back_does_not_ask():
    """90_roll_back is never refused for its time."""
    assert [step.step_id for step in roll_back.STEPS if "change_window" in names_of(step.observe)] == []


def names_of(function, depth=6):
    """Return the constants and names that a function and what it closes over use."""
    if depth == 0 or not hasattr(function, "__code__"):
        return set()
    found = {*function.__code__.co_names, *map(str, function.__code__.co_consts)}
    for cell in function.__closure__ or ():
        inner = cell.cell_contents
        for one in (inner, getattr(inner, "observe", None)):
            found |= names_of(one, depth - 1)
    return found
