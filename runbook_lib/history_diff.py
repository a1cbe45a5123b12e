"""How two runs differ, in an operator's terms: parameters, calls, steps, seconds. Reads run folders; writes nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.archive import read_report
from runbook_lib.history_notebooks import differing_notebooks
from runbook_lib.parameters_yaml import dotted, read_yaml

NOT_THERE = ""
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
    ("resources changed", ("terraform", "change")),
    ("resources destroyed", ("terraform", "destroy")),
    ("library", ("versions", "library")),
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCRIPT_CALL = ("ssm", "SendCommand")
"""Every script on a host is such a call, and how often a wait looks is chance; scripts are compared by their names."""
_SUCCESS = "Success"
_WENT = ("planned", "succeeded", "skipped")


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
class Calls:
    """How often two runs made one call that may change something.

    Args:
        name: Service and operation; with the outcome when the call did not succeed.
        first: How often the first run made it.
        second: How often the second run did.
    """

    name: str
    first: int
    second: int


@dataclass(frozen=True)
class Duration:
    """How long one step took in two runs that both brought it to a good end, or both planned it.

    Args:
        step: Notebook and step id.
        first_s: Seconds in the first run.
        second_s: Seconds in the second run.
    """

    step: str
    first_s: float
    second_s: float

    @property
    def change_s(self) -> float:
        """How many seconds more the second run took."""
        return round(self.second_s - self.first_s, 3)


@dataclass(frozen=True)
class RunDifference:
    """How two runs differ.

    Args:
        facts: Facts of the report that differ.
        parameters: Keys of parameters.yaml whose values differ.
        calls: Calls that one run made more often than the other.
        scripts: Scripts that only one run ran on a host; the hosts' side of the calls.
        steps: Steps whose state differs, or that only one run has.
        durations: Every step that both runs brought to a good end, or both planned.
        notebooks: Notebooks whose code differs, or that only one run executed.
    """

    facts: tuple[Difference, ...]
    parameters: tuple[Difference, ...]
    calls: tuple[Calls, ...]
    scripts: tuple[Difference, ...]
    steps: tuple[Difference, ...]
    durations: tuple[Duration, ...]
    notebooks: tuple[Difference, ...]

    @property
    def is_empty(self) -> bool:
        """Return whether the runs differ in nothing but times."""
        return not (self.facts or self.parameters or self.calls or self.scripts or self.steps or self.notebooks)


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
    one, two = read_report(first), read_report(second)
    values = ((name, _text(_dig(one, keys)), _text(_dig(two, keys))) for name, keys in _FACTS)
    return RunDifference(
        facts=tuple(Difference(*value) for value in values if value[1] != value[2]),
        parameters=tuple(_different(*(_parameters(folder) for folder in (first, second)))),
        calls=tuple(_calls(_counted(one), _counted(two))),
        scripts=tuple(_different(_scripts(one), _scripts(two))),
        steps=tuple(
            _different(*(_states(report, same_mode=one["execute"] == two["execute"]) for report in (one, two)))
        ),
        durations=tuple(_durations(one, two)),
        notebooks=tuple(
            Difference(*row) for row in differing_notebooks((first, one["notebooks"]), (second, two["notebooks"]))
        ),
    )


def _different(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Difference]:
    """Yield the names whose values differ, in the order of the first, those that only the second has last."""
    for name in dict.fromkeys((*first, *second)):
        before, now = first.get(name, NOT_THERE), second.get(name, NOT_THERE)
        if before != now:
            yield Difference(name, before, now)


def _states(report: Mapping[str, Any], *, same_mode: bool) -> dict[str, str]:
    """Return the state of each step; between a run that executed and one that planned, only trouble is a difference."""
    states = {_name(step): str(step["status"]) for step in report["steps"]}
    return states if same_mode else {name: "went" if state in _WENT else state for name, state in states.items()}


def _name(step: Mapping[str, Any]) -> str:
    return f"{step['notebook']}/{step['id']}"


def _durations(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Duration]:
    before = {_name(step): step for step in first["steps"]}
    for step in second["steps"]:
        former = before.get(_name(step))
        if former and former["executed"] == step["executed"] and _is_comparable(former) and _is_comparable(step):
            yield Duration(_name(step), float(former["duration_s"]), float(step["duration_s"]))


def _is_comparable(step: Mapping[str, Any]) -> bool:
    return bool(step["status"] == ("succeeded" if step["executed"] else "planned"))


def _counted(report: Mapping[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in report["api_calls"]["by_operation"]:
        succeeded = row["outcome"] == _SUCCESS
        if not (succeeded and (row["service"], row["operation"]) == _SCRIPT_CALL):
            outcome = "" if succeeded else f", {row['outcome']}"
            found[f"{row['service']} {row['operation']}{outcome}"] += row["count"]
    return found


def _calls(first: Counter[str], second: Counter[str]) -> Iterator[Calls]:
    for name in sorted(first | second):
        if first[name] != second[name]:
            yield Calls(name, first[name], second[name])


def _scripts(report: Mapping[str, Any]) -> dict[str, str]:
    """Return every script that ran on a host, with its digest: another digest is another script."""
    return {row["script"]: _text(row["sha256"]) or "ran" for row in report["host_commands"]}


def _dig(report: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = report
    for key in keys:
        value = value[key]
    return value


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"{text[:16]}…" if _DIGEST.fullmatch(text) else text


def _parameters(folder: Path) -> dict[str, str]:
    """Return every value of parameters.yaml by its dotted key."""
    path = folder / "parameters.yaml"
    if not path.is_file():
        return {}
    document = read_yaml(path.read_text("utf-8", "backslashreplace"), str(path))
    return {dotted(where).removeprefix("migration."): text for where, text in document.texts.items()}
