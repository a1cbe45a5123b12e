"""The gate before an act: what the policy wants approved is approved, or the run stops with nothing changed.

Asks STS who wants it, and writes what is wanted, what was used, and whose glass was broken into the journal. Whether
approvals count is decided in `approval`, which asks nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib import approval
from runbook_lib import parameters as parameter_file
from runbook_lib.adapters.aws import Aws
from runbook_lib.approval_digest import PLAN, find_parts
from runbook_lib.errors import ApprovalError, ObservationError, OutsideError
from runbook_lib.model import Event
from runbook_lib.parameters import Parameters
from runbook_lib.run_attempt import runner_fields
from runbook_lib.run_digests import notebook_summary
from runbook_lib.run_folder import operator
from runbook_lib.run_lease import open_session
from runbook_lib.run_secrets import protect

if TYPE_CHECKING:
    from runbook_lib.run import Run

DIGEST_CHARACTERS = 12
"""How much of a digest names it in commands and file names."""


@dataclass(frozen=True)
class Act:
    """What is about to be done.

    Args:
        step_id: The step.
        notebook: Its notebook.
        plan_sha256: The Terraform plan that it would apply, "" for none.
        plan_ahead: As `Step.plan_ahead`: the plan of a later step that the same approval is to cover, or None.
    """

    step_id: str
    notebook: str
    plan_sha256: str
    plan_ahead: Callable[[Run], str] | None = None

    def find_plan(self, run: Run) -> str:
        """Return the digest of the plan that is to be approved with this act, "" for none.

        Raises:
            ObservationError: when a plan that is made ahead cannot be made.
        """
        if self.plan_sha256 or self.plan_ahead is None:
            return self.plan_sha256
        try:
            return self.plan_ahead(run)
        except OutsideError as error:
            raise ObservationError(self.step_id, f"the plan that is to be approved cannot be made: {error}") from error


def own_session(parameters: Parameters, run_id: str, **options: Any) -> Aws:
    """Return a session as whoever is at the keyboard: no role is assumed, because a role is shared by many.

    Args:
        parameters: What to migrate.
        run_id: Put into the user agent, by which CloudTrail is searched.
        **options: As `Aws`, for other credentials than the parameters name.

    Returns:
        The session.
    """
    return open_session(parameters, run_id, role_arn="", attempts=2, **options)


def who_approves(folder: Path, credentials: Mapping[str, Any]) -> tuple[Parameters, dict[str, str]]:
    """Return a run's parameters and who is at the keyboard, as AWS says; no role is assumed for that.

    Args:
        folder: The run folder.
        credentials: `profile` and `credentials_file` of whoever approves; what is not given is as the parameters say.

    Returns:
        The parameters, and the caller as `Aws.caller`.

    Raises:
        OutsideError: when AWS does not say who it is.
    """
    parameters = parameter_file.load(str(folder / "parameters.yaml"))
    protect(parameters, way_back=True)  # why somebody says yes is typed by hand, and may hold a secret
    own = {name: value for name, value in credentials.items() if value}
    return parameters, own_session(parameters, folder.name, **own).caller()


def terms_of(parameters: Parameters, events: Sequence[Event], notebook: str) -> approval.Terms:
    """Return what is demanded for a notebook.

    Args:
        parameters: The run's parameters as they are now.
        events: The journal: what a run has asked for once it needs, whatever parameters it goes on with.
        notebook: The notebook.

    Returns:
        The stricter of both.
    """
    policy = parameters.policy.approvals
    required = policy.required if notebook in policy.notebooks else 0
    return approval.strictest(approval.Terms(required, policy.requester_may_approve), events, notebook)


def confirm(run: Run, act: Act, passes: set[tuple[str, ...]]) -> None:
    """Return when an act is approved or needs no approval; else ask for the approval and stop.

    Args:
        run: The open run, executing.
        act: What is about to be done.
        passes: What this process has noted already, so that every act does not repeat it.

    Raises:
        ApprovalError: when approvals are missing.
        ObservationError: when STS does not say who asks, or a plan that is to be approved cannot be made.

    Changes:
        The journal; `passes`.
    """
    events = run.journal.events()
    terms = terms_of(run.parameters, events, act.notebook)
    if not terms.required:
        return
    parts = find_parts(events, act.notebook, act.find_plan(run))
    decision = approval.decide(events, parts, terms, run.clock.now_utc())
    if not decision.missing:
        used = [event.seq for event in decision.valid]
        _note_once(run, passes, act, used)
        return
    glass = _broken_glass(run)
    if glass is None:
        _ask(run, act, decision, terms)
    elif (key := (act.notebook, parts[PLAN])) not in passes:
        fields = {"digest": decision.digest, "parts": dict(parts), "missing": decision.missing}
        who = {"operator": operator(), "identity": _who(run, act), "reason": glass.fields["reason"]}
        run.journal.append("break-glass", phase="used", notebook=act.notebook, step_id=act.step_id, **fields, **who)
        passes.add(key)


def _note_once(run: Run, passes: set[tuple[str, ...]], act: Act, used: list[int]) -> None:
    key = (act.notebook, *map(str, used))
    if key not in passes:
        by = [event.fields["approver"] for event in run.journal.events() if event.seq in used]
        run.journal.append(
            "approval-used", notebook=act.notebook, step_id=act.step_id, approvals=used, by=by, operator=operator()
        )
        passes.add(key)


def _broken_glass(run: Run) -> Event | None:
    """Return the break-glass that covers this process: its own runner asked for it, and nobody else's does."""
    event = run.journal.last("break-glass", phase="requested")
    if event is None:
        return None
    runner = runner_fields(os.getppid())
    return event if all(event.fields.get(key) == value for key, value in runner.items()) else None


