"""64_check_drift: whether a service on ECS is still as it was left, made for schedules. Reads only.

Each cell looks at one part and keeps what it saw; the last one compares everything and lists every finding, not the
first. It holds neither the volume nor Terraform's state, so it runs beside the service and beside other runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib import checks_drift, checks_volume_drift
from runbook_lib.model import Check, Facts
from runbook_lib.procedures import drift_look as look
from runbook_lib.procedures.drift_look import NOTEBOOK, PARTS, evidence_name, looking
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_RULES: dict[str, Callable[[Facts], Sequence[Check]]] = {
    "service": checks_drift.check_service,
    "hosts": checks_drift.check_hosts,
    "volume": checks_volume_drift.check_volume,
    "snapshots": checks_volume_drift.check_snapshots,
    "terraform": checks_drift.check_terraform,
    "record": checks_drift.check_record,
}
FINDINGS = "drift"
"""Evidence: every finding, for programs."""


def _observe_all(run: Run) -> dict[str, Any]:
    """Return what the cells before have seen in this run; keep what follows from it."""
    seen = {part: _seen(run, part) for part in PARTS}
    run.keep_evidence(FINDINGS, checks_drift.findings(check_all(seen)))
    return seen


def _seen(run: Run, part: str) -> dict[str, Any]:
    known = run.journal.last("evidence", name=evidence_name(part))
    return dict(run.evidence(evidence_name(part))) if known is not None else {}


def check_all(seen: Facts) -> Sequence[Check]:
    """Return every check of every part.

    Args:
        seen: Facts by part, as `drift_look` observes them.

    Returns:
        The checks, in the order of the parts.
    """
    return tuple(check for part in PARTS for check in checks_drift.check_part(part, seen[part], _RULES[part]))


def _plan(part: str) -> Callable[[Facts], str]:
    def plan(facts: Facts) -> str:
        problem = facts.get("error")
        return f"Could not look at the {part}: {problem}" if problem else f"Looked at the {part}; changed nothing."

    return plan


def _plan_report(seen: Facts) -> str:
    return f"{len(check_all(seen))} checks, no drift."


def _step(step_id: str, part: str, title: str, read: Callable[[Run], dict[str, Any]]) -> Step:
    return Step(step_id, NOTEBOOK, title, looking(part, read), _plan(part))


STEPS = (
    _step("inspect-target-service", "service", "Inspect the service and its task", look.look_at_service),
    _step("inspect-container-instances", "hosts", "Inspect the hosts and their storage driver", look.look_at_hosts),
    _step("inspect-data-volume", "volume", "Inspect the volume, from outside and from inside", look.look_at_volume),
    _step("inspect-snapshots", "snapshots", "Inspect the volume's snapshots", look.look_at_snapshots),
    _step("inspect-terraform", "terraform", "Plan with Terraform, without a lock", look.look_at_terraform),
    _step("inspect-last-record", "record", "Verify the last record of a run that acted", look.look_at_record),
    Step("report-drift", NOTEBOOK, "Report every finding", _observe_all, _plan_report, check=check_all),
)
