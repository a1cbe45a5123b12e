"""perform: the one order in which a step happens, whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from runbook_lib.errors import (
    AccessDeniedError,
    ActionError,
    ApprovalError,
    AwsError,
    CheckError,
    LeaseError,
    ObservationError,
    RolledBackError,
    VerificationError,
)
from runbook_lib.journal import Journal
from runbook_lib.model import Check, StepStatus
from runbook_lib.steps import Step, only_wait, perform, verb


class StillClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.time_s = 0.0

    def monotonic(self):
        return self.time_s

    def sleep(self, seconds):
        self.time_s += seconds


@pytest.fixture
def run(tmp_path):
    journal = Journal(tmp_path / "run", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    return SimpleNamespace(
        journal=journal, clock=StillClock(), execute=True, confirm_lease=lambda: None, confirm_approval=lambda *_: None
    )


def a_step(world, **changes):
    """A step that turns `world["attached"]` off."""
    settings = {
        "step_id": "detach-volume",
        "notebook": "30_cut_over_volume",
        "title": "Detach the volume",
        "observe": lambda _run: dict(world),
        "plan": lambda facts: f"Detach; attached is {facts['attached']}.",
        "act": lambda _run, _facts: world.update(attached=False),
        "is_done": lambda facts: not facts["attached"],
        "verify": lambda _before, after: (Check("detached", not after["attached"], "detached", "attached"),),
        "timeout_s": 5.0,
        "poll_s": 1.0,
        "waits_for": "EC2 detaches",
    }
    return Step(**(settings | changes))


def statuses(run):
    return [e.fields["status"] for e in run.journal.events() if e.kind == "step"]


def test_a_step_that_succeeds_is_journalled_before_and_after(run):
    """The journal holds `running` before the act and `succeeded` after it was verified."""
    world = {"attached": True}
    assert perform(a_step(world), run).status is StepStatus.SUCCEEDED
    assert statuses(run) == ["running", "succeeded"]
    assert run.journal.last("step").fields["before"] == {"attached": True}
    assert run.journal.last("step").fields["after"] == {"attached": False}


def test_running_is_on_the_disk_before_the_act(run):
    """When the act begins, the journal already says so: a crash inside it is visible."""
    world, seen = {"attached": True}, []
    step = a_step(world, act=lambda r, _f: (seen.extend(statuses(r)), world.update(attached=False)))
    perform(step, run)
    assert seen == ["running"]


def test_a_step_that_is_already_so_is_skipped(run):
    """Nothing is done twice."""
    step = a_step({"attached": False}, act=lambda _r, _f: pytest.fail("acted"))
    assert perform(step, run).status is StepStatus.SKIPPED


def test_without_execute_nothing_is_acted(run):
    """A run that does not execute looks, checks, says what it would do, and stops there."""
    run.execute = False
    result = perform(a_step({"attached": True}, act=lambda _r, _f: pytest.fail("acted")), run)
    assert (result.status, result.summary) == (StepStatus.PLANNED, "Detach; attached is True.")
    assert statuses(run) == ["planned"]


def test_every_failed_check_is_reported_at_once(run):
    """A refusal names each failed check with expected, observed, why and fix, and changes nothing."""
    checks = (
        Check("mounted", False, "unmounted", "mounted", "writes are lost", "unmount it"),
        Check("zone", False, "us-east-1a", "us-east-1b", "", "choose another subnet"),
        Check("fine", True, "x", "x"),
    )
    step = a_step({"attached": True}, check=lambda _f: checks, act=lambda _r, _f: pytest.fail("acted"))
    with pytest.raises(CheckError) as refused:
        perform(step, run)
    text = str(refused.value)
    assert "2 of 3 checks failed" in text
    assert "expected unmounted, observed mounted. Why: writes are lost. Fix: unmount it." in text
    assert "choose another subnet" in text
    assert (refused.value.changed, refused.value.exit_code) == ("no", 3)
    assert statuses(run) == ["failed"]


def test_a_check_on_a_planned_object_is_assumed_only_while_planning(run):
    """What an earlier step would make cannot be checked in a plan; in an execution it must be there."""
    check = Check("host", False, "a host", "none", needs="provision-target")
    step = a_step({"attached": True}, check=lambda _f: (check,))
    with pytest.raises(CheckError):
        perform(step, run)
    run.execute = False
    with pytest.raises(CheckError):  # nobody planned provision-target
        perform(step, run)
    run.journal.append("step", step_id="provision-target", status="planned")
    assert perform(step, run).status is StepStatus.PLANNED
    assert run.journal.last("step").fields["checks"][0]["assumed"] is True


def test_when_looking_fails_nothing_was_changed(run):
    """A failed observation before the act says that nothing changed."""

    def fail(_run):
        raise AwsError("DescribeVolumes", "RequestLimitExceeded", "slow down")

    with pytest.raises(ObservationError, match="RequestLimitExceeded") as raised:
        perform(a_step({}, observe=fail), run)
    assert raised.value.changed == "no"


def test_when_the_act_fails_something_may_have_changed(run):
    """A failed act says `maybe`, and the error below it is kept as the cause."""

    def fail(_run, _facts):
        raise AwsError("DetachVolume", "IncorrectState", "no")

    with pytest.raises(ActionError, match="IncorrectState") as raised:
        perform(a_step({"attached": True}, act=fail), run)
    assert isinstance(raised.value.__cause__, AwsError)
    assert run.journal.last("step").fields["error"]["changed"] == "maybe"
    assert statuses(run) == ["running", "failed"]


@pytest.mark.parametrize(
    ("earlier", "changed"),
    [
        ([], "no"),
        (["UnauthorizedOperation"], "no"),
        (["Success"], "maybe"),
        (["ReadTimeoutError", "UnauthorizedOperation"], "maybe"),
    ],
    ids=["the first call is refused", "and recorded", "after a call that was made", "after one without an answer"],
)
def test_a_call_that_aws_does_not_permit_changed_nothing_unless_another_may_have(run, earlier, changed):
    """`Changed: no` is said only where every call of the act was refused; a lost answer may hide a change."""

    def fail(run, _facts):
        for outcome in earlier:
            run.journal.append("api-call", service="ec2", operation="DetachVolume", outcome=outcome)
        raise AccessDeniedError("DetachVolume", "UnauthorizedOperation", "no", "ec2:DetachVolume", "", "")

    with pytest.raises(ActionError, match="UnauthorizedOperation") as raised:
        perform(a_step({"attached": True}, act=fail), run)
    assert raised.value.changed == changed
    assert run.journal.last("step").fields["error"]["changed"] == changed


def test_an_act_is_not_begun_without_the_lease(run):
    """When the run cannot prove that it holds the volume, the step is refused before `running`, and nothing changed."""

    def lost():
        raise LeaseError("s3://b/k names another holder: run y")

    run.confirm_lease = lost
    step = a_step({"attached": True}, act=lambda _r, _f: pytest.fail("acted"))
    with pytest.raises(CheckError, match="cannot prove that it holds the volume: s3://b/k names another") as refused:
        perform(step, run)
    assert (refused.value.changed, refused.value.exit_code) == ("no", 3)
    assert statuses(run) == ["failed"]


def test_looking_and_planning_need_no_lease(run):
    """A step that only reads, one that is already so, and a plan ask for no lease."""
    run.confirm_lease = lambda: pytest.fail("asked")
    assert perform(a_step({"attached": True}, act=None), run).status is StepStatus.SUCCEEDED
    assert perform(a_step({"attached": False}), run).status is StepStatus.SKIPPED
    run.execute = False
    assert perform(a_step({"attached": True}), run).status is StepStatus.PLANNED


def test_what_is_never_verified_fails_after_its_time(run):
    """The act ran but the world never followed: the error says what was expected and how long it waited."""
    step = a_step({"attached": True}, act=lambda _r, _f: None)
    with pytest.raises(VerificationError, match=r"not verified after 5\.0 s: detached: expected detached") as raised:
        perform(step, run)
    assert raised.value.changed == "yes"
    assert run.journal.last("wait").fields["reason"] == "EC2 detaches"


def test_hopeless_waiting_ends_early(run):
    """When waiting cannot help, it is not waited for."""
    step = a_step({"attached": True}, act=lambda _r, _f: None, hopeless=lambda _f: "the volume is gone")
    with pytest.raises(VerificationError, match="the volume is gone"):
        perform(step, run)
    assert run.clock.time_s == 0


def test_a_failed_look_while_waiting_is_not_the_end(run):
    """While waiting, an observation may fail and the next one decide."""
    world, looks = {"attached": True}, []

    def observe(_run):
        looks.append(1)
        if len(looks) == 2:
            raise AwsError("DescribeVolumes", "RequestLimitExceeded", "slow down")
        return dict(world)

    step = a_step(world, observe=observe, hopeless=lambda facts: "stuck" if facts["attached"] else "")
    assert perform(step, run).status is StepStatus.SUCCEEDED


def test_a_step_that_only_waits_looks_once_when_that_is_enough(run):
    """What was seen before counts when nothing was done since: one look, and the summary tells of it."""
    looks = []
    step = a_step({"attached": False}, observe=lambda _r: looks.append(1) or {"attached": False}, act=only_wait,
                  is_done=lambda _f: False)  # fmt: skip
    result = perform(step, run)
    assert (result.status, result.summary, len(looks)) == (StepStatus.SUCCEEDED, "Detach; attached is False.", 1)


def test_a_step_that_only_waits_changed_nothing_when_it_fails(run):
    """A wait in vain is a failed verification, and says that nothing was changed."""
    with pytest.raises(VerificationError, match="not verified") as raised:
        perform(a_step({"attached": True}, act=only_wait), run)
    assert (raised.value.changed, raised.value.exit_code) == ("no", 4)
    assert "Changed: no." in str(raised.value)


def test_an_interrupt_is_journalled_as_failed(run):
    """Ctrl-C inside an act leaves `failed` and `maybe`, not `running`."""

    def interrupted(_run, _facts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(a_step({"attached": True}, act=interrupted), run)
    assert run.journal.last("step").fields["error"] == {
        "kind": "KeyboardInterrupt", "message": "KeyboardInterrupt", "changed": "maybe", "exit_code": 4,
    }  # fmt: skip


def test_a_verb_is_named_after_its_step(run):
    """Notebooks call a function with the step's name, documented after it."""
    function = verb(a_step({"attached": False}))
    assert (function.__name__, function(run).status) == ("detach_volume", StepStatus.SKIPPED)
    assert "Detach the volume" in function.__doc__


