"""Rehearsal, the comparison: what of the clone can be compared honestly, and is it as it was on the source?

The copy of a running volume is crash-consistent: it holds what was on the volume at one moment, as after a power cut.
Only entries that two manifests around that moment agree on have a known content; the rest is counted, not compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import manifest
from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts, FileEntry
from runbook_lib.procedures.attribution import Attribution, holder, tell_apart
from runbook_lib.procedures.rehearsal_clone import AFTER_COPY, BEFORE_COPY, take_rehearsal_manifest
from runbook_lib.procedures.rehearsal_facts import NOTEBOOK, RUN_TASK, events, is_over, note
from runbook_lib.procedures.rehearsal_task import observe_rehearsal
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

ON_CLONE = "manifest-on-clone"
_SHOWN = 50
_SNAPSHOT_MARGIN_NS = 60 * 1_000_000_000  # the clocks of EC2 and of the host need not agree


@dataclasses.dataclass(frozen=True)
class CloneComparison:
    """What a comparison of the clone with its source found.

    Args:
        compared: How many entries were compared.
        not_compared: Paths whose content at the moment of the copy is not known, sorted.
        found: What the rehearsed service did, and what remains: entries that are not what they must be.
    """

    compared: int
    not_compared: tuple[str, ...]
    found: Attribution


def compare_clone(
    before: Sequence[FileEntry], after: Sequence[FileEntry], clone: Sequence[FileEntry], snapshot_ns: int | None
) -> CloneComparison:
    """Compare a clone with what must be on it.

    Args:
        before: Manifest of the running source before the copy.
        after: Manifest of the running source after the copy.
        clone: Manifest of the clone, taken while the rehearsed service runs on it.
        snapshot_ns: For a clone of a snapshot older than `before`, when that was begun, nanoseconds since the epoch;
            what it, or its directory, was modified later is not compared.

    Returns:
        The comparison.
    """
    stable = _stable(before, after, snapshot_ns)
    since_ns = max((entry.mtime_ns for entry in after), default=0)
    on_clone = [entry for entry in clone if entry.path in stable]
    known = [entry for entry in after if entry.path in stable]
    return CloneComparison(
        compared=len(stable),
        not_compared=tuple(sorted({e.path for e in (*before, *after)} - stable)),
        found=tell_apart(manifest.compare(known, on_clone), clone, since_ns),
    )


def _stable(before: Sequence[FileEntry], after: Sequence[FileEntry], snapshot_ns: int | None) -> set[str]:
    """Return the paths whose content at the moment of the copy is known."""
    earlier, later = ({entry.path: entry for entry in entries} for entries in (before, after))
    same = {path for path, entry in later.items() if earlier.get(path) == entry}
    if snapshot_ns is None:
        return same
    latest = snapshot_ns - _SNAPSHOT_MARGIN_NS
    old = {path for path, entry in later.items() if entry.mtime_ns < latest}
    return {path for path in same & old if path == "." or holder(path) in old}


def _observe_data(run: Run) -> dict[str, Any]:
    """Take the clone's manifest through the container, and compare it."""
    facts = observe_rehearsal(run)
    kept = {key: facts[key] for key in ("possible", "opened", "finished", "task", "instance_id")}
    seen = events(run)
    if is_over(facts) or not facts["task"] or facts["started"] is None or AFTER_COPY not in seen:
        return kept | {"comparison": None}
    mapping = run.evidence("task-mapping")
    take_rehearsal_manifest(
        run,
        run.host(facts["instance_id"]),
        ON_CLONE,
        container={"task_arn": facts["task"]["task_arn"], "container_name": mapping["container_name"]},
        container_path=mapping["container_path"],
    )
    before, after, clone = (manifest.parse(run.evidence(name)) for name in (BEFORE_COPY, AFTER_COPY, ON_CLONE))
    result = compare_clone(before, after, clone, _snapshot_ns(run, seen["cloned"]))
    comparison = {
        "compared": result.compared,
        **result.found.as_facts(),
        "not_compared": list(result.not_compared[:_SHOWN]),
        "not_compared_count": len(result.not_compared),
    }
    note(run, "compared", **comparison)
    return kept | {"comparison": comparison}


def _snapshot_ns(run: Run, cloned: Facts) -> int | None:
    if cloned["made_by"] == "copy":
        return None
    return int(run.clock.parse(cloned["snapshot_started_utc"]).timestamp() * 1_000_000_000)


def _plan_data(facts: Facts) -> str:
    comparison = facts["comparison"]
    if comparison is None:
        return "Compare the clone, through the container, with what two manifests around the copy agree on."
    return (
        f"{comparison['compared']} entries that did not change around the copy are the same on the clone. "
        f"{comparison['not_compared_count']} changed meanwhile and were not compared. "
        f"Since the rehearsed service started it wrote {len(comparison['written_since_start'])} "
        f"and removed {len(comparison['removed_since_start'])} of them."
    )


def _check_data(facts: Facts) -> Sequence[Check]:
    comparison = facts["comparison"]
    running = facts["task"] is not None and comparison is not None
    checks = [
        Check(
            "task-running",
            passed=running,
            expected="the rehearsal's task RUNNING on the clone, with both manifests of the source taken",
            observed="RUNNING" if running else "none",
            fix=f"run {NOTEBOOK} from the top",
            needs=RUN_TASK,
        )
    ]
    if comparison is None:
        return tuple(checks)
    differs = {key: comparison[key] for key in ("missing", "added", "changed") if comparison[key]}
    return (
        *checks,
        Check(
            "clone-identical",
            passed=comparison["identical"] and comparison["compared"] > 0,
            expected="what did not change around the copy as it is on the source, or changed by the service since",
            observed=describe_fact(differs) if differs else f"identical ({comparison['compared']} entries compared)",
            why="the task on ECS would not see the data that the source has",
            fix="compare evidence/manifest-after-copy.json with evidence/manifest-on-clone.json; do not cut over",
        ),
    )


VERIFY_REHEARSAL_DATA = Step(
    "verify-rehearsal-data",
    NOTEBOOK,
    "Verify the data on the clone",
    _observe_data,
    _plan_data,
    is_done=is_over,
    check=_check_data,
)
