"""Runs side by side: what differs between two of them, and how they developed.

Reads run folders. The only home of pandas, which is slow to import: nothing imports this module at its top.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from runbook_lib.archive import list_runs, read_report

_FACTS = (
    ("status", ("status",)),
    ("executed", ("execute",)),
    ("operator", ("operator",)),
    ("reason", ("reason",)),
    ("evidence grade", ("evidence_grade",)),
    ("outage (s)", ("outage_s",)),
    ("outage allowed (s)", ("outage_budget_s",)),
    ("files", ("data", "files")),
    ("bytes", ("data", "bytes")),
    ("manifest before", ("data", "manifest_before")),
    ("manifest after", ("data", "manifest_after")),
    ("data identical", ("data", "identical")),
    ("volume", ("volume", "volume_id")),
    ("filesystem", ("volume", "filesystem_uuid")),
    ("Terraform plan", ("terraform", "plan_sha256")),
    ("resources added", ("terraform", "add")),
    ("resources destroyed", ("terraform", "destroy")),
    ("library", ("versions", "library")),
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Difference:
    """One thing in which two runs differ.

    Args:
        name: What it is.
        first: Its value in the first run, "" when it has none.
        second: Its value in the second run.
    """

    name: str
    first: str
    second: str


@dataclass(frozen=True)
class RunDifference:
    """How two runs differ.

    Args:
        facts: Facts of the report that differ.
        steps: Steps whose state differs, or that only one run has.
        durations: Every step that both runs have: seconds in the first, seconds in the second.
        parameters: Lines of parameters.yaml that differ, as a unified diff.
    """

    facts: tuple[Difference, ...]
    steps: tuple[Difference, ...]
    durations: tuple[tuple[str, float, float], ...]
    parameters: tuple[str, ...]


def compare_runs(first: Path, second: Path) -> RunDifference:
    """Return how two runs differ.

    Args:
        first: A run folder.
        second: Another.

    Returns:
        The differences.

    Raises:
        JournalError: when either has no journal that holds.
    """
    reports = read_report(first), read_report(second)
    values = [(name, *(_text(_dig(report, keys)) for report in reports)) for name, keys in _FACTS]
    merged = _steps(reports[0]).merge(_steps(reports[1]), on="step", how="outer", suffixes=("_1", "_2"), sort=True)
    both = merged.dropna(subset=["duration_s_1", "duration_s_2"])
    statuses = merged.fillna({"status_1": "", "status_2": ""})
    return RunDifference(
        facts=tuple(Difference(*value) for value in values if value[1] != value[2]),
        steps=tuple(
            Difference(row.step, row.status_1, row.status_2)
            for row in statuses.itertuples()
            if row.status_1 != row.status_2
        ),
        durations=tuple((row.step, float(row.duration_s_1), float(row.duration_s_2)) for row in both.itertuples()),
        parameters=tuple(_parameter_lines(first, second)),
    )


def run_table(directory: Path) -> pd.DataFrame:
    """Return every run of an archive, for a notebook to plot.

    Args:
        directory: The archive directory, usually `runs`.

    Returns:
        One row per run, oldest first, indexed by `run_id`; columns as RunSummary, `started_utc` as times.
    """
    runs = [vars(run) for run in reversed(list_runs(directory))]
    columns = ["run_id", "name", "status", "execute", "started_utc", "outage_s", "operator", "evidence_grade"]
    table = pd.DataFrame(runs, columns=columns).set_index("run_id")
    table["started_utc"] = pd.to_datetime(table["started_utc"], utc=True, format="ISO8601", errors="coerce")
    return table


def _steps(report: dict[str, Any]) -> pd.DataFrame:
    rows = [(f"{step['notebook']}/{step['id']}", step["status"], step["duration_s"]) for step in report["steps"]]
    return pd.DataFrame(rows, columns=["step", "status", "duration_s"])


def _dig(report: dict[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = report
    for key in keys:
        value = value[key]
    return value


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"{text[:16]}…" if _DIGEST.fullmatch(text) else text


def _parameter_lines(first: Path, second: Path) -> list[str]:
    before, after = (_lines(folder / "parameters.yaml") for folder in (first, second))
    return list(difflib.unified_diff(before, after, fromfile=first.name, tofile=second.name, lineterm="", n=0))


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []
