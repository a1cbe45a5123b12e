"""What a report says of Terraform: what was planned and applied, resource by resource, and every command; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runbook_lib.model import Event

_COUNTS = ("add", "change", "destroy", "imported")


def terraform_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return what Terraform did in a run.

    Args:
        events: The journal, oldest first.

    Returns:
        The numbers of what was applied, or of the last plan when nothing was; `changes[]`, each with `address`,
        `actions[]` and the `step_id` that applied it, or would; `commands[]`.
    """
    commands = [e.fields | {"at_utc": e.at_utc} for e in events if e.kind == "terraform"]
    counted = [c for c in commands if c.get("action") == "apply"] or [c for c in commands if c.get("action") == "plan"]
    total = {key: sum(int(c.get(key) or 0) for c in counted) for key in _COUNTS}
    applied = bool(counted) and counted[-1]["action"] == "apply"
    last = counted[-1] if counted else {}
    counts = total if applied else {key: int(last.get(key) or 0) for key in total}
    return counts | {
        "applied": applied,
        "plan_sha256": last.get("plan_sha256", ""),
        "duration_s": round(sum(float(c.get("duration_s") or 0) for c in commands), 3),
        "changes": _changes(events, applied=applied),
        "commands": commands,
    }


def _changes(events: Sequence[Event], *, applied: bool) -> list[dict[str, Any]]:
    """Return the resources of every plan whose apply was begun; when there was none, of the last one that was made."""
    planned: list[dict[str, Any]] = []
    begun: list[dict[str, Any]] = []
    for event in events:
        before = event.fields.get("before") or {}
        if event.kind != "step" or "plan_sha256" not in before or not isinstance(before.get("changes"), list):
            continue
        step_id = str(event.fields["step_id"])
        planned = [
            {"address": str(one["address"]), "actions": list(one["actions"]), "step_id": step_id}
            for one in before["changes"]
        ]
        if event.fields.get("status") == "running":
            begun += planned
    return begun if applied else planned
