"""The sentences and numbers of a report, as a person reads them; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runbook_lib.model import EvidenceGrade, RunStatus
from runbook_lib.report_findings import find_findings
from runbook_lib.report_notebooks import CHANGE, CUT_OVER, DEPLOY, PATCH, RESIZE, RESTORE

Report = Mapping[str, Any]

_CHANGED = {
    "no": "Nothing was changed.",
    "maybe": "Something may have changed.",
    "yes": "Something was changed.",
}
_OWN = ("written", "removed")
_MOVED = {
    CHANGE: ("Storage driver changed", "Changed"),
    PATCH: ("Hosts patched", "Patched"),
    DEPLOY: ("Image deployed", "Deployed"),
    RESIZE: ("Resized", "Resized"),
    RESTORE: ("Backup restored", "Restored"),
    CUT_OVER: ("Migrated", "Cut over"),
}
"""Notebook that stops the service and starts it again → what is so afterwards, verified and not."""


@dataclass(frozen=True)
class Grade:
    """What the evidence of a run is worth.

    Args:
        source: Where it comes from.
        shows: What it shows.
        limits: What it does not prove.
    """

    source: str
    shows: str
    limits: str


_GRADES = {
    EvidenceGrade.SIMULATED_HOST: Grade(
        source="The hosts and volumes of this run are simulated, and so is AWS: everything happened on one machine.",
        shows="the order of the steps, that the checks can refuse, and that files read back with the same content",
        limits="how long AWS takes, how a kernel mounts and detaches a real device, what IAM allows, or that the "
        "storage driver works with a real Docker Engine",
    ),
    EvidenceGrade.REAL_HOST: Grade(
        source="The Docker hosts and mounts of this run are real; AWS is simulated.",
        shows="what Docker Engine, the volume plugin and the filesystem do",
        limits="how long AWS takes, how EBS attaches and detaches, or what IAM allows",
    ),
    EvidenceGrade.AWS: Grade(
        source="Everything in this run happened on AWS.",
        shows="what happened, and how long it took, in this account and Region on this day",
        limits="that another run takes as long, or what the application does with its files",
    ),
}
_NO_GRADE = Grade(
    source="No host was looked at in this run.",
    shows="what was planned",
    limits="anything about hosts, volumes or AWS",
)


@dataclass(frozen=True)
class Headline:
    """The verdict on a run.

    Args:
        word: One or two words, with their full stop.
        tone: `good`, `bad`, `warn` or `calm`.
        text: The sentences behind the word.
    """

    word: str
    tone: str
    text: str


def seconds(value: float | None) -> str:
    """Return a duration with its unit.

    Args:
        value: Seconds, or None when unknown.

    Returns:
        For example `0.3 s`, `90 s`, `2 min 05 s` or `1 h 12 min`.
    """
    if value is None:
        return "unknown"
    if value < 119.95:  # noqa: PLR2004 - two minutes and more are written as such
        return f"{value:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004


def size(value: int | None) -> str:
    """Return a number of bytes with a decimal unit.

    Args:
        value: Bytes, or None when unknown.

    Returns:
        For example `12.3 MB`.
    """
    if value is None:
        return "unknown"
    number, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.5:  # noqa: PLR2004 - what rounds to 1000 takes the next unit
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"  # noqa: PLR2004


def utc(text: str) -> str:
    """Return a time for people.

    Args:
        text: RFC 3339 time, or "".

    Returns:
        For example `2026-01-31 03:00:07 UTC`.
    """
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if text else "unknown"


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    Args:
        number: How many.
        noun: In the singular; its plural ends in s.

    Returns:
        For example `1 file` or `231 files`.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def headline(report: Report) -> Headline:
    """Return the verdict on a run.

    Args:
        report: As `build_report`.

    Returns:
        Word, tone and sentences.
    """
    status = RunStatus(report["status"])
    if status is RunStatus.PLANNED:
        return Headline("Planned.", "calm", _planned(report))
    if status is RunStatus.ROLLED_BACK:
        return Headline("Rolled back.", "warn", f"{_why_back(report)} {_outage_and_data(report)}")
    if status is RunStatus.SUCCEEDED:
        return _succeeded(report)
    if report["hold"]:
        text = f"Since {utc(report['hold']['at_utc'])} the cutover waits for {report['hold']['reason']}."
        return Headline("Holding.", "warn", f"{text} Nothing was stopped.")
    failure = report["failure"] or (_cut_off(report) if status is RunStatus.INTERRUPTED else {})
    where = failure.get("title") or failure.get("step_id") or failure.get("notebook") or ""
    if status is RunStatus.WAITING:
        return _waiting(report, where)
    word = "Failed." if status is RunStatus.FAILED else "Interrupted."
    place = f"It stopped at: {where}. " if where else ""
    return Headline(word, "bad", " ".join(filter(None, (f"{place}{_what_changed(report)}", _outage(report)))))


def _cut_off(report: Report) -> Report:
    """Return the last step or cell that was cut off, as a failure names one; {} when nobody knows which it was."""
    steps = [step for step in report["steps"] if step["status"] in {"interrupted", "running"}]
    if steps:
        return {"title": steps[-1]["title"], "step_id": steps[-1]["id"]}
    return {"notebook": report["notebooks"][-1]["notebook"]} if report["notebooks"] else {}


def _waiting(report: Report, where: str) -> Headline:
    request = report["approval_request"]
    text = " ".join(filter(None, (f"Before: {where}. {_CHANGED['no']}", _acted_before(report), _outage(report))))
    if not request:
        return Headline("Waiting for an approval.", "warn", text)
    if not request["missing"]:
        return Headline("Approved.", "calm", f"{text} It can be resumed.")
    return Headline("Waiting for an approval.", "warn", f"{text} {request['given']} of {request['required']} given.")


def _why_back(report: Report) -> str:
    decision = report["budget_decision"] or {}
    if decision.get("decision") != "roll_back":
        return "The service runs on the source again."
    return (
        f"The outage budget of {seconds(decision['budget_s'])} was used up in step {decision['step_id']}, so the run "
        "took the service back to the source by itself."
    )


_UP = "The service was not interrupted."


def _succeeded(report: Report) -> Headline:
    acted = {step["notebook"] for step in report["steps"] if step["executed"] and step["status"] != "skipped"}
    if any(step["notebook"] == CUT_OVER and step["executed"] for step in report["steps"]):
        acted.add(CUT_OVER)
    moved = next((name for name in _MOVED if name in acted), "")
    if not moved or (moved == RESIZE and not report["outages"] and report["data"]["identical"] is None):
        word, found = find_findings(report)
        done = ", ".join(dict.fromkeys(step["notebook"] for step in report["steps"] if step["executed"]))
        return Headline(word or "Succeeded.", "good", f"{found or f'Done so far: {done}.'} {_outage(report) or _UP}")
    identical, budget_s, outage_s = report["data"]["identical"], report["outage_budget_s"], report["outage_s"]
    over = budget_s is not None and outage_s is not None and outage_s > budget_s
    verified, done = _MOVED[moved]
    word = f"{verified}." if identical else f"{done}, not verified yet."
    return Headline(word, "good" if identical and not over else "warn", _outage_and_data(report))


def _planned(report: Report) -> str:
    planned = sum(step["status"] == "planned" for step in report["steps"])
    skipped = sum(step["status"] == "skipped" for step in report["steps"])
    assumed = sum(bool(check.get("assumed")) for step in report["steps"] for check in step["checks"])
    text = f"Nothing was changed. {count(planned, 'step')} would be performed"
    text += f", {count(skipped, 'step')} {'is' if skipped == 1 else 'are'} already so." if skipped else "."
    later = (
        f" {count(assumed, 'check')} can only be made once what {'it needs' if assumed == 1 else 'they need'} exists."
    )
    return text + (later if assumed else "")


def _what_changed(report: Report) -> str:
    changed = (report["failure"] or {}).get("changed")
    if changed in _CHANGED:
        return f"{_CHANGED[changed]} {_acted_before(report) if changed == 'no' else ''}".strip()
    return "Whether the interrupted step changed anything is unknown; a resumed run looks before it acts."


def _acted_before(report: Report) -> str:
    """Return what earlier steps of the run did; `nothing changed` speaks of the failed step only."""
    acted = sum(step["executed"] and step["status"] == "succeeded" for step in report["steps"])
    return f"That is so of this step; {count(acted, 'step')} before it succeeded." if acted else ""


def _outage(report: Report) -> str:
    windows, budget_s = report["outages"], report["outage_budget_s"]
    if not windows:
        return ""
    if not windows[-1]["ended_utc"]:
        return f"The service stopped at {utc(windows[-1]['started_utc'])} and was not seen to answer since."
    allowed = f" of the {seconds(budget_s)} allowed" if budget_s is not None else ""
    if budget_s is not None and report["outage_s"] > budget_s:
        allowed = f", {seconds(report['outage_s'] - budget_s)} over the {seconds(budget_s)} allowed"
    return f"The service was unavailable for {seconds(report['outage_s'])}{allowed}."


def _outage_and_data(report: Report) -> str:
    """Return outage and data in one sentence where there is one, because they are the verdict together."""
    outage, data = _outage(report), _data(report)
    return f"{outage.removesuffix('.')}; {data}" if outage and data else outage or data


def _data(report: Report) -> str:
    data = report["data"]
    if data["files"] is None:
        return ""
    what = f"{count(data['files'], 'file')}, {size(data['bytes'])}"
    if data["identical"] is None:
        return f"{what} before; not compared yet."
    done = data["comparisons"][0]
    did = [
        f"{count(done[f'{verb}_since_start_count'], 'path')} {verb}"
        for verb in _OWN
        if done[f"{verb}_since_start_count"]
    ]
    since = "since it started again" if report["outages"] else "meanwhile"
    own = f", apart from {' and '.join(did)} by the service {since}" if did else ""
    return f"{what} identical before and after{own}." if data["identical"] else f"{what}: NOT identical afterwards."


def grade(report: Report) -> Grade:
    """Return what the evidence is worth.

    Args:
        report: As `build_report`.

    Returns:
        Where it comes from, what it shows and what it does not prove.
    """
    return _GRADES.get(report["evidence_grade"], _NO_GRADE)
