"""What each statement of a report rests on: who saw it, how good that is, and where it stands in the journal; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runbook_lib import report_words as words
from runbook_lib.model import Event

STATED, DERIVED = "stated", "derived"
"""Grade of what a person said and nobody checked, and of what follows from the journal alone."""

Rows = Iterator[dict[str, Any]]
_MANIFESTS = "manifests that scripts read on the hosts, entry by entry"
_CALLER = "AWS's answer to GetCallerIdentity, whose request CloudTrail has"


def statements(events: Sequence[Event], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a report says, each with what it rests on.

    Args:
        events: The journal, oldest first.
        report: The rest of the run's report, as `build_report`.

    Returns:
        Keys `statement`, `grade` (the run's evidence grade, `stated`, `derived`, or "" where no host was looked at),
        `rests_on`, and `lines[]`: the lines of the journal that say it.
    """
    parts = (_service, _data, _volume, _rollback_point, _terraform, _approvals, _calls, _people)
    return [row for part in parts for row in part(events, report)]


def _row(statement: str, grade: str, rests_on: str, found: Sequence[Event]) -> dict[str, Any]:
    return {"statement": statement, "grade": grade, "rests_on": rests_on, "lines": [event.seq for event in found]}


def _find(events: Sequence[Event], kind: str, wanted: Callable[[Mapping[str, Any]], bool] | None = None) -> list[Event]:
    return [event for event in events if event.kind == kind and (wanted is None or wanted(event.fields))]


def _service(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    found, grade = _find(events, "outage"), report["evidence_grade"]
    if not found:
        yield _row("No step of this run stopped the service.", DERIVED, "no outage in the journal", [])
    elif not report["outages"][-1]["ended_utc"]:
        since = words.utc(report["outages"][-1]["started_utc"])
        yield _row(f"The service has not answered since {since}.", grade, "a probe from outside", found)
    else:
        text = f"The service was unavailable for {words.seconds(report['outage_s'])}."
        yield _row(text, grade, "a probe from outside: last good answer before, first one after", found)
    if forecast := _find(events, "forecast"):
        text = f"An outage of {words.seconds(report['forecast']['total_s'])} was forecast."
        yield _row(text, grade, "what the rehearsal measured on a copy", forecast[-1:])


def _data(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    data, grade = report["data"], report["evidence_grade"]
    if data["files"] is None:
        return
    manifests = _find(events, "manifest", lambda fields: fields.get("phase") != "negative-control")
    compared = _find(events, "comparison", lambda fields: fields.get("phase") != "negative-control")
    what = f"{words.count(data['files'], 'file')}, {words.size(data['bytes'])}"
    if compared:
        verdict = "identical before and after" if data["identical"] else "NOT identical afterwards"
        yield _row(f"The data: {what}, {verdict}.", grade, _MANIFESTS, [*manifests, *compared])
    else:
        yield _row(f"The data: {what}; not compared.", grade, _MANIFESTS, manifests)
    if before_start := _find(events, "before-start"):
        text = "Nobody had written to it when the application was started on its next host."
        yield _row(text, grade, "metadata of every entry and a sample of contents, read on that host", before_start)
    if control := _find(events, "comparison", lambda fields: fields.get("phase") == "negative-control"):
        verdict = "cannot fail: it proves nothing" if control[-1].fields.get("identical") else "can fail"
        yield _row(f"The comparison {verdict}.", grade, "the same comparison with an empty directory", control[-1:])


def _volume(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    if found := _find(events, "volume"):
        seen = report["volume"]
        text = f"The volume is {seen['volume_id']}, its filesystem {seen['filesystem_uuid'] or 'unknown'}."
        yield _row(text, report["evidence_grade"], "EC2's answers, and what the host shows of the device", found)
    for event in _find(events, "forced-detach"):
        text = f"{event.fields['volume_id']} was torn from an instance that was {event.fields['instance_state']}."
        yield _row(text, report["evidence_grade"], "EC2's answers", [event])


def _rollback_point(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    point, grade = report["rollback_point"], report["evidence_grade"]
    if point["id"]:
        when = "after unmount" if point["point"] == "rollback" else "while the service ran"
        found = _find(events, "rollback-point", lambda fields: fields.get("id") == point["id"])
        yield _row(f"{point['kind'].capitalize()} {point['id']} was taken {when}.", grade, "EC2's answers", found)
    if proofs := _find(events, "copy-proof"):
        fields = proofs[-1].fields
        differs = "is NOT what the manifest says" if fields.get("difference") else "is, byte for byte, what was stopped"
        text = f"The rollback copy {'was not proved' if fields.get('reason') else differs}."
        yield _row(text, grade, fields.get("reason") or "every file of the copy, hashed on a host", proofs[-1:])


def _terraform(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    done = report["terraform"]
    if not done["commands"]:
        return
    action = "apply" if done["applied"] else "plan"
    counts = f"{done['add']} added, {done['change']} changed, {done['destroy']} destroyed, {done['imported']} imported"
    text = f"Terraform {'applied' if done['applied'] else 'planned, and did not apply'}: {counts}."
    found = _find(events, "terraform", lambda fields: fields.get("action") == action)
    yield _row(text, report["evidence_grade"], "Terraform's plan as JSON, and the end of its apply", found)


def _approvals(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    for one in report["approvals"]:
        if one["state"] == "used":
            found = _find(events, "approval-used", lambda fields, seq=one["seq"]: seq in fields["approvals"])  # type: ignore[misc]
            given = [event for event in events if event.seq == one["seq"]]
            text = f"{one['approver']} approved {one['notebook']} as {one['role']}."
            yield _row(text, report["evidence_grade"], _CALLER, [*given, *found])
    for broken in report["break_glass"]:
        text = f"{broken['identity']['arn']} acted in {broken['notebook']} without the approval that the policy wants."
        yield _row(text, report["evidence_grade"], _CALLER, [e for e in events if e.seq == broken["seq"]])


def _calls(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    if calls := _find(events, "api-call"):
        text = f"Made to AWS: {words.count(len(calls), 'call')} that may change something."
        rests_on = "botocore's own events, with request ids; runbook reconcile compares them with CloudTrail"
        yield _row(text, report["evidence_grade"], rests_on, calls)


def _people(events: Sequence[Event], report: Mapping[str, Any]) -> Rows:
    opened = _find(events, "run-opened")
    if opened and report["operator"]:
        rests_on = "the operating system's names of user and machine; AWS was not asked"
        yield _row(f"{report['operator']} ran it.", STATED, rests_on, opened[:1])
    if report["reason"]:
        said = [event for event in opened if event.fields.get("reason") == report["reason"]]
        yield _row(f"The reason: {report['reason']}", STATED, "what the operator typed", said[-1:])
