"""40_verify_persistence: the article's check, automated. Restart the task, replace the instance, look each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.move_task import REMOVE_PROBE, REPLACE_INSTANCE, RESTART_TASK, WRITE_PROBE
from runbook_lib.procedures.observations import observe_task
from runbook_lib.procedures.persistence import (
    check_persistence,
    compare_with_before,
    observe_persistence,
    sentinel_sha256,
    service_start_ns,
    take_manifest,
)
from runbook_lib.procedures.prove_copy import VERIFY_ROLLBACK_COPY
from runbook_lib.procedures.start_target import START_TARGET_SERVICE
from runbook_lib.procedures.target_root import is_root_reached, observe_root, plan_root, verify_root
from runbook_lib.steps import Step, only_wait

if TYPE_CHECKING:
    from runbook_lib.run import Run

NOTEBOOK = "40_verify_persistence"
NEGATIVE = "manifest-negative-control"


def _observe_data(name: str, phase: str) -> Callable[[Run], dict[str, Any]]:
    return lambda run: observe_persistence(run, name, phase)


def _plan_data(facts: Facts) -> str:
    comparison = facts.get("comparison")
    if comparison is None:
        return "Compare sentinel and manifest inside the container with those of the stopped source."
    return (
        f"{comparison['entries']} entries as they were when the source stopped; "
        f"{comparison['written_since_start_count']} written by the running service since."
    )


def _observe_negative(run: Run) -> dict[str, Any]:
    """Look at an empty directory with the very checks that passed on the volume."""
    facts = observe_task(run)
    sentinel = run.journal.last("sentinel")
    expected = sentinel.fields["sha256"] if sentinel else ""
    if not facts["task"] or not expected:
        return {"task": None, "control": []}
    host = run.host(facts["instance_id"])
    empty = host.run("make_empty_directory", run_id=run.run_id)["path"]
    take_manifest(run, host, NEGATIVE, "negative-control", root=empty)
    seen = {
        "task": facts["task"],
        "expected_sentinel_sha256": expected,
        "sentinel_sha256": sentinel_sha256(run, NEGATIVE),
        "comparison": compare_with_before(run, NEGATIVE, "negative-control", service_start_ns(run)),
    }
    return {"task": facts["task"]["task_arn"], "control": [c.as_json() for c in check_persistence(seen)]}


def _check_negative(facts: Facts) -> Sequence[Check]:
    noticed = {c["check_id"] for c in facts["control"] if not c["passed"]}
    return (
        Check(
            "control-fails",
            passed={"manifest-identical", "sentinel-present"} <= noticed,
            expected="sentinel and manifest checks fail on an empty directory",
            observed=", ".join(sorted(noticed)) or "nothing noticed",
            why="a check that cannot fail proves nothing",
            fix="do not trust this run's comparison; report a defect",
            needs=START_TARGET_SERVICE.step_id,
        ),
    )


def _check_drift(facts: Facts) -> Sequence[Check]:
    reached = is_root_reached(facts)
    empty = verify_root(facts, facts)[0]
    return (
        Check(
            "plan-empty",
            passed=reached,
            expected="a plan without any change",
            observed=empty.observed,
            why=empty.why,
            fix="read terraform/plan.json in the run folder; run 10_provision_target",
            needs="provision-target",
        ),
    )


def _check_started(facts: Facts) -> Sequence[Check]:
    count = facts["desired_count"]
    return (
        Check(
            "service-started",
            passed=count == 1,
            expected="the ECS service at desired count 1",
            observed=f"desired count {count}",
            why="there is nothing to verify before the cutover",
            fix="run 30_cut_over_volume with this run_id first",
            needs=START_TARGET_SERVICE.step_id,
        ),
    )


def _differs(facts: Facts) -> str:
    """Return why waiting cannot help: it helps only while a task is still coming up."""
    failed = [c for c in check_persistence(facts) if not c.passed]
    return "the task runs, and its data is not the source's" if facts["task"] and failed else ""


def data_step(step_id: str, title: str, name: str, phase: str) -> Step:
    """Return the step that compares sentinel and manifest inside the container with those of the stopped service.

    Args:
        step_id: Its id.
        title: Its title.
        name: Evidence name of the manifest that it takes.
        phase: Word for the journal.

    Returns:
        The step; it waits for a task that is still coming up.
    """
    return Step(
        step_id,
        NOTEBOOK,
        title,
        _observe_data(name, phase),
        _plan_data,
        only_wait,  # a run that was killed while the task moved finds none at first
        check=_check_started,
        verify=lambda _before, after: check_persistence(after),
        hopeless=_differs,
        timeout_s=300,
        waits_for="the service's task runs",
    )


STEPS = (
    data_step("verify-data", "Verify sentinel and manifest inside the container", "manifest-after", "after"),
    VERIFY_ROLLBACK_COPY,
    WRITE_PROBE,
    RESTART_TASK,
    data_step(
        "verify-data-after-restart", "Verify the data after the restart", "manifest-after-restart", "after-restart"
    ),
    REPLACE_INSTANCE,
    data_step(
        "verify-data-after-replacement",
        "Verify the data after the replacement",
        "manifest-after-replacement",
        "after-replace",
    ),
    Step(
        "control-negative",
        NOTEBOOK,
        "Prove that the same checks fail on an empty directory",
        _observe_negative,
        lambda _facts: "Run the same checks on an empty directory; they must fail.",
        check=_check_negative,
    ),
    REMOVE_PROBE,
    Step(
        "verify-empty-plan",
        NOTEBOOK,
        "Verify that Terraform would change nothing",
        observe_root,
        plan_root,
        check=_check_drift,
    ),
)
