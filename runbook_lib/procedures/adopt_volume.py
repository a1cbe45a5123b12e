"""45_adopt_volume: Terraform imports the data volume, with `prevent_destroy`; the plan must be import-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import observe_volume
from runbook_lib.procedures.target_root import (
    apply_root,
    check_root,
    is_adopted,
    is_root_reached,
    observe_root,
    plan_root,
    verify_root,
)
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "45_adopt_volume"


def _observe(run: Run) -> dict[str, Any]:
    facts = observe_root(run, adopt=True)
    volume = observe_volume(run)
    return facts | {"adopted": is_adopted(run), "holder": volume["holder"], "on_source": volume["on_source"]}


def _is_adopted(facts: Facts) -> bool:
    return bool(facts["adopted"]) and is_root_reached(facts)


def _check(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-on-target",
            passed=bool(facts["holder"]) and not facts["on_source"],
            expected="the volume attached to a container instance",
            observed=facts["holder"] or "attached nowhere",
            why="Terraform may own the volume only once the cutover is over",
            fix="run 30_cut_over_volume with this run_id first",
            needs="start-target-service",
        ),
        *(
            # the target itself is only planned: then the plan cannot be import-only yet
            Check(
                check.check_id, check.passed, check.expected, check.observed, check.why, check.fix, "provision-target"
            )
            for check in check_root(facts)
        ),
    )


def _verify(before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-in-terraform-state",
            passed=bool(after["adopted"]),
            expected="the data volume in Terraform's state",
            observed="there" if after["adopted"] else "missing",
            fix="run 45_adopt_volume again",
        ),
        *verify_root(before, after),
    )


STEPS = (
    Step(
        "adopt-volume",
        NOTEBOOK,
        "Import the data volume into Terraform",
        _observe,
        plan_root,
        apply_root,
        is_done=_is_adopted,
        check=_check,
        verify=_verify,
        timeout_s=0,
    ),
)
