"""The run in the words of change management (ITIL, ServiceNow), so that it can be put into a ticket; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.model import Event, RunStatus
from runbook_lib.report_notebooks import (
    BACK_UP,
    CHANGE,
    CUT_OVER,
    DEPLOY,
    LOOK,
    PATCH,
    PREPARE,
    RESIZE,
    RESTORE,
    VERIFY,
)
from runbook_lib.report_work_notes import (
    close_with_issues,
    conflicts,
    describe,
    planned_times,
    review_of,
    work_notes,
)

_TICKET = re.compile(r"\b(?:CHG|CR|RFC|INC)\d{4,}\b|\b[A-Z][A-Z0-9]+-\d+\b")
_WITHOUT_RETURN = "50_retire_source"
_MODELS = (CUT_OVER, CHANGE, RESTORE, PATCH, DEPLOY, RESIZE)
"""Notebooks that say what a change is, whatever others belong to it."""
_ONLY_LOOK = frozenset({"00_inspect_source", LOOK, VERIFY})
_SUCCESSFUL = "successful"
# Source: ServiceNow change management, "Change states" and "Closure information" of normal changes
_STATES = {
    RunStatus.PLANNED: ("assess", ""),
    RunStatus.WAITING: ("authorize", ""),
    RunStatus.INTERRUPTED: ("implement", ""),
    RunStatus.FAILED: ("implement", ""),
    RunStatus.SUCCEEDED: ("review", _SUCCESSFUL),
    RunStatus.ROLLED_BACK: ("review", "backed out"),
}


def change_record(events: Sequence[Event], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a change record.

    Args:
        events: The journal, oldest first.
        report: The rest of the run's report, as `build_report`.

    Returns:
        Keys `number` (the ticket that the reason names, or ""), `type` (`standard`, `normal` with approvals,
        `emergency` with broken glass), `model` (the notebook that names such changes), `state`, `close_code`
        (`successful`, `successful with issues`, `backed out`, or "" while it is not over), `requested_by`,
        `assigned_to`, `implemented_by[]`, `approved_by[]`, `service`, `configuration_items[]`, `short_description`,
        `description`, `justification`, `implementation_plan[]`, `back_out_plan`, `test_plan[]`, `risk`, `impact`,
        `planned_start_utc` and `planned_end_utc` (the change window, or None), `actual_start_utc`, `actual_end_utc`,
        `downtime_s`, `conflicts[]`, `work_notes[]` (`at_utc`, `text`), `evidence[]`, `post_implementation_review`.
    """
    opened = [event.fields for event in events if event.kind == "run-opened"]
    notebooks = list(dict.fromkeys(one["notebook"] for one in report["notebooks"]))
    state, close_code = _STATES[RunStatus(report["status"])]
    if close_code == _SUCCESSFUL:
        close_code = close_with_issues(events, report) or close_code
    ticket = _TICKET.search(" ".join(str(fields.get("reason", "")) for fields in opened))
    asked = [event.fields["requester"]["arn"] for event in events if event.kind == "approval-request"]
    implementers = list(dict.fromkeys(str(f["operator"]) for f in opened if f.get("execute") and "operator" in f))
    return {
        "number": ticket[0] if ticket else "",
        "type": "emergency" if report["break_glass"] else "normal" if asked else "standard",
        "model": _model(notebooks),
        "state": state if close_code == "" or report["open_reviews"] else "closed",
        "close_code": close_code,
        "requested_by": asked[0] if asked else report["operator"],
        "assigned_to": implementers[0] if implementers else "",
        "implemented_by": implementers,
        "approved_by": list(dict.fromkeys(one["approver"] for one in report["approvals"] if one["state"] == "used")),
        "service": report["name"],
        "configuration_items": _items(opened[-1] if opened else {}),
        "short_description": f"{report['name']}: {', '.join(notebooks)}" if notebooks else report["name"],
        "description": describe(report),
        "justification": report["reason"],
        "implementation_plan": notebooks,
        "back_out_plan": _back_out(report),
        "test_plan": [one["id"] for one in report["steps"] if one["id"].startswith("verify-")],
        "risk": _risk(report),
        "impact": _impact(report),
        **planned_times(events),
        "actual_start_utc": report["started_utc"],
        "actual_end_utc": report["finished_utc"],
        "downtime_s": report["outage_s"],
        "conflicts": conflicts(events),
        "work_notes": work_notes(events),
        "evidence": [one["path"] for one in report["evidence"]],
        "post_implementation_review": review_of(report),
    }


