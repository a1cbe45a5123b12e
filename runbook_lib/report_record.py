"""Turn a journal into the run's report as data; pure: the same journal gives the same report, in the same release."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from runbook_lib.journal import encode_event
from runbook_lib.model import SCHEMA_VERSION, Event
from runbook_lib.report_approvals import approvals_of
from runbook_lib.report_attempts import Attempt, StepRecord, attempts, step_records
from runbook_lib.report_change import change_record
from runbook_lib.report_failure import last_failure
from runbook_lib.report_outage import find_outages, seconds_between, total_outage_s
from runbook_lib.report_release import release
from runbook_lib.report_statements import statements
from runbook_lib.report_status import derive_status, find_hold, is_cut_off
from runbook_lib.report_terraform import terraform_of

_SOURCE_PHASES = ("before", "before-growth", "hot")
_CONTROL = "negative-control"  # the same comparison on an empty directory: it must find everything missing

# what a page may rely on, whatever release wrote the event
_CHECK = {"check_id": "", "passed": False, "expected": "", "observed": "", "why": "", "fix": "", "assumed": False}
_ERROR = {"kind": "", "message": "", "changed": "unknown", "exit_code": None}
_FAILURE = _ERROR | {"step_id": "", "cell_id": "", "notebook": "", "title": ""}
_MANIFEST = {"phase": "", "files": None, "bytes": None, "sha256": "", "path": "", "hashed_with": ""}
_COMPARISON: dict[str, Any] = {
    "phase": "",
    "identical": False,
    "missing": [],
    "added": [],
    "changed": [],
    "written_since_start_count": 0,
    "removed_since_start": [],
    "removed_since_start_count": 0,
}


def build_report(events: Sequence[Event], run_id: str) -> dict[str, Any]:
    """Return the report of a run.

    Args:
        events: The journal, oldest first.
        run_id: The run.

    Returns:
        JSON-able; design.md section 5 and docs/run-record.md name the keys. What never happened is None or empty.

    Changes:
        Nothing.
    """
    opened = _newest(events, "run-opened")
    executed = any(e.fields.get("execute") for e in events if e.kind == "run-opened")
    steps, runs, windows = step_records(events), attempts(events), find_outages(events)
    relevant = [step for step in steps if step.execute or not executed]
    failure = last_failure(relevant, [attempt for attempt in runs if attempt.execute or not executed])
    sentinel, hold = _newest(events, "sentinel"), find_hold(events)
    report = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "status": derive_status(events).value,
        "execute": executed,
        **_about(events, opened),
        "evidence_grade": _newest(events, "grade").get("evidence_grade", ""),
        "outage_s": total_outage_s(windows),
        "outage_budget_s": opened.get("outage_budget_s"),
        "outages": windows,
        "forecast": _newest(events, "forecast") or None,
        "budget_decision": _newest(events, "outage-budget") or None,
        "failure": _FAILURE | failure if failure else None,
        "steps": [_step(step, runs) for step in steps],
        "notebooks": [_notebook(attempt, events) for attempt in runs if "notebook" in attempt.fields],
        "data": _data(events),
        "volume": _volume(events, opened),
        "sentinel": {"path": "", "sha256": ""} | sentinel if sentinel else None,
        "terraform": terraform_of(events),
        "hold": hold.fields | {"at_utc": hold.at_utc} if hold else None,
        "changes": [e.fields | {"at_utc": e.at_utc} for e in events if e.kind == "changes"],
        "forced_detaches": [e.fields | {"at_utc": e.at_utc} for e in events if e.kind == "forced-detach"],
        "filesystem_checks": [e.fields | {"at_utc": e.at_utc} for e in events if e.kind == "filesystem-check"],
        **approvals_of(events),
        "rollback_point": _rollback_point(events),
        "api_calls": _api_calls(events),
        "host_commands": _host_commands(events),
        "evidence": _evidence(events),
    }
    report |= {"statements": statements(events, report)}
    return report | {"change": change_record(events, report)}


def _about(events: Sequence[Event], opened: dict[str, Any]) -> dict[str, Any]:
    """Return who, why, where and when, and what identifies the journal."""
    started, finished = (events[0].at_utc, events[-1].at_utc) if events else ("", "")
    reasons = [e.fields["reason"] for e in events if e.kind == "run-opened" and e.fields.get("reason")]
    return {
        "name": opened.get("name", ""),
        "operator": opened.get("operator", ""),
        "reason": reasons[-1] if reasons else "",
        "account_id": opened.get("account_id", ""),
        "region": opened.get("region", ""),
        "started_utc": started,
        "finished_utc": finished,
        "duration_s": seconds_between(started, finished),
        "parameters_sha256": opened.get("parameters_sha256", ""),
        "versions": {
            "library": opened.get("library_version", ""),
            "python": opened.get("python", ""),
            "report": release(),
        },
        "journal": {
            "events": len(events),
            "last_sha256": hashlib.sha256(encode_event(events[-1])).hexdigest() if events else "",
        },
    }


def _newest(events: Sequence[Event], kind: str, **match: Any) -> dict[str, Any]:
    """Return the fields of the newest event of a kind, {} when there is none."""
    for event in reversed(events):
        if event.kind == kind and all(event.fields.get(key) == value for key, value in match.items()):
            return event.fields
    return {}


def _step(step: StepRecord, runs: Sequence[Attempt]) -> dict[str, Any]:
    fields = step.fields
    return {
        "id": step.step_id,
        "notebook": step.notebook,
        "title": fields.get("title", ""),
        "status": "interrupted" if is_cut_off(step, runs) else step.status,
        "executed": step.execute,
        "attempts": step.attempts,
        "started_utc": step.started_utc,
        "duration_s": float(fields.get("duration_s") or 0),
        "in_outage": bool(fields.get("in_outage")),
        "plan": fields.get("plan", ""),
        "before": fields.get("before") or {},
        "after": fields.get("after") or {},
        "checks": [_CHECK | check for check in fields.get("checks") or ()],
        "error": _ERROR | fields["error"] if fields.get("error") else None,
    }


def _notebook(attempt: Attempt, events: Sequence[Event]) -> dict[str, Any]:
    fields = attempt.fields
    names = (fields["notebook"], fields.get("attempt", 1))
    cells = [e.fields for e in events if e.kind == "cell" and (e.fields["notebook"], e.fields["attempt"]) == names]
    return {
        "notebook": fields["notebook"],
        "attempt": fields.get("attempt", 1),
        "execute": attempt.execute,
        "status": attempt.status,
        "started_utc": attempt.started_utc,
        "duration_s": fields.get("duration_s"),
        "output": fields.get("output", ""),
        "repaired": bool(fields.get("repaired")),
        "cells": [{"cell_id": cell["cell_id"], "status": cell["status"]} for cell in cells],
        "error": fields.get("error"),
        "exit_code": fields.get("exit_code", 0 if attempt.status == "completed" else None),
    }


def _data(events: Sequence[Event]) -> dict[str, Any]:
    """Return the proof that the data persisted: manifests, comparisons and the verdict over all of them."""
    manifests = {e.fields["phase"]: e.fields for e in events if e.kind == "manifest"}
    comparisons = {e.fields["phase"]: e.fields for e in events if e.kind == "comparison"}
    manifests.pop(_CONTROL, None)
    control = comparisons.pop(_CONTROL, None)
    before = manifests.get("before") or manifests.get("hot") or {}
    after = manifests.get("after") or next(
        (m for phase, m in reversed(manifests.items()) if phase not in _SOURCE_PHASES), {}
    )
    verdicts = [bool(c.get("identical")) for c in comparisons.values()]
    return {
        "files": before.get("files"),
        "bytes": before.get("bytes"),
        "manifest_before": before.get("sha256", ""),
        "manifest_after": after.get("sha256", ""),
        "identical": all(verdicts) if verdicts else None,
        "manifests": [_MANIFEST | fields for fields in manifests.values()],
        "comparisons": [_COMPARISON | fields for fields in comparisons.values()],
        "negative_control": _COMPARISON | control if control else None,
    }


def _volume(events: Sequence[Event], opened: dict[str, Any]) -> dict[str, Any]:
    seen = _newest(events, "volume")
    return {
        "volume_id": seen.get("volume_id") or opened.get("volume_id", ""),
        "filesystem_uuid": seen.get("filesystem_uuid", ""),
        "filesystem_type": seen.get("filesystem_type", ""),
    }


def _rollback_point(events: Sequence[Event]) -> dict[str, Any]:
    """Return the newest rollback point of the cutover, else the hot one; its `kind` is `volume` or `snapshot`."""
    points = [e for e in events if e.kind == "rollback-point"]
    cutover = [e for e in points if e.fields.get("point") == "rollback"]
    if not points:
        return {"kind": "", "id": "", "status": "", "point": "", "at_utc": ""}
    newest = (cutover or points)[-1]
    names = {"kind": "type", "id": "id", "status": "status", "point": "point"}
    return {key: newest.fields.get(name, "") for key, name in names.items()} | {"at_utc": newest.at_utc}


def _api_calls(events: Sequence[Event]) -> dict[str, Any]:
    """Return how many calls that may change something were made, by operation and outcome."""
    calls = [e.fields for e in events if e.kind == "api-call"]
    counted = Counter(
        (str(c.get("service", "")), str(c.get("operation", "")), str(c.get("outcome", ""))) for c in calls
    )
    rows = [{"service": s, "operation": o, "outcome": r, "count": n} for (s, o, r), n in sorted(counted.items())]
    return {"total": len(calls), "by_operation": rows}


def _host_commands(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return every script that ran on a host, summed up by script and host."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for fields in (e.fields for e in events if e.kind == "host-command"):
        key = (str(fields.get("script", "")), str(fields.get("instance_id", "")), str(fields.get("sha256", "")))
        row = groups.setdefault(
            key, {"script": key[0], "instance_id": key[1], "sha256": key[2], "runs": 0, "failed": 0, "duration_s": 0.0}
        )
        row["runs"] += 1
        row["failed"] += fields.get("exit_code") != 0
        row["duration_s"] = round(row["duration_s"] + float(fields.get("duration_s") or 0), 3)
    return [groups[key] for key in sorted(groups)]


def _evidence(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the last digest of every evidence file, by path."""
    newest = {str(e.fields.get("path", "")): e.fields for e in events if e.kind == "evidence"}
    return [{"path": path, "sha256": newest[path].get("sha256", "")} for path in sorted(newest)]
