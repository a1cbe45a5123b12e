"""The parts of a change record that tell a story: description, work notes, conflicts, review, issues; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runbook_lib import report_words as words
from runbook_lib.model import Event

_WAITED = 6
"""Exit code of a notebook that stopped for an approval, which is no issue."""
_WITH_ISSUES = "successful with issues"

Fields = Mapping[str, Any]


def describe(report: Mapping[str, Any]) -> str:
    """Return what the change is, in one or two sentences.

    Args:
        report: As `build_report`, without its change record.
    """
    verdict = words.headline(report)
    return f"{report['name']}, volume {report['volume']['volume_id'] or 'unknown'}: {verdict.word} {verdict.text}"


def planned_times(events: Sequence[Event]) -> dict[str, str | None]:
    """Return the change window that the run kept to.

    Args:
        events: The journal, oldest first.

    Returns:
        Keys `planned_start_utc`, `planned_end_utc`; None where the policy names no window.
    """
    windows = [(event.fields.get("before") or {}).get("change_window") for event in events if event.kind == "step"]
    newest: Fields = next((window for window in reversed(windows) if window), {})
    return {"planned_start_utc": newest.get("opens_utc"), "planned_end_utc": newest.get("closes_utc")}


def conflicts(events: Sequence[Event]) -> list[str]:
    """Return what stood against the change: a window that was not open, a volume that somebody else held.

    Args:
        events: The journal, oldest first.

    Returns:
        Sentences, oldest first.
    """
    found = []
    for event in events:
        if event.kind == "step" and event.fields.get("status") == "failed":
            failed = [check for check in event.fields.get("checks") or () if not check.get("passed")]
            refused = [check for check in failed if check.get("check_id") == "change-window"]
            found += [
                f"outside the change window: expected {one['expected']}, was {one['observed']}" for one in refused
            ]
        previous = event.fields.get("previous") if event.kind == "lease" else None
        if previous and event.fields.get("phase") == "taken-over":
            found.append(f"the volume was taken over from run {previous['run_id']}, whose process was gone")
    return list(dict.fromkeys(found))


def review_of(report: Mapping[str, Any]) -> str:
    """Return what the review after the change found, or what it is still to look at.

    Args:
        report: As `build_report`, without its change record.
    """
    if report["open_reviews"]:
        return f"to be done: {words.count(report['open_reviews'], 'act')} without an approval"
    reviews = [broken["review"] for broken in report["break_glass"]]
    said = [f"{one['reviewer']}, {words.utc(one['at_utc'])}: {one['reason']}" for one in reviews]
    return "; ".join(dict.fromkeys(said))


def close_with_issues(events: Sequence[Event], report: Mapping[str, Any]) -> str:
    """Return the close code of a change that succeeded, but not without trouble; "" when there was none.

    Args:
        events: The journal, oldest first.
        report: As `build_report`, without its change record.
    """
    ended = [event.fields for event in events if event.kind == "notebook-finished"]
    stumbled = any(one["status"] != "completed" and one.get("exit_code") != _WAITED for one in ended)
    budget_s, outage_s = report["outage_budget_s"], report["outage_s"]
    late = budget_s is not None and outage_s is not None and outage_s > budget_s
    trouble = stumbled or late or report["data"]["identical"] is False or report["forced_detaches"]
    return _WITH_ISSUES if trouble else ""


def work_notes(events: Sequence[Event]) -> list[dict[str, str]]:
    """Return what happened, for people, oldest first.

    Args:
        events: The journal, oldest first.

    Returns:
        Keys `at_utc` and `text` each.
    """
    return [{"at_utc": event.at_utc, "text": text} for event in events for text in _notes(event)]


def _notes(event: Event) -> Iterator[str]:
    tell = _TOLD.get(event.kind)
    text = tell(event.fields) if tell else ""
    if text:
        yield text


def _finished(fields: Fields) -> str:
    error = (fields.get("error") or {}).get("message", "")
    first = str(error).splitlines()[0] if error else ""
    found_out = ", as was found out later" if fields.get("repaired") else ""
    ended = f"{fields['notebook']}, attempt {fields['attempt']}: {fields['status']}{found_out}"
    return f"{ended}: {first}" if first else ended


def _outage(fields: Fields) -> str:
    if fields.get("phase") == "started":
        return "The service was stopped."
    return f"The service answers again, after {words.seconds(fields.get('outage_s'))}."


def _glass(fields: Fields) -> str:
    if fields.get("phase") != "used":
        return ""
    return f"{fields['identity']['arn']} acted in {fields['notebook']} without an approval: {fields['reason']}"


def _hold(fields: Fields) -> str:
    asked = fields.get("phase") == "requested"
    return f"The cutover was {'asked to hold' if asked else 'released'} by {fields.get('operator', '')}."


_TOLD: dict[str, Callable[[Fields], str]] = {
    "notebook-finished": _finished,
    "outage": _outage,
    "approval-request": lambda f: f"An approval of {f['notebook']} was asked for by {f['requester']['arn']}.",
    "approval": lambda f: f"{f['approver']} approved {f['notebook']} as {f['role']}: {f['reason']}",
    "break-glass": _glass,
    "review": lambda f: f"{f['reviewer']} reviewed what was done without an approval: {f['reason']}",
    "changes": lambda f: (
        f"Went on although {', '.join(c['what'] for c in f['changes'])} changed: {f.get('reason', '')}"
    ),
    "hold": _hold,
    "panic": lambda f: f"{f['operator']} gave the change up: {f.get('reason') or 'no reason was given'}",
    "forced-detach": lambda f: f"{f['operator']} tore {f['volume_id']} from {f['instance_id']}: {f['reason']}",
    "outage-budget": lambda f: f"The outage budget was used up: {f.get('decision') or f.get('phase', '')}",
}
