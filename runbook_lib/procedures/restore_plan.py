"""Restore, in Terraform: hosts and permissions for the restored volume before the outage, the empty plan after it.

Before, the hosts may still attach and detach the volume in service, and the service keeps its revision, so that the
apply moves nothing that runs. A volume that Terraform owns is forgotten, never destroyed, and the other one imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.adopt_volume import STEPS as ADOPTION
from runbook_lib.procedures.driver_plan import check_only
from runbook_lib.procedures.restore_facts import NOTEBOOK, PROVE, note, noted, observe_exchange, on_restored
from runbook_lib.procedures.restore_steps import PROVISION, REMOVE
from runbook_lib.procedures.storage_drivers import CHANGE, observe_drivers
from runbook_lib.procedures.target_root import (
    VOLUME_ADDRESS,
    apply_root,
    is_root_reached,
    observe_root,
    output,
    plan_root,
    verify_root,
)
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

_OF_THE_VOLUME = (
    "module.ecs_cluster.aws_launch_template.this",
    "module.ecs_cluster.aws_autoscaling_group.this",
    "module.ecs_cluster.aws_iam_role_policy.volume",
    "module.ecs_cluster.aws_iam_role_policy.denied",
    "module.ecs_service.aws_ecs_task_definition.this",
)
"""What knows the id of the volume in Terraform. The service does not, and the volume itself is another step's."""


def _observe(run: Run) -> dict[str, Any]:
    """Return the plan for the restored volume in which everything that runs stays.

    Changes:
        Files of the run folder; evidence `storage-driver`; whether Terraform owned the volume, once.
    """
    exchange = observe_exchange(run)
    view = on_restored(run, exchange)
    drivers = observe_drivers(view)
    settled = exchange["handed_over"] and not drivers["former"]
    needs_both = bool(exchange["restored_id"]) and not settled
    kept = {
        "kept_task_definition_arn": drivers["service"].get("task_definition_arn"),
        "kept_volume_ids": [exchange["present"]["volume_id"]] if needs_both else [],
    }
    facts = observe_root(view, kept=kept)
    names = {
        "task_definition_arn": output(view, "task_definition_arn"),
        "group": output(view, "autoscaling_group_name"),
    }
    run.keep_evidence(CHANGE, names)
    if not noted(run, "adopted"):
        note(run, "adopted", volume_id=view.terraform.state_ids().get(VOLUME_ADDRESS, ""))
    return {**exchange, **facts, "drivers": observe_drivers(view)}


def _check_only_volume(facts: Facts) -> Sequence[Check]:
    return check_only(
        facts,
        _OF_THE_VOLUME,
        "plan-changes-the-volume-only",
        "changes of launch template, group, the hosts' policies and task definition only",
        "a restore brings no other change with it, and no apply moves the running task",
    )


def _check(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "volume-proved",
            passed=bool(facts["restored_id"]),
            expected="the restored volume, proved",
            observed=facts["restored_id"] or "none",
            fix=f"run {NOTEBOOK} from the top",
            needs=PROVE,
        ),
        *_check_only_volume(facts),
    )


def _plan(facts: Facts) -> str:
    if facts["restored_id"]:
        return plan_root(facts)
    return "Plan and apply what names the volume, once it is made: launch template, group, policies, task definition."


def _apply(run: Run, before: Facts) -> None:
    apply_root(on_restored(run, before), before)


def _observe_completed(run: Run) -> dict[str, Any]:
    exchange = observe_exchange(run)
    view = on_restored(run, exchange)
    return {**exchange, **observe_root(view), "drivers": observe_drivers(view)}