def refused_step(answers):
    """A step whose check fails, with an answer to that."""

    def answer(_run, error):
        answers.append(error)
        return RolledBackError(error.step_id, "went back") if len(answers) > 1 else error

    return a_step({"attached": True}, check=lambda _f: (Check("zone", False, "a", "b"),), on_failure=answer)


def test_a_failure_is_answered_after_it_was_recorded(run):
    """The answer sees a journal that holds the failure; its error is raised, from the failure when it is another."""
    answers = []
    step = refused_step(answers)
    with pytest.raises(CheckError) as unanswered:
        perform(step, run)
    assert (answers, statuses(run)) == ([unanswered.value], ["failed"])
    with pytest.raises(RolledBackError) as answered:
        perform(step, run)
    assert isinstance(answered.value.__cause__, CheckError)
    assert run.journal.last("step").fields["error"]["kind"] == "CheckError"


def test_a_dry_run_has_no_failure_to_answer(run):
    """What is only planned changed nothing, so nothing is cleaned up or taken back."""
    run.execute, answers = False, []
    with pytest.raises(CheckError):
        perform(refused_step(answers), run)
    assert answers == []


def test_an_act_that_is_not_approved_does_not_happen(run):
    """Whoever must say yes is asked before every act with what was observed; a wait and a plan ask nobody."""
    asked = []

    def refuse(step, facts):
        asked.append((step.step_id, step.notebook, facts))
        raise ApprovalError(step.step_id, "needs 1 approval and has 0")

    run.confirm_approval = refuse
    world = {"attached": True, "plan_sha256": "1" * 64}
    step = a_step(world, act=lambda _r, _f: pytest.fail("acted"))
    with pytest.raises(ApprovalError) as stopped:
        perform(step, run)
    assert (stopped.value.exit_code, asked) == (6, [("detach-volume", "30_cut_over_volume", world)])
    assert (statuses(run), run.journal.last("step").fields["error"]["exit_code"]) == (["failed"], 6)
    perform(a_step(world, act=only_wait, verify=lambda _b, _a: ()), run)
    perform(a_step(world, act=None), run)
    run.execute = False
    perform(step, run)
    assert len(asked) == 1