def _items(opened: Mapping[str, Any]) -> list[str]:
    """Return what the run is about, each as `kind id`."""
    targets: Mapping[str, str] = opened.get("targets") or {"volume": opened.get("volume_id", "")}
    return [f"{kind} {name}" for kind, name in sorted(targets.items()) if name]


_OWN_BACK_OUT = {
    PATCH: "the same notebook with the former machine image in target.ami_id, with a short outage; no write lost",
    DEPLOY: "the same notebook with the digest of the former image in target.image, with a short outage; no write lost",
    RESIZE: "the same notebook with the former instance type, volume type, IOPS and throughput, no write lost; "
    "a volume is never made smaller again",
    CHANGE: "65 and 66 with the parameters that name the former driver, with a short outage; no write lost",
    PREPARE: "65 and 66 with the parameters that name the former driver; no write lost",
    BACK_UP: "nothing to take back: what the drill made is removed by the run itself",
    LOOK: "nothing to take back: nothing is changed",
}
"""Notebooks after the migration, which `runbook roll-back` does not take back."""


def _back_out(report: Mapping[str, Any]) -> str:
    if _restores(report):
        volume_id = (report.get("volume") or {}).get("volume_id", "VOLUME_ID")
        command = f"runbook restore {volume_id} -f runs/{report['run_id']}/next-parameters.yaml --execute"
        return f"{command}: the volume that served before, with every write it had; those since the restore are lost"
    acted = {one["notebook"] for one in report["notebooks"]}
    if CUT_OVER not in acted and (own := next((text for name, text in _OWN_BACK_OUT.items() if name in acted), "")):
        return own
    retired = any(
        one["notebook"] == _WITHOUT_RETURN and one["executed"] and one["status"] == "succeeded"
        for one in report["steps"]
    )
    if retired:
        return "none by this run: the source is retired; a backup or the rollback point, while it is kept"
    return f"runbook roll-back {report['run_id']} --execute: compose on the source, on the same volume, no write lost"


def _model(notebooks: Sequence[str]) -> str:
    named = [name for name in _MODELS if name in notebooks]
    return next(iter([*named, *(name for name in reversed(notebooks) if name not in _ONLY_LOOK)]), "")


def _impact(report: Mapping[str, Any]) -> str:
    if report["outages"]:
        return f"{report['name']} is not available while it moves; nothing else is stopped"
    return f"{report['name']} is not stopped"


def _restores(report: Mapping[str, Any]) -> bool:
    return any(one["notebook"] == RESTORE for one in report["steps"])


def _risk(report: Mapping[str, Any]) -> str:
    budget, forecast = report["outage_budget_s"], report["forecast"]
    allowed = f"an outage of at most {budget:g} s is allowed" if budget is not None else "no limit of the outage is set"
    told = f"; the rehearsal forecast {forecast['total_s']:g} s" if forecast else "; it was not rehearsed"
    if _restores(report):
        return f"{allowed}{told}; writes since the backup are lost to the service, and stay on the volume that leaves"
    migrates = not {one["notebook"] for one in report["notebooks"]} & set(_OWN_BACK_OUT)
    return f"{allowed}{told}; no way back after {_WITHOUT_RETURN}" if migrates else f"{allowed}{told}"
