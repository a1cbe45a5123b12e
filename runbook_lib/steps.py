"""What a step is, and the one function that knows the order in which a step happens.

observe → already so? → check → (not executing? planned) → approved? → name typed? → ask the lease → journal → act →
observe until verified → journal. `execute` is tested here, and nowhere else. It waits with the run's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import (
    AccessDeniedError,
    ActionError,
    CheckError,
    LeaseError,
    ObservationError,
    OutsideError,
    StepError,
    VerificationError,
)
from runbook_lib.model import Check, Facts, StepStatus
from runbook_lib.steps_order import refuse_out_of_order
from runbook_lib.steps_result import StepResult

if TYPE_CHECKING:
    from runbook_lib.run import Run


def never_done(_facts: Facts) -> bool:
    """Return False: the step has nothing that could already be so."""
    return False


def no_checks(_facts: Facts) -> Sequence[Check]:
    """Return no checks: the act is harmless whatever the facts are."""
    return ()


def only_wait(_run: Run, _facts: Facts) -> None:
    """Do nothing: the act of a step that waits for what was begun before and goes on by itself."""


def nothing(_facts: Facts) -> str:
    """Return "": waiting may still help; what the act does can be taken back."""
    return ""


@dataclass(frozen=True)
class Step:
    """One step of a runbook, as data.

    Args:
        step_id: Kebab-case; also the id of its notebook cell.
        notebook: The notebook it belongs to, for example `30_cut_over_volume`.
        title: What it does, imperative, one line.
        observe: Reads the world; returns facts. Changes nothing.
        plan: Says what the act would do, given the facts.
        act: Changes the world, or None for a step that only reads and checks.
        is_done: Whether the facts already are what the act would bring about.
        check: What must be so before the act; pure.
        verify: What must be so after the act, from the facts before and after; pure.
        hopeless: Why waiting any longer cannot help, or ""; pure.
        roll_back: Step of 90_roll_back that takes this one back; None for a point of no return or no change.
        no_return: What the act takes away for good, or ""; a person at a notebook types the service's name first; pure.
        timeout_s: How long to wait for verify.
        poll_s: Pause between two observations while waiting.
        waits_for: What the wait is for, in words.
        in_outage: Whether the service is down while this step runs.
        plan_ahead: Returns the digest of the Terraform plan that a later step will apply, to be approved with this one.
        on_failure: Answers a failure while executing, after it was recorded; returns the error to raise. None: nothing.
    """

    step_id: str
    notebook: str
    title: str
    observe: Callable[[Run], dict[str, Any]]
    plan: Callable[[Facts], str]
    act: Callable[[Run, Facts], None] | None = None
    is_done: Callable[[Facts], bool] = never_done
    check: Callable[[Facts], Sequence[Check]] = no_checks
    verify: Callable[[Facts, Facts], Sequence[Check]] = field(default=lambda _before, _after: ())
    hopeless: Callable[[Facts], str] = nothing
    roll_back: str | None = None
    no_return: Callable[[Facts], str] = nothing
    timeout_s: float = 120.0
    poll_s: float = 0.5
    waits_for: str = ""
    in_outage: bool = False
    plan_ahead: Callable[[Run], str] | None = None
    on_failure: Callable[[Run, StepError], StepError] | None = None


def perform(step: Step, run: Run) -> StepResult:
    """Bring one step to its end, or raise.

    Args:
        step: The step.
        run: The open run.

    Returns:
        The result: skipped, planned or succeeded.

    Raises:
        ObservationError: when the world could not be read; nothing changed.
        CheckError: when a check failed, or a person has not typed the service's name; nothing changed.
        ApprovalError: when the policy wants an approval that is not there; nothing changed.
        ActionError: when the act failed; something may have changed.
        VerificationError: when the act ran but the world never became what was expected.

    Changes:
        Whatever the step's act changes, only when the run executes; the journal always.
    """
    return _Performance(step, run).perform()


class _Performance:
    """One performance of one step; holds what the journal line needs."""

    def __init__(self, step: Step, run: Run) -> None:
        self.step = step
        self.run = run
        self.started = run.clock.monotonic()
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.checks: tuple[Check, ...] = ()
        self.acting = False

    def perform(self) -> StepResult:
        try:
            return self._perform()
        except StepError as error:
            self._record(StepStatus.FAILED, error=error, changed=error.changed)
            answer = self._answer(error)
            if answer is error:
                raise
            raise answer from error
        except BaseException as error:  # a defect or an interrupt: the journal must not stay at `running`
            self._record(StepStatus.FAILED, error=error, changed="maybe" if self.acting else "no")
            raise

    def _answer(self, error: StepError) -> StepError:
        """Return the error to raise, after the step's own answer to a failure; a dry run changed nothing to answer."""
        if self.step.on_failure is None or not self.run.execute:
            return error
        return self.step.on_failure(self.run, error)

    def _perform(self) -> StepResult:
        step = self.step
        self.before = self._observe_before()
        if step.is_done(self.before):
            return self._end(StepStatus.SKIPPED, "Already so; nothing to do.")
        self.checks = tuple(step.check(self.before))
        self._refuse_failed_checks()
        if not self.run.execute:
            return self._end(StepStatus.PLANNED, step.plan(self.before))
        if step.act is not None and step.act is not only_wait:
            self.run.confirm_approval(step, self.before)
            if lost := step.no_return(self.before):
                self.run.confirm_name(step.step_id, step.notebook, lost)
        self._refuse_without_lease()
        self._record(StepStatus.RUNNING, plan=step.plan(self.before))
        self.acting = step.act is not None and step.act is not only_wait
        if step.act is not None:
            self._act(step.act)
            self._wait_until_verified()
        return self._end(StepStatus.SUCCEEDED, step.plan(self.after if step.act is only_wait else self.before))

    def _observe_before(self) -> dict[str, Any]:
        try:
            return self.step.observe(self.run)
        except OutsideError as error:
            raise ObservationError(self.step.step_id, f"could not look before acting: {error}") from error

    def _refuse_failed_checks(self) -> None:
        failed = [c for c in self.checks if not c.passed and not self._is_assumed(c)]
        if failed:
            lines = "".join(f"\n  - {c.sentence()}" for c in failed)
            raise CheckError(self.step.step_id, f"{len(failed)} of {len(self.checks)} checks failed:{lines}")

    def _refuse_without_lease(self) -> None:
        """Ask whether this run still holds the volume; the only place that does, and right before the act."""
        if self.step.act is None:
            return
        try:
            self.run.confirm_lease()
        except LeaseError as error:
            text = f"not begun, because this run cannot prove that it holds the volume: {error}"
            raise CheckError(self.step.step_id, f"{text}. `runbook lease -f FILE` shows who does") from error

    def _is_assumed(self, check: Check) -> bool:
        """Return whether the checked object is only planned in this run."""
        planned = self.run.journal.step_status(check.needs) if check.needs and not self.run.execute else None
        return planned is StepStatus.PLANNED

    def _act(self, act: Callable[[Run, Facts], None]) -> None:
        began = len(self.run.journal.events())
        try:
            act(self.run, self.before)
        except OutsideError as error:
            later = self.run.journal.events()[began:]
            refused = all(e.kind == "api-call" and e.fields["outcome"] in AccessDeniedError.codes for e in later)
            changed = "no" if refused and isinstance(error, AccessDeniedError) else error.changed
            raise ActionError(self.step.step_id, f"{self.step.title}: {error}", changed) from error

    def _wait_until_verified(self) -> None:
        clock, step = self.run.clock, self.step
        deadline = clock.monotonic() + step.timeout_s
        announced = False
        # nothing happened since the look before: a step that only waits need not look at once again
        failed = self._verify_observed(self.before) if step.act is only_wait else self._observe_after()
        while failed:
            reason = step.hopeless(self.after) if self.after else ""  # nothing could be seen yet
            if reason or clock.monotonic() >= deadline:
                waited_s = clock.monotonic() - self.started
                text = "; ".join(failed) + (f". Waiting longer cannot help: {reason}" if reason else "")
                changed = "no" if step.act is only_wait else "yes"
                raise VerificationError(step.step_id, f"not verified after {waited_s:.1f} s: {text}", changed=changed)
            if not announced and step.waits_for:
                self.run.journal.append("wait", step_id=step.step_id, reason=step.waits_for, timeout_s=step.timeout_s)
                announced = True
            clock.sleep(step.poll_s)
            failed = self._observe_after()

    def _observe_after(self) -> list[str]:
        """Observe and verify once; return what is not as it should be."""
        try:
            return self._verify_observed(self.step.observe(self.run))
        except OutsideError as error:
            return [f"could not look: {error}"]

    def _verify_observed(self, after: dict[str, Any]) -> list[str]:
        """Verify what was observed; return what is not as it should be."""
        self.after = after
        verified = tuple(self.step.verify(self.before, self.after))
        self.checks = tuple(c for c in self.checks if c.check_id not in {v.check_id for v in verified}) + verified
        return [c.sentence() for c in verified if not c.passed]

    def _end(self, status: StepStatus, summary: str) -> StepResult:
        self._record(status, plan=summary)
        return StepResult(self.step.step_id, self.step.title, status, summary, self._duration_s(), self.checks)

    def _duration_s(self) -> float:
        return round(self.run.clock.monotonic() - self.started, 3)

    def _record(
        self, status: StepStatus, *, plan: str = "", error: BaseException | None = None, changed: str = "no"
    ) -> None:
        fields: dict[str, Any] = {
            "step_id": self.step.step_id,
            "notebook": self.step.notebook,
            "title": self.step.title,
            "status": status.value,
            "before": self.before,
            "after": self.after,
            "checks": [c.as_json() | {"assumed": not c.passed and self._is_assumed(c)} for c in self.checks],
            "plan": plan,
            "duration_s": self._duration_s(),
            "in_outage": self.step.in_outage,
        }
        if error is not None:
            fields["error"] = {
                "kind": type(error).__name__,
                "message": str(error) or type(error).__name__,
                "changed": changed,
                "exit_code": getattr(error, "exit_code", 4),
            }
        self.run.journal.append("step", **fields)


def verb(step: Step, earlier: Sequence[str] = ()) -> Callable[[Run], StepResult]:
    """Return the public function that performs a step.

    Args:
        step: The step.
        earlier: Ids of the steps before it in its notebook; it is refused until they ended well in the run.

    Returns:
        A function of the run, named and documented after the step.
    """

    def perform_step(run: Run) -> StepResult:
        refuse_out_of_order(step, earlier, run.journal, planned_counts=not run.execute)
        return perform(step, run)

    perform_step.__name__ = perform_step.__qualname__ = step.step_id.replace("-", "_")
    perform_step.__doc__ = f"""{step.title}.

    Args:
        run: The open run.

    Returns:
        How the step ended.

    Raises:
        StepError: as `runbook_lib.steps.perform` says.
    """
    return perform_step