def _who(run: Run, act: Act) -> Mapping[str, str]:
    try:
        return own_session(run.parameters, run.run_id).caller()
    except OutsideError as error:
        raise ObservationError(act.step_id, f"an approval is needed, and AWS does not say who asks: {error}") from error


def _ask(run: Run, act: Act, decision: approval.Decision, terms: approval.Terms) -> None:
    """Note what is wanted, unless the run waits for exactly that already, and stop."""
    waiting = approval.find_request(run.journal.events())
    void = [{"approver": e.fields["approver"], "at_utc": e.at_utc, "why": why} for e, why in decision.void]
    if waiting is None or waiting.fields["digest"] != decision.digest:
        approvers = run.parameters.policy.approvals.approvers
        run.journal.append(
            "approval-request",
            notebook=act.notebook,
            step_id=act.step_id,
            digest=decision.digest,
            parts=dict(decision.parts),
            required=decision.required,
            requester={**_who(run, act), "operator": operator()},
            requester_may_approve=terms.requester_may_approve,
            approvers={role: list(patterns) for role, patterns in approvers.items()},
            about=notebook_summary(act.notebook),
            void=void,
        )
    raise ApprovalError(act.step_id, _refusal(run.run_id, decision, void))


def _refusal(run_id: str, decision: approval.Decision, void: list[dict[str, str]]) -> str:
    noun = "approval" if decision.required == 1 else "approvals"
    lines = [f"{decision.notebook} needs {decision.required} {noun} and has {len(decision.valid)} (policy.approvals)"]
    lines += [f"  - does not count: {one['approver']}, {one['at_utc'][:19]}Z: {one['why']}" for one in void]
    short = decision.digest[:DIGEST_CHARACTERS]
    lines += [
        f"What is to be approved has digest {decision.digest}.",
        f"Look at it: `runbook approve {run_id}`. Say yes: `runbook approve {run_id} --digest {short} --reason WHY`.",
        f"Then go on: `runbook resume {run_id}`.",
    ]
    return "\n".join(lines)
