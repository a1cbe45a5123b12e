"""What a report says of approvals: what is asked for, who said yes, whose glass was broken; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from runbook_lib import approval
from runbook_lib.approval_digest import find_changed
from runbook_lib.model import Event

_IN_NAME = 12


def approvals_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return the keys of a report that are about approvals.

    Args:
        events: The journal, oldest first.

    Returns:
        Keys `approvals` (each with `state`), `approval_request` (what the run waits for, or None), `break_glass` (acts
        without an approval, each with its `review` or None), `open_reviews` (how many are not reviewed).
    """
    request = approval.find_request(events)
    return {
        "approvals": [approval.as_json(e) | {"state": _state(e, events)} for e in events if e.kind == "approval"],
        "approval_request": _request(request, events) if request is not None else None,
        "break_glass": _broken(events),
        "open_reviews": len(approval.open_reviews(events)),
    }


def page_path(request: dict[str, Any]) -> str:
    """Return where the page lies on which a request is shown to whoever approves.

    Args:
        request: As `as_json` of an `approval-request`.

    Returns:
        Path below the run folder; another request has another page, also for the same digest.
    """
    return f"approvals/{request['notebook']}-{request['digest'][:_IN_NAME]}-{request['seq']}.html"


def _state(event: Event, events: Sequence[Event]) -> str:
    """Return `used`, `void: …` or `given`."""
    if any(e.kind == "approval-used" and event.seq in e.fields["approvals"] for e in events):
        return "used"
    notebook = event.fields["notebook"]
    asked = [e for e in events if e.kind == "approval-request" and e.fields["notebook"] == notebook]
    changed = find_changed(event.fields["parts"], asked[-1].fields["parts"]) if asked else []
    return f"void: {'; '.join(changed)}" if changed else "given"


def _request(request: Event, events: Sequence[Event]) -> dict[str, Any]:
    """Return what the run waits for, with what is known of every step of that notebook."""
    fields = request.fields
    terms = approval.Terms(fields["required"], fields["requester_may_approve"])
    decision = approval.decide(events, fields["parts"], terms, datetime.fromisoformat(events[-1].at_utc))
    steps = _steps(fields["notebook"], events)
    return approval.as_json(request) | {
        "given": len(decision.valid),
        "missing": decision.missing,
        "page": page_path(approval.as_json(request)),
        "steps": steps,
        "deletes": sum("delete" in change["actions"] for step in steps for change in step["changes"]),
    }


def _steps(notebook: str, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the newest plan of each step of a notebook, in order; a step that was never planned is not there."""
    found: dict[str, dict[str, Any]] = {}
    for fields in (e.fields for e in events if e.kind == "step" and e.fields.get("notebook") == notebook):
        known = found.setdefault(fields["step_id"], {})
        before = fields.get("before") or {}
        changes = before.get("changes")
        known |= {
            "id": fields["step_id"],
            "title": fields.get("title", ""),
            "status": fields.get("status", ""),
            "plan": fields.get("plan") or known.get("plan", ""),
            "in_outage": bool(fields.get("in_outage")),
            "checks": list(fields.get("checks") or ()),
            "changes": list(changes) if isinstance(changes, list) and "plan_sha256" in before else [],
        }
    return list(found.values())


def _broken(events: Sequence[Event]) -> list[dict[str, Any]]:
    reviews = [approval.as_json(event) for event in events if event.kind == "review"]
    used = [event for event in events if event.kind == "break-glass" and event.fields["phase"] == "used"]
    return [
        approval.as_json(event)
        | {"review": next((review for review in reviews if event.seq in review["closes"]), None)}
        for event in used
    ]