def _check_completed(facts: Facts) -> Sequence[Check]:
    former = facts["drivers"]["former"]
    return (
        Check(
            "restored-volume-serves",
            passed=facts["handed_over"] and not former,
            expected="the restored volume in service, and no host of the former one",
            observed=f"handed over: {facts['handed_over']}, hosts of the former: {', '.join(former) or 'none'}",
            why="an apply before would take the permissions of hosts that hold the former volume",
            fix=f"run {NOTEBOOK} from the top",
            needs=REMOVE,
        ),
        *(replace(check, needs=REMOVE) for check in _check_only_volume(facts)),
    )


def _observe_owned(run: Run) -> dict[str, Any]:
    exchange = observe_exchange(run)
    owned = run.terraform.state_ids().get(VOLUME_ADDRESS, "")
    return {**exchange, "owned": owned, "was_owned": noted(run, "adopted").get("volume_id", "")}


def _is_forgotten(facts: Facts) -> bool:
    return facts["owned"] in {"", facts["restored_id"]}


def _forget(run: Run, _before: Facts) -> None:
    """Take the volume out of Terraform's state; nothing is changed at AWS."""
    run.terraform.forget(VOLUME_ADDRESS)


def _verify_forgotten(_before: Facts, after: Facts) -> Sequence[Check]:
    return (
        Check(
            "former-volume-forgotten",
            passed=_is_forgotten(after),
            expected=f"a state without {after['present']['volume_id']}",
            observed=after["owned"] or "so",
            why="Terraform would compare the volume out of service with the one that serves",
            fix=f"run {NOTEBOOK} from the top",
        ),
    )


def _check_forget(facts: Facts) -> Sequence[Check]:
    return (
        Check(
            "restored-volume-serves",
            passed=bool(facts["handed_over"]),
            expected="the restored volume in service",
            observed="so" if facts["handed_over"] else "not yet",
            fix=f"run {NOTEBOOK} from the top",
            needs=REMOVE,
        ),
    )


def _adoption() -> Step:
    """Return the import of the restored volume, where Terraform owned the former one."""
    (step,) = ADOPTION

    def observe(run: Run) -> dict[str, Any]:
        facts = _observe_owned(run)
        if not facts["was_owned"]:
            return facts
        return {**facts, **step.observe(on_restored(run, facts))}

    return replace(
        step,
        step_id="adopt-restored-volume",
        notebook=NOTEBOOK,
        title="Import the restored volume into Terraform, where it owned the former one",
        observe=observe,
        plan=lambda facts: step.plan(facts) if facts["was_owned"] else "Terraform only reads the volume; so it stays.",
        act=lambda run, before: apply_root(on_restored(run, before), before),
        is_done=lambda facts: not facts["was_owned"] or (bool(facts["restored_id"]) and step.is_done(facts)),
        check=lambda facts: tuple(replace(check, needs=REMOVE) for check in step.check(facts)),
    )


PROVISION_FOR_RESTORE = Step(
    PROVISION,
    NOTEBOOK,
    "Let hosts serve the restored volume, with Terraform, what runs kept as it is",
    _observe,
    _plan,
    _apply,
    is_done=lambda facts: is_root_reached(facts) and bool(facts["restored_id"]),
    check=_check,
    verify=verify_root,
    timeout_s=0,
)

COMPLETE_RESTORE = Step(
    "complete-restore",
    NOTEBOOK,
    "Complete the exchange in Terraform: hosts may touch the restored volume only",
    _observe_completed,
    _plan,
    _apply,
    is_done=lambda facts: is_root_reached(facts) and facts["handed_over"],
    check=_check_completed,
    verify=verify_root,
    timeout_s=0,
)

FORGET_FORMER_VOLUME = Step(
    "forget-former-volume",
    NOTEBOOK,
    "Take the former volume out of Terraform's state, where it is there",
    _observe_owned,
    lambda facts: f"Forget {facts['owned'] or 'nothing'}; the volume itself is left as it is.",
    _forget,
    is_done=_is_forgotten,
    check=_check_forget,
    verify=_verify_forgotten,
    timeout_s=30,
)

ADOPT_RESTORED_VOLUME = _adoption()
