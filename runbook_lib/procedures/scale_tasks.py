"""The number of tasks of a service that only reads the volume: registered with Application Auto Scaling by Terraform.

All of them run on the one host that has the volume. Nothing else registers it: before the cutover it would start the
task, and in a move it would start one while the volume is let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.driver_plan import check_only
from runbook_lib.procedures.grow_volume import NOTEBOOK
from runbook_lib.procedures.storage_drivers import observe_drivers
from runbook_lib.procedures.target_root import SCALING_ADDRESS, apply_root, observe_root, plan_root
from runbook_lib.procedures.task_count import check_scaling, has_wanted_tasks, observe_scaling, say_scaling
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

SCALE_ID = "scale-tasks"
_ADDRESSES = (SCALING_ADDRESS, "module.ecs_service.aws_appautoscaling_policy.this[0]")


def _observe(run: Run) -> dict[str, Any]:
    """Return how many tasks there are and shall be; the plan that changes it only where something is to change."""
    scaling = observe_scaling(run, observe_drivers(run))
    if has_wanted_tasks(scaling):
        return {"scaling": scaling}
    return observe_root(run, kept={"autoscaling": scaling["wanted"] or None}) | {"scaling": scaling}


def _is_done(facts: Facts) -> bool:
    return has_wanted_tasks(facts["scaling"])


def _plan(facts: Facts) -> str:
    scaling = facts["scaling"]
    now = f"{scaling['running']} running"
    if _is_done(facts):
        return f"As many tasks as there shall be: {now}."
    return f"There shall be {scaling['asked'] or 'one task, and no scaling'}; {now}. {plan_root(facts)}"


def _check(facts: Facts) -> Sequence[Check]:
    return (
        *check_scaling(facts["scaling"]),
        *check_only(
            facts,
            _ADDRESSES,
            "plan-changes-the-scaling-only",
            "changes of scalable target and policy only",
            "the number of tasks brings no other change with it, and no apply moves a running task",
        ),
    )


def _scale(run: Run, before: Facts) -> None:
    """Register, change or take away the scaling; then bring the number of tasks into the range, where it is not."""
    apply_root(run, before)
    wanted, count = before["scaling"]["wanted"], before["scaling"]["desired_count"]
    least, most = (wanted["min_tasks"], wanted["max_tasks"]) if wanted else (1, 1)
    if not least <= count <= most:
        run.ecs.set_desired_count(max(least, min(count, most)))


def _verify(_before: Facts, after: Facts) -> Sequence[Check]:
    scaling = after["scaling"]
    wanted, registered = scaling["wanted"], scaling["registered"]
    return (
        Check(
            "scaling-registered",
            passed=registered == wanted,
            expected=say_scaling(wanted) if wanted else "none",
            observed=say_scaling(registered) if registered else "none",
            fix="read terraform/plan.json in the run folder, then run again",
        ),
        Check(
            "tasks-run",
            passed=_is_done(after),
            expected=f"{scaling['asked'] or 'one task'}, each one RUNNING",
            observed=f"{scaling['running']} RUNNING, desired count {scaling['desired_count']}",
            why="they have to find room on the host of the volume",
            fix="read the service's events; take target.autoscaling out and run again to go back to one task",
        ),
    )


SCALE_TASKS = Step(
    SCALE_ID,
    NOTEBOOK,
    "Scale the tasks of a service that only reads the volume",
    _observe,
    _plan,
    _scale,
    is_done=_is_done,
    check=_check,
    verify=_verify,
    timeout_s=300,
    poll_s=0.5,
    waits_for="ECS starts the tasks that are missing, or stops those that are too many",
)


def after_scaling(step: Step) -> Step:
    """Return the step that wants an empty plan, for a notebook that scales before it.

    Args:
        step: As `driver_plan.verify_plan`.

    Returns:
        The step; where the tasks are still to be scaled, its check waits for that.
    """

    def observe(run: Run) -> dict[str, Any]:
        return {**step.observe(run), "scaling": observe_scaling(run, observe_drivers(run))}

    def check(facts: Facts) -> Sequence[Check]:
        waits = not has_wanted_tasks(facts["scaling"])
        return tuple(replace(one, needs=SCALE_ID if waits else one.needs) for one in step.check(facts))

    return replace(step, observe=observe, check=check)
