"""Reports of the same estate on simulated and on real hosts: what may differ is hidden, the rest must be the same."""

from __future__ import annotations

import re

HIDDEN = (
    (re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "DIGEST"),
    (re.compile(r"\b\d{8}T\d{6}Z-[a-z-]+-[0-9a-f]{4}\b"), "RUN"),
    (re.compile(r"\b(i|vol|snap|ami|sg|subnet|vpc|lt)-[0-9a-f]{8,17}\b"), r"\1-ID"),
    (re.compile(r"\bvol[0-9a-f]{17}\b"), "SERIAL"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z| UTC)?"), "TIME"),
    (re.compile(r"\b\d[\d,.]* (min \d+ s|ms|s|kB|MB|%|calls)"), "AMOUNT"),
)


def differences(first, second):
    """Return what two reports say differently, beside ids, times and the evidence grade.

    Args:
        first: As report.json has it.
        second: The other.

    Returns:
        By part of the report, what each says; empty when they say the same.
    """
    one, other = (_alike(report, _skipped(first) | _skipped(second)) for report in (first, second))
    return {key: (one[key], other[key]) for key in one if one[key] != other[key]}


def _alike(report, skipped):
    """Return what a report says; a step that had only to wait, and need not in one of them, is done in both."""
    steps, data = report["steps"], report["data"]["comparisons"]
    words = {"skipped": "done", "succeeded": "done"}
    return {
        "run": {key: report[key] for key in ("name", "status", "execute", "outage_budget_s", "failure", "hold")},
        "steps": [(one["id"], one["title"], words.get(one["status"], one["status"])) for one in steps],
        "checks": {
            one["id"]: [(check["check_id"], check["passed"]) for check in one["checks"]]
            for one in steps
            if one["id"] not in skipped
        },
        "notebooks": [(one["notebook"], one["status"], one["attempt"], _cells(one)) for one in report["notebooks"]],
        "data": [{key: one[key] for key in ("phase", "identical", "missing", "added", "changed")} for one in data],
        "outages": len(report["outages"]),
        "volume": report["volume"] | {"volume_id": ""},
        "sentinel": report["sentinel"] and report["sentinel"]["path"],
        "terraform": [(one["address"], one["actions"]) for one in report["terraform"]["changes"]],
        "calls": {(one["service"], one["operation"], one["outcome"]) for one in report["api_calls"]["by_operation"]},
        "scripts": {(one["script"], one["sha256"]) for one in report["host_commands"]},
        "evidence": [one["path"] for one in report["evidence"]],
        "statements": [hidden(one["statement"]) for one in report["statements"]],
    }


def _cells(notebook):
    """Return the cells of a notebook but for that with its parameters, which Papermill gives a new id each time."""
    return [one["cell_id"] for one in notebook["cells"] if not re.fullmatch("[0-9a-f]{8}", one["cell_id"])]


def _skipped(report):
    return {one["id"] for one in report["steps"] if one["status"] == "skipped"}


def hidden(text):
    """Return a text without ids, digests, times and amounts."""
    for pattern, word in HIDDEN:
        text = pattern.sub(word, text)
    return text
