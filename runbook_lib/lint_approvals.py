"""Rules about people: what the policy wants approved was approved before, and broken glass was reviewed; pure.

Whether an approval counted at the time (digest, expiry, who) is what the run itself decided before it acted; here the
record must show that it did: who approved is named before the first act, by approvals that stand in the journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.approval import open_reviews
from runbook_lib.lint_events import acts, where
from runbook_lib.lint_finding import Finding
from runbook_lib.model import Event
from runbook_lib.parameters_yaml import read_yaml
from runbook_lib.report_notebooks import ADOPT, CHANGE, CUT_OVER, PREPARE, RETIRE

_GATED = ("10_provision_target", CUT_OVER, ADOPT, RETIRE, PREPARE, CHANGE)
"""What needs approvals when the policy names no notebooks."""


@dataclass(frozen=True)
class Policy:
    """How many approvals a record must show.

    Args:
        required: How many different people; 0 for none.
        notebooks: Of which notebooks.
    """

    required: int = 0
    notebooks: tuple[str, ...] = _GATED


def read_policy(text: str) -> Policy:
    """Return which approvals the parameters of a run want.

    Args:
        text: Its parameters.yaml, of this release or of an older one.

    Returns:
        The policy; nothing is required where the parameters say nothing.
    """
    data: Any = read_yaml(text, "parameters.yaml").data
    for key in ("migration", "policy", "approvals"):
        data = data.get(key) if isinstance(data, Mapping) else None
    if isinstance(data, int):
        return Policy(required=int(data))
    if not isinstance(data, Mapping):
        return Policy()
    return Policy(int(data.get("required") or 0), tuple(data.get("notebooks") or _GATED))


def unapproved(events: Sequence[Event], policy: Policy) -> Iterator[Finding]:
    """Find each notebook that acted without the approvals that the policy wants.

    Args:
        events: The journal, oldest first.
        policy: What it wants.

    Yields:
        Findings; none for an act behind broken glass, which is a matter of its review.
    """
    for notebook in policy.notebooks if policy.required else ():
        begun = acts(events, notebook=notebook)
        if not begun:
            continue
        before = [event for event in events if event.seq < begun[0].seq]
        glass = any(_is_of(event, "break-glass", notebook) and event.fields.get("phase") == "used" for event in before)
        people = _approvers(before, notebook)
        if len(people) < policy.required and not glass:
            yield Finding(
                rule="approval",
                what=f"{notebook} acted with {len(people)} of the {policy.required} approvals that the policy wants",
                where=where(begun[0]),
                fix="An approval cannot be given afterwards: have the change reviewed as one without it, and find "
                "out how the run got past the gate (another release, an edited parameters file).",
            )


def _approvers(before: Sequence[Event], notebook: str) -> set[str]:
    """Return who approved a notebook, by the approvals that the run said it used."""
    used = {seq for e in before if _is_of(e, "approval-used", notebook) for seq in e.fields.get("approvals", ())}
    return {str(e.fields.get("approver")) for e in before if _is_of(e, "approval", notebook) and e.seq in used}


def _is_of(event: Event, kind: str, notebook: str) -> bool:
    return event.kind == kind and event.fields.get("notebook") == notebook


def unreviewed(events: Sequence[Event], run_id: str) -> Iterator[Finding]:
    """Find broken glass that nobody has reviewed.

    Args:
        events: The journal, oldest first.
        run_id: The run.

    Yields:
        One finding per open review item.
    """
    for event in open_reviews(events):
        yield Finding(
            rule="review",
            what=f"{event.fields.get('notebook', '')} acted without approvals (break-glass), and nobody reviewed that",
            where=where(event),
            fix=f'Look at what was done and why, then close it: `runbook review {run_id} --reason "…"`.',
        )
