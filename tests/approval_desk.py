"""A run whose policy wants approvals, and people who give them; with a journal that is told, and no AWS."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from runbook_lib import parameters, run_approval, run_approve
from runbook_lib.errors import ApprovalError
from tests.parameter_sets import SANDBOX, changed
from tests.sample_run import Story, digest

ALICE, BOB, CAROL = (f"arn:aws:iam::012345678901:user/{name}" for name in ("alice", "bob", "carol"))
PLAN = digest("plan")
PROVISION = run_approval.Act("provision-target", "10_provision_target", PLAN)
PULL = run_approval.Act("pull-image", "10_provision_target", "")
STOP = run_approval.Act("stop-source-service", "30_cut_over_volume", "")
RUN_OPENED = {
    "library_sha256": digest("library"),
    "git_commit": "4" * 40,
    "notebooks_sha256": {"10_provision_target": digest("10"), "30_cut_over_volume": digest("30")},
    "targets": {"account": "012345678901", "volume": "vol-0fedcba9876543210"},
}


class Desk:
    """Everything that an approval needs but AWS.

    Args:
        directory: Where the run folder is made.
        **policy: Keys of `policy.approvals`; one approval is wanted when nothing is said.
    """

    def __init__(self, directory: Path, **policy: Any) -> None:
        self.archive = directory
        self.story = Story(directory)
        self.journal = self.story.journal
        self.parameters = parameters.load(SANDBOX, changed("policy.approvals", {"required": 1} | policy))
        self.at_keyboard = ALICE
        self.asked_sts = 0
        self.passes: set[tuple[str, ...]] = set()
        self.open()

    def open(self, **other: Any) -> None:
        """Open the run, as it is or with something else than before."""
        opened = self.journal.last("run-opened").fields
        self.journal.append("run-opened", **{**RUN_OPENED, **opened, **other})

    def session(self, *_arguments: Any, **_options: Any) -> SimpleNamespace:
        """Stand in for the session with STS of whoever is at the keyboard."""
        return SimpleNamespace(caller=self._caller)

    def _caller(self) -> dict[str, str]:
        self.asked_sts += 1
        return who(self.at_keyboard)

    def confirm(self, act: run_approval.Act = PROVISION, *, process: str = "same") -> None:
        """Come to an act, as `perform` does, in the same process or another."""
        passes = self.passes if process == "same" else set()
        clock = SimpleNamespace(now_utc=lambda: self.story.now)
        run = SimpleNamespace(
            journal=self.journal, run_id=self.journal.run_id, parameters=self.parameters, clock=clock, execute=True
        )
        run_approval.confirm(run, act, passes)

    def stopped_at(self, act: run_approval.Act = PROVISION) -> str:
        """Come to an act that is not approved; return what is said."""
        try:
            self.confirm(act)
        except ApprovalError as error:
            self.story.wait(5)
            return str(error)
        raise AssertionError("it was not stopped")

    def approve(self, arn: str = BOB, reason: str = "looked at it", **options: Any) -> Any:
        """Say yes as somebody."""
        event, decision = run_approve.approve(self.journal, self.parameters, who(arn), reason=reason, **options)
        self.story.wait(5)
        return event, decision

    def review(self, arn: str = BOB, reason: str = "it was right") -> Any:
        """Review as somebody."""
        return run_approve.review(self.journal, self.parameters, who(arn), reason=reason)

    def pass_time(self, hours: float) -> None:
        """Let time pass."""
        self.story.now += timedelta(hours=hours)

    def kinds(self, kind: str) -> list[dict[str, Any]]:
        """Return the fields of the journal's events of a kind."""
        return [event.fields for event in self.journal.events() if event.kind == kind]


def who(arn: str) -> dict[str, str]:
    """Return what STS says of somebody."""
    return {"arn": arn, "account_id": arn.split(":")[4], "request_id": f"request-{arn[-3:]}"}
