"""Whether a change may be made: who approved it, which approvals count, and which broken glass is to be reviewed.

Pure: a journal's events in, a decision out. It asks nobody and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from runbook_lib.approval_digest import digest_of, find_changed
from runbook_lib.model import Event

ROLL_BACK = "90_roll_back"
ANY_ROLE = "approver"
"""Role of who approves where the policy names no roles and nobody said another."""


@dataclass(frozen=True)
class Terms:
    """What the policy demands.

    Args:
        required: How many different people must approve.
        requester_may_approve: Whether who asked may be one of them.
    """

    required: int
    requester_may_approve: bool = False


@dataclass(frozen=True)
class Decision:
    """Which approvals of a change there are, and which of them count.

    Args:
        notebook: What is to be run.
        parts: What must have been approved, as `find_parts`.
        required: How many approvals are needed.
        valid: The approvals that count, one per approver, oldest first.
        void: Approvals that do not count, each with the reason.
    """

    notebook: str
    parts: Mapping[str, str]
    required: int
    valid: tuple[Event, ...]
    void: tuple[tuple[Event, str], ...]

    @property
    def digest(self) -> str:
        """What must have been approved, as one digest."""
        return digest_of(self.parts)

    @property
    def missing(self) -> int:
        """How many approvals are still needed."""
        return max(0, self.required - len(self.valid))


def strictest(terms: Terms, events: Sequence[Event], notebook: str) -> Terms:
    """Return the stricter of a policy and of what the run has asked for already: other parameters take nothing back.

    Args:
        terms: What the policy demands now.
        events: The journal, oldest first.
        notebook: The notebook.

    Returns:
        The terms.
    """
    asked = [e.fields for e in events if e.kind == "approval-request" and e.fields["notebook"] == notebook]
    required = max((int(fields["required"]) for fields in asked), default=0)
    may = terms.requester_may_approve and all(fields["requester_may_approve"] for fields in asked)
    return Terms(max(terms.required, required), may)


def decide(events: Sequence[Event], parts: Mapping[str, str], terms: Terms, now: datetime) -> Decision:
    """Return whether a change is approved.

    An approval counts when it covers the change as it is now, has not expired, and was not given by who asked for it.
    While an outage that began under an approval lasts, time does not end that approval: the service is down, and going
    on is as urgent as going back. A way back ends every approval before it.

    Args:
        events: The journal, oldest first.
        parts: As `find_parts`.
        terms: What the policy demands.
        now: The present time.

    Returns:
        The decision.
    """
    notebook = parts["notebook"]
    since = _went_back(events)
    valid: dict[str, Event] = {}
    void: list[tuple[Event, str]] = []
    for event in events:
        if event.kind != "approval" or event.fields.get("notebook") != notebook or event.seq < since:
            continue
        why = _why_void(event, events, parts, now) or _why_not_theirs(event, events, terms)
        if why:
            void.append((event, why))
        else:
            valid.setdefault(event.fields["approver"], event)
    return Decision(notebook, parts, terms.required, tuple(valid.values()), tuple(void))


def _why_void(approval: Event, events: Sequence[Event], parts: Mapping[str, str], now: datetime) -> str:
    """Return why an approval does not count, "" when it does."""
    changed = find_changed(approval.fields["parts"], parts)
    if changed:
        return "; ".join(changed)
    expires = approval.fields["expires_utc"]
    if datetime.fromisoformat(expires) > now or _is_down_under(approval, events):
        return ""
    return f"expired {expires[:19]}Z"


def _why_not_theirs(approval: Event, events: Sequence[Event], terms: Terms) -> str:
    """Return why somebody could not give an approval, "" when they could."""
    requester = requester_of(events, approval.fields["parts"])
    if not requester:
        return "nobody had asked for it"
    if approval.fields["approver"] == requester and not terms.requester_may_approve:
        return "given by who asked for it (policy.approvals.requester_may_approve is false)"
    return ""


def _is_down_under(approval: Event, events: Sequence[Event]) -> bool:
    """Return whether the service is down in an outage that began after an approval was used."""
    outage = next((event for event in reversed(events) if event.kind == "outage"), None)
    if outage is None or outage.fields.get("phase") != "started":
        return False
    used = [event for event in events if event.kind == "approval-used" and approval.seq in event.fields["approvals"]]
    return any(event.seq < outage.seq for event in used)


def find_request(events: Sequence[Event]) -> Event | None:
    """Return what the run waits for.

    Args:
        events: The journal, oldest first.

    Returns:
        The newest `approval-request`, or None when there is none, or the run has gone on or back since.
    """
    for event in reversed(events):
        if event.kind == "approval-request":
            return event
        if event.kind in {"approval-used", "break-glass"} and event.fields.get("phase") != "requested":
            return None
        if event.kind == "step" and event.fields.get("notebook") == ROLL_BACK and _acted(event):
            return None
    return None


def requester_of(events: Sequence[Event], parts: Mapping[str, str]) -> str:
    """Return who asked first for exactly this, since the run last went back.

    Args:
        events: The journal, oldest first.
        parts: As `find_parts`.

    Returns:
        The identity's ARN, "" when nobody asked.
    """
    since, digest = _went_back(events), digest_of(parts)
    asked = (e for e in events if e.kind == "approval-request" and e.seq > since and e.fields["digest"] == digest)
    first = next(asked, None)
    return "" if first is None else str(first.fields["requester"]["arn"])


def open_reviews(events: Sequence[Event]) -> list[Event]:
    """Return every break-glass act that nobody has reviewed.

    Args:
        events: The journal, oldest first.

    Returns:
        `break-glass` events, oldest first.
    """
    closed = {seq for event in events if event.kind == "review" for seq in event.fields["closes"]}
    used = (e for e in events if e.kind == "break-glass" and e.fields["phase"] == "used")
    return [event for event in used if event.seq not in closed]


def find_role(arn: str, account_id: str, approvers: Mapping[str, Sequence[str]], *, own: str, wanted: str = "") -> str:
    """Return the role in which somebody may approve.

    Args:
        arn: Who, as STS says.
        account_id: The account of that identity.
        approvers: ARN patterns by role, as `policy.approvals.approvers`; empty allows everybody of the own account.
        own: The account of the migration.
        wanted: The role that was asked for, or "".

    Returns:
        The role.

    Raises:
        ValueError: when there is none; says why.
    """
    if not approvers:
        if account_id != own:
            raise ValueError(f"{arn} is of account {account_id}; policy.approvals.approvers names nobody outside {own}")
        return wanted or ANY_ROLE
    may = [role for role, patterns in approvers.items() if any(fnmatchcase(arn, pattern) for pattern in patterns)]
    if wanted and wanted not in may:
        known = f"policy.approvals.approvers lets it approve as {', '.join(may) or 'nobody'}"
        raise ValueError(f"{arn} is no {wanted}: {known}")
    if not may:
        raise ValueError(f"{arn} fits nobody in policy.approvals.approvers ({', '.join(approvers)})")
    if len(may) > 1 and not wanted:
        raise ValueError(f"{arn} may approve as {' or '.join(may)}; say which with --role")
    return wanted or may[0]


def as_json(event: Event) -> dict[str, Any]:
    """Return an event's fields with its number and time."""
    return event.fields | {"seq": event.seq, "at_utc": event.at_utc}


def _went_back(events: Sequence[Event]) -> int:
    """Return the number of the newest act of a way back, 0 when there was none."""
    back = (e.seq for e in events if e.kind == "step" and e.fields.get("notebook") == ROLL_BACK and _acted(e))
    return max(back, default=0)


def _acted(event: Event) -> bool:
    return event.fields.get("status") in {"running", "succeeded"}
