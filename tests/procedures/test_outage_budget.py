"""A broken outage budget ends the step, and the run goes back by itself; decided in one place, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from runbook_lib.errors import ActionError, CheckError, RolledBackError, VerificationError
from runbook_lib.journal import Journal
from runbook_lib.model import Check
from runbook_lib.procedures import outage_budget, roll_back
from runbook_lib.procedures.outage_budget import within_budget
from runbook_lib.report_status import derive_status
from runbook_lib.steps import Step, perform

BUDGET_S = 30


class StillClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def now_utc(self):
        return self.now

    def monotonic(self):
        return self.now.timestamp()

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)

    parse = staticmethod(datetime.fromisoformat)


@pytest.fixture
def run(tmp_path):
    clock = StillClock()
    journal = Journal(tmp_path / "run", clock.now_utc)
    policy = SimpleNamespace(outage_budget_s=BUDGET_S, on_budget_exceeded="roll_back")
    journal.append("run-opened", execute=True)
    return SimpleNamespace(
        run_id="r1",
        journal=journal,
        confirm_lease=lambda: None,
        confirm_approval=lambda *_: None,
        clock=clock,
        execute=True,
        parameters=SimpleNamespace(policy=policy),
        ecs=SimpleNamespace(describe_service=lambda: {"exists": False}),
    )


@pytest.fixture
def way_back(monkeypatch):
    """Put one step into the place of the way back's; return what it did."""
    world = {"back": 0, "fails": False}

    def go(run, _facts):
        world["back"] += 1
        run.journal.append("outage", phase="ended", outage_s=1.0)

    step = Step(
        "start-source-service",
        "90_roll_back",
        "Start compose",
        lambda _run: dict(world),
        lambda _facts: "Start compose.",
        go,
        check=lambda facts: (Check("source-there", not facts["fails"], "the source", "gone"),),
        timeout_s=0,
    )
    monkeypatch.setattr(roll_back, "STEPS", (step,))
    return world


def cutover_step(world, **changes):
    """A step inside the outage that never comes true by itself."""
    settings = {
        "step_id": "detach-volume",
        "notebook": "30_cut_over_volume",
        "title": "Detach",
        "observe": lambda _run: dict(world),
        "plan": lambda _facts: "Detach.",
        "act": lambda _run, _facts: world.update(asked=world["asked"] + 1),
        "verify": lambda _before, after: (Check("detached", after["done"], "detached", "attached"),),
        "is_done": lambda facts: facts["done"],
        "timeout_s": 1000.0,
        "poll_s": 1.0,
        "in_outage": True,
    }
    return within_budget(Step(**(settings | changes)))


@pytest.fixture
def world():
    return {"asked": 0, "done": False}


def begin_outage(run, ago_s=0.0):
    run.journal.append("outage", phase="started")
    run.clock.sleep(ago_s)


def decisions(run):
    return [
        e.fields["decision"]
        for e in run.journal.events()
        if e.kind == "outage-budget" and e.fields["phase"] == "decided"
    ]


def test_a_wait_ends_when_the_budget_is_used_up_and_the_run_goes_back(run, way_back, world):
    """The step fails after the budget, not after its timeout; the way back is performed; the record says why."""
    begin_outage(run)
    with pytest.raises(RolledBackError) as caught:
        perform(cutover_step(world), run)
    assert isinstance(caught.value.__cause__, VerificationError)
    assert caught.value.exit_code == 4
    assert "nothing is lost" in str(caught.value)
    assert (world["asked"], way_back["back"], decisions(run)) == (1, 1, ["roll_back"])
    assert BUDGET_S < run.clock.monotonic() - datetime(2026, 1, 1, tzinfo=UTC).timestamp() < BUDGET_S + 3
    assert derive_status(run.journal.events()).value == "rolled_back"


def test_a_step_does_not_begin_once_the_budget_is_used_up(run, way_back, world):
    """A run that was resumed too late acts no more; it goes back."""
    begin_outage(run, ago_s=BUDGET_S + 1)
    with pytest.raises(RolledBackError) as caught:
        perform(cutover_step(world), run)
    assert isinstance(caught.value.__cause__, CheckError)
    assert (world["asked"], way_back["back"]) == (0, 1)


def test_what_is_done_is_skipped_whatever_the_budget_says(run, way_back, world):
    """The budget never takes back what has succeeded already."""
    begin_outage(run, ago_s=BUDGET_S + 1)
    world["done"] = True
    assert perform(cutover_step(world), run).status.value == "skipped"
    assert way_back["back"] == 0


def test_a_failure_within_the_budget_is_left_to_the_operator(run, way_back, world):
    """A step that fails early stays failed as before: resume and roll back are both open."""
    begin_outage(run)
    with pytest.raises(VerificationError):
        perform(cutover_step(world, timeout_s=2.0), run)
    assert (way_back["back"], decisions(run)) == (0, [])


def test_the_policy_can_be_to_go_on(run, way_back, world):
    """With `continue` a step waits as long as it would, and the record says that the budget broke."""
    run.parameters.policy.on_budget_exceeded = "continue"
    begin_outage(run, ago_s=BUDGET_S + 1)
    with pytest.raises(VerificationError):
        perform(cutover_step(world, timeout_s=5.0), run)
    assert (world["asked"], way_back["back"], decisions(run)) == (1, 0, ["continue"])


def test_it_does_not_loop(run, way_back, world):
    """The way back ends the outage: the next attempt has a whole budget again."""
    begin_outage(run, ago_s=BUDGET_S + 1)
    with pytest.raises(RolledBackError):
        perform(cutover_step(world), run)
    begin_outage(run)
    with pytest.raises(VerificationError):
        perform(cutover_step(world, timeout_s=2.0), run)
    assert way_back["back"] == 1


def test_a_way_back_that_stops_says_what_to_do(run, way_back, world):
    """When going back fails too, the error names the step, and the command that goes on."""
    way_back["fails"] = True
    begin_outage(run, ago_s=BUDGET_S + 1)
    with pytest.raises(ActionError, match="runbook roll-back r1 --execute"):
        perform(cutover_step(world), run)
    assert derive_status(run.journal.events()).value == "failed"


def test_a_dry_run_never_goes_back(run, way_back, world):
    """Planning while the service is down plans, or refuses; it changes nothing."""
    run.execute = False
    begin_outage(run, ago_s=BUDGET_S + 1)
    with pytest.raises(CheckError):
        perform(cutover_step(world), run)
    assert (world["asked"], way_back["back"]) == (0, 0)


def test_a_service_that_is_up_on_ecs_is_not_taken_back(run, way_back, world, monkeypatch):
    """Killed between the first answer on ECS and its note: the service stays where its users are."""
    monkeypatch.setattr(outage_budget, "observe_task", lambda _run: {"task": {"task_arn": "t"}})
    monkeypatch.setattr(outage_budget, "target_urls", lambda _run: ["http://ecs"])
    run.reaches = lambda url: url == "http://ecs"
    begin_outage(run, ago_s=BUDGET_S + 1)
    with pytest.raises(VerificationError):
        perform(cutover_step(world, timeout_s=2.0), run)
    assert (way_back["back"], decisions(run)) == (0, [])
