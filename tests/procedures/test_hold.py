"""The hold before the cutover: it waits, it is released, it refuses; nothing is ever stopped by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from runbook_lib.errors import CheckError
from runbook_lib.journal import Journal
from runbook_lib.model import Check, StepStatus
from runbook_lib.procedures import hold
from runbook_lib.report import build_report
from runbook_lib.report_next import next_steps
from runbook_lib.report_words import headline
from runbook_lib.steps import Step, perform

RUN_ID = "20260101T000000Z-guestbook-0001"


class MovingClock:
    """A clock that moves when somebody sleeps, and lets things happen meanwhile."""

    def __init__(self):
        self.time_s, self.happens = 0.0, {}

    def monotonic(self):
        return self.time_s

    def now_utc(self):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time_s)

    def sleep(self, seconds):
        self.time_s += seconds
        for at_s in [at_s for at_s in self.happens if at_s <= self.time_s]:
            self.happens.pop(at_s)()


@pytest.fixture
def world():
    """Return what the readiness check sees."""
    return {"ready": True, "on_source": True, "looks": 0}


@pytest.fixture
def run(tmp_path, world, monkeypatch):
    """Return a run that is about to hold, in a world whose readiness can change."""

    def observe(_run):
        world["looks"] += 1
        return {"ready": world["ready"]}

    readiness = Step(
        "check-readiness",
        "30_cut_over_volume",
        "Check that the cutover may begin",
        observe,
        lambda _facts: "Reads only.",
        check=lambda facts: (Check("ready", facts["ready"], "ready", str(facts["ready"])),),
    )
    monkeypatch.setattr(hold, "CHECK_READINESS", readiness)
    monkeypatch.setattr(hold, "with_rehearsal", lambda step: step)
    monkeypatch.setattr(hold, "observe_volume", lambda _run: {"on_source": world["on_source"]})
    clock = MovingClock()
    journal = Journal(tmp_path / RUN_ID, clock.now_utc)
    journal.append("run-opened", execute=True)
    journal.append("notebook-started", notebook="30_cut_over_volume", attempt=1, output="")
    policy = SimpleNamespace(hold_before_cutover=False, hold_limit_s=3600)
    return SimpleNamespace(
        run_id=RUN_ID,
        journal=journal,
        clock=clock,
        execute=True,
        confirm_lease=lambda: None,
        confirm_approval=lambda *_: None,
        parameters=SimpleNamespace(policy=policy),
    )


def ask(run):
    """Ask for a hold, as `--hold-before-cutover` does."""
    run.journal.append("hold", phase="requested", operator="ops@host", how="--hold-before-cutover", reason="")


def release(run):
    """Release it, as `runbook cut-over` does."""
    run.journal.append("hold", phase="released", operator="ops@host", how="runbook cut-over", reason="now")


def status_of(run):
    return build_report(run.journal.events(), RUN_ID)


def test_without_being_asked_for_it_goes_on_at_once(run, world):
    """An ordinary cutover does not stop here, and says that nobody asked for it."""
    result = perform(hold.HOLD_CUTOVER, run)
    assert (result.status, result.summary) == (StepStatus.SUCCEEDED, "Nobody asked for a hold: go on at once.")
    assert run.clock.time_s == 0


@pytest.mark.parametrize("how", ["option", "policy"])
def test_it_holds_until_it_is_released_and_then_looks_again(run, world, how):
    """It waits for the release, says so meanwhile, and checks readiness once more before it lets go."""
    if how == "option":
        ask(run)
    else:
        run.parameters.policy.hold_before_cutover = True
    meanwhile = []
    run.clock.happens = {600: lambda: meanwhile.append(status_of(run)), 1200: lambda: release(run)}
    assert perform(hold.HOLD_CUTOVER, run).status is StepStatus.SUCCEEDED
    assert 1200 <= run.clock.time_s < 1202
    assert world["looks"] == 1
    (report,) = meanwhile
    assert report["status"] == "waiting"
    assert headline(report).word == "Holding."
    assert "Since 2026-01-01 00:00:00 UTC the cutover waits for `runbook cut-over" in headline(report).text
    assert "Nothing was stopped" in headline(report).text
    assert [command for _, command in next_steps(report)] == [
        f"runbook cut-over {RUN_ID}",
        f"runbook panic {RUN_ID} --yes",
    ]
    wait = run.journal.last("wait").fields
    assert (wait["since_utc"], wait["timeout_s"]) == ("2026-01-01T00:00:00+00:00", 3600)
    assert status_of(run)["hold"] is None


def test_a_plan_says_how_long(run):
    """A run that only plans does not hold; it says what would happen."""
    ask(run)
    run.execute = False
    result = perform(hold.HOLD_CUTOVER, run)
    assert (result.status, "at most 3600 s" in result.summary) == (StepStatus.PLANNED, True)
    assert run.clock.time_s == 0


def test_a_flag_file_releases_it(run):
    """A file in the run folder releases it once, and is gone afterwards."""
    ask(run)
    flag = run.journal.folder / "cut-over"
    run.clock.happens = {60: flag.touch}
    assert perform(hold.HOLD_CUTOVER, run).status is StepStatus.SUCCEEDED
    assert not flag.exists()
    assert run.journal.last("hold").fields["how"] == "file cut-over"


def test_a_flag_file_from_before_does_not_count(run):
    """A file that somebody left there earlier is taken away, noted, and releases nothing."""
    ask(run)
    (run.journal.folder / "cut-over").touch()
    with pytest.raises(CheckError, match="not released within 3600 s"):
        perform(hold.HOLD_CUTOVER, run)
    assert run.journal.last("wait").fields["removed_flag_from_before"] is True


def test_a_hold_that_lasts_too_long_is_refused_with_nothing_stopped(run, world):
    """At its limit the hold ends as a refused check, which says that the service runs on and what to do."""
    ask(run)
    with pytest.raises(CheckError) as refused:
        perform(hold.HOLD_CUTOVER, run)
    assert (refused.value.exit_code, refused.value.changed) == (3, "no")
    for text in ("policy.hold_limit_s", "The service was not stopped", f"runbook resume {RUN_ID}"):
        assert text in str(refused.value)
    assert world["looks"] == 0
    assert status_of(run)["status"] == "failed"


def test_the_world_may_have_changed_while_it_held(run, world):
    """Released into a world that is no longer ready, the cutover is refused before anything stops."""
    ask(run)
    run.clock.happens = {60: lambda: (world.update(ready=False), release(run))}
    with pytest.raises(CheckError, match="ready") as refused:
        perform(hold.HOLD_CUTOVER, run)
    assert refused.value.changed == "no"
    assert [e.fields["status"] for e in run.journal.events() if e.kind == "step"] == ["running", "failed", "failed"]


def test_killed_and_run_again_it_holds_again(run):
    """A hold whose process was killed begins anew; the release it never got is still needed."""
    ask(run)

    def die():
        raise KeyboardInterrupt

    run.clock.happens = {60: die}
    with pytest.raises(KeyboardInterrupt):
        perform(hold.HOLD_CUTOVER, run)
    run.clock.happens = {1000: lambda: release(run)}
    assert perform(hold.HOLD_CUTOVER, run).status is StepStatus.SUCCEEDED
    assert run.clock.time_s >= 1000
    assert perform(hold.HOLD_CUTOVER, run).status is StepStatus.SKIPPED, "released is released"


@pytest.mark.parametrize("again", ["asked", "rolled back"])
def test_a_release_is_for_one_cutover(run, again):
    """Asked for once more, or after a way back, the former release counts no more."""
    run.parameters.policy.hold_before_cutover = True
    release(run)
    if again == "asked":
        ask(run)
    else:
        run.journal.append("step", step_id="check-way-back", notebook="90_roll_back", status="succeeded")
    with pytest.raises(CheckError, match="not released"):
        perform(hold.HOLD_CUTOVER, run)


@pytest.mark.parametrize("begun", ["outage", "detached"])
def test_it_never_holds_a_service_that_is_down(run, world, begun):
    """Asked for on a cutover that is under way already, it lets it go on at once."""
    ask(run)
    if begun == "outage":
        run.journal.append("outage", phase="started")
    else:
        world["on_source"] = False
    assert perform(hold.HOLD_CUTOVER, run).status is StepStatus.SKIPPED
    assert run.clock.time_s == 0
