"""Saying yes to a change, and reviewing one that was made without a yes. Writes both into the run's journal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

from runbook_lib import approval
from runbook_lib.approval_digest import PLAN, find_changed, find_parts
from runbook_lib.errors import JournalError, ParameterError
from runbook_lib.journal import Journal
from runbook_lib.model import Event
from runbook_lib.parameters import Parameters
from runbook_lib.report import write_report
from runbook_lib.report_approvals import page_path
from runbook_lib.run_approval import terms_of
from runbook_lib.run_folder import operator

_SHORTEST_DIGEST = 8


def find_waiting(journal: Journal) -> Event:
    """Return what a run waits for, as it was asked for and still is.

    Args:
        journal: The run's journal.

    Returns:
        The `approval-request`.

    Raises:
        JournalError: when the run waits for nothing, or what it would do has changed since.
    """
    events = journal.events()
    request = approval.find_request(events)
    if request is None:
        raise JournalError(f"run {journal.run_id} waits for no approval; nothing was changed")
    asked = request.fields["parts"]
    changed = find_changed(asked, find_parts(events, request.fields["notebook"], asked[PLAN]))
    if hashlib.sha256(journal.read("parameters.yaml")).hexdigest() != asked["parameters"]:
        changed.append("parameters.yaml: altered since")
    if changed:
        raise JournalError(
            f"run {journal.run_id} is not what the approval was asked for: {'; '.join(changed)}. Nothing was changed. "
            f"`runbook resume {journal.run_id}` asks for what it is now"
        )
    return request


def approve(
    journal: Journal,
    parameters: Parameters,
    who: Mapping[str, str],
    *,
    reason: str,
    digest: str = "",
    role: str = "",
    valid_for_s: float | None = None,
) -> tuple[Event, approval.Decision]:
    """Note that somebody approves what a run waits for.

    Args:
        journal: The run's journal.
        parameters: The run's own parameters.
        who: As `Aws.caller`, of whoever approves.
        reason: Why it is right.
        digest: Digest of what was looked at, or its beginning; "" approves what the run waits for.
        role: The role in which they approve; "" for the only one that they have.
        valid_for_s: How long it counts; None for as long as the policy allows.

    Returns:
        The approval, and what is missing now. Who has approved the same already gets the former approval back.

    Raises:
        ParameterError: when no reason is given, or the approval is to be valid for too long.
        JournalError: when the run waits for nothing or for something else, or they may not approve it.

    Changes:
        An `approval` event, the report and the seal.
    """
    for_s = _valid_for_s(parameters, reason, valid_for_s)
    request = find_waiting(journal)
    _refuse_another_digest(request, digest)
    parts = request.fields["parts"]
    terms = terms_of(parameters, journal.events(), parts["notebook"])
    author = approval.requester_of(journal.events(), parts)
    own_role = _role_of(parameters, who, author, terms, role)
    decision = approval.decide(journal.events(), parts, terms, journal.now())
    if given := [event for event in decision.valid if event.fields["approver"] == who["arn"]]:
        return given[0], decision
    write_report(journal)  # the page that is approved is there, as it is
    page = page_path(approval.as_json(request))
    event = journal.append(
        "approval",
        notebook=request.fields["notebook"],
        digest=request.fields["digest"],
        parts=parts,
        approver=who["arn"],
        account_id=who["account_id"],
        request_id=who["request_id"],
        operator=operator(),
        role=own_role,
        reason=reason,
        expires_utc=(journal.now() + timedelta(seconds=for_s)).isoformat(timespec="seconds"),
        page=page,
        page_sha256=hashlib.sha256(journal.read(page)).hexdigest(),
    )
    write_report(journal)
    return event, approval.decide(journal.events(), parts, terms, journal.now())


def _valid_for_s(parameters: Parameters, reason: str, wanted_s: float | None) -> float:
    """Return how long an approval counts; refuse one without a reason, or for longer than the policy allows."""
    longest_s = float(parameters.policy.approvals.valid_for_s)
    for_s = longest_s if wanted_s is None else wanted_s
    problems = [] if reason.strip() else ["--reason: expected why it is right, got nothing"]
    if not 0 < for_s <= longest_s:
        problems.append(f"--valid-for: expected more than 0 and at most {longest_s / 3600:g} hours (policy.approvals)")
    if problems:
        raise ParameterError(problems)
    return for_s


def review(journal: Journal, parameters: Parameters, who: Mapping[str, str], *, reason: str) -> list[Event]:
    """Note that somebody looked at what was done without an approval.

    Args:
        journal: The run's journal.
        parameters: The run's own parameters.
        who: As `Aws.caller`, of whoever reviews.
        reason: What was found.

    Returns:
        The `break-glass` events that are reviewed by this.

    Raises:
        ParameterError: when no reason is given.
        JournalError: when there is nothing to review, or they may not review it.

    Changes:
        A `review` event, the report and the seal.
    """
    if not reason.strip():
        raise ParameterError(["--reason: expected what the review found, got nothing"])
    found = approval.open_reviews(journal.events())
    if not found:
        raise JournalError(f"run {journal.run_id} has nothing to review; nothing was changed")
    terms = approval.Terms(1, parameters.policy.approvals.requester_may_approve)
    for event in found:
        role = _role_of(parameters, who, event.fields["identity"]["arn"], terms, "")
    journal.append(
        "review",
        closes=[event.seq for event in found],
        reviewer=who["arn"],
        account_id=who["account_id"],
        request_id=who["request_id"],
        operator=operator(),
        role=role,
        reason=reason,
    )
    write_report(journal)
    return found


def _refuse_another_digest(request: Event, digest: str) -> None:
    """Refuse to approve something else than what was looked at."""
    wanted = digest.strip().lower().removesuffix("…")
    if not wanted:
        return
    if len(wanted) < _SHORTEST_DIGEST:
        raise ParameterError([f"--digest: expected {_SHORTEST_DIGEST} characters or more, got {digest!r}"])
    if not request.fields["digest"].startswith(wanted):
        raise JournalError(
            f"the run waits with digest {request.fields['digest']}, not {digest}: what was looked at is not what would "
            "be done now. Nothing was approved. Look at it again"
        )


def _role_of(
    parameters: Parameters,
    who: Mapping[str, str],
    author: str,
    terms: approval.Terms,
    wanted: str,
) -> str:
    """Return the role of whoever says yes; refuse who would say yes to themselves."""
    if who["arn"] == author and not terms.requester_may_approve:
        raise JournalError(
            f"{who['arn']} asked for this itself, and policy.approvals.requester_may_approve is false; nothing was "
            f"changed. Somebody else does it, with credentials of their own: --profile NAME"
        )
    approvers, own = parameters.policy.approvals.approvers, parameters.aws.account_id
    try:
        return approval.find_role(who["arn"], who["account_id"], approvers, own=own, wanted=wanted)
    except ValueError as error:
        raise JournalError(f"not allowed: {error}. Nothing was changed") from error
