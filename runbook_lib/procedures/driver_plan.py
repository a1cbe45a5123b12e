"""A change of the storage driver in Terraform: what is planned before the outage, and the empty plan at its end.

Before, the service is kept on its revision and the hosts of `host_mount` keep their permissions, so that the apply
moves nothing that runs. The service is moved by 66, in the outage, by one call; afterwards Terraform finds it moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook_lib.model import Check, Facts
from runbook_lib.procedures.storage_drivers import CHANGE, HOST_MOUNT, is_settled, observe_drivers
from runbook_lib.procedures.target_root import (
    apply_root,
    check_root,
    is_root_reached,
    observe_root,
    output,
    plan_root,
    verify_root,
)
from runbook_lib.procedures.target_variables import wanted_scaling
from runbook_lib.steps import Step

if TYPE_CHECKING:
    from runbook_lib.run import Run

PREPARE, CHANGES = "65_prepare_storage_driver", "66_change_storage_driver"
PROVISION_ID = "provision-storage-driver"
_OF_THE_DRIVER = (
    "module.ecs_cluster.aws_launch_template.this",
    "module.ecs_cluster.aws_autoscaling_group.this",
    "module.ecs_cluster.aws_iam_role_policy.agent",
    "module.ecs_service.aws_ecs_task_definition.this",
)
"""What a storage driver is made of in Terraform. Neither the service nor the volume is."""


def observe_prepared(run: Run) -> dict[str, Any]:
    """Return the plan in which everything that runs stays; keep which revision the service shall use.

    Args:
        run: The open run, with evidence `task-mapping` and `machine-image`.

    Returns:
        As `observe_root`, plus `drivers` (as `observe_drivers`).

    Changes:
        Files of the run folder; evidence `storage-driver`.
    """
    drivers = observe_drivers(run)
    kept = {
        "kept_task_definition_arn": drivers["service"].get("task_definition_arn"),
        "keeps_host_mount_hosts": any(host["storage"] == HOST_MOUNT for host in drivers["hosts"]),
    } | _kept_scaling(run, drivers["registered"])
    facts = observe_root(run, kept=kept)
    names = {"task_definition_arn": output(run, "task_definition_arn"), "group": output(run, "autoscaling_group_name")}
    run.keep_evidence(CHANGE, names)
    return facts | {"drivers": observe_drivers(run)}


def _kept_scaling(run: Run, registered: Facts) -> dict[str, Any]:
    """Return the scaling that a plan keeps; what an apply left without a policy is not kept, but what is wanted is."""
    kept = registered if registered.get("target_cpu_percent") else registered and wanted_scaling(run)
    return {"autoscaling": kept} if kept else {}


def plan_ahead(run: Run) -> str:
    """Return the digest of the plan that 65 or 62 will apply, before its first act, so that one approval is enough.

    Args:
        run: The open run.

    Returns:
        SHA-256 in hex; "" when Terraform has nothing to change any more.
    """
    facts = observe_prepared(run)
    return "" if is_root_reached(facts) else str(facts["plan_sha256"])


def check_only_driver(facts: Facts) -> Sequence[Check]:
    """Return whether the plan changes nothing but what the storage driver is made of.

    Args:
        facts: As `observe_root`.

    Returns:
        The guard's checks, and one more.
    """
    return check_only(
        facts,
        _OF_THE_DRIVER,
        "plan-changes-the-driver-only",
        "changes of launch template, group, the hosts' policy and task definition only",
        "a change of the storage driver brings no other change with it, and no apply moves the running task",
    )


def check_only(facts: Facts, addresses: Sequence[str], check_id: str, expected: str, why: str) -> Sequence[Check]:
    """Return whether the plan changes nothing but some resources.

    Args:
        facts: As `observe_root`.
        addresses: Their addresses.
        check_id: Id of the check.
        expected: What may change, in words.
        why: Why nothing else may.

    Returns:
        The guard's checks, and this one.
    """
    others = [change["address"] for change in facts["changes"] if change["address"] not in addresses]
    return (
        *check_root(facts),
        Check(
            check_id,
            passed=not others,
            expected=expected,
            observed=", ".join(others) or "so",
            why=why,
            fix="bring the other parameters to what runs, or apply their change first: 10_provision_target",
        ),
    )


def _observe_completed(run: Run) -> dict[str, Any]:
    return observe_root(run) | {"drivers": observe_drivers(run)}


def _check_completed(facts: Facts) -> Sequence[Check]:
    drivers = facts["drivers"]
    settled = is_settled(drivers)
    return (
        Check(
            "driver-changed",
            passed=settled,
            expected=f"the service on {drivers['wanted']}, and no host of another driver",
            observed=f"on {drivers['current']['driver']}, other hosts: {', '.join(drivers['former']) or 'none'}",
            why="an apply before would move the task, or take the permissions of hosts that hold the volume",
            fix="run 66_change_storage_driver from the top",
            needs="remove-former-hosts",
        ),
        *(replace(check, needs="remove-former-hosts") for check in check_only_driver(facts)),
    )


def verify_plan(step_id: str, notebook: str, needs: str) -> Step:
    """Return the step that verifies that Terraform would change nothing.

    Args:
        step_id: Its id.
        notebook: Its notebook.
        needs: The step before which a plan may still have changes.

    Returns:
        The step; it only reads.
    """
    return Step(
        step_id,
        notebook,
        "Verify that Terraform would change nothing",
        observe_root,
        plan_root,
        is_done=is_root_reached,
        check=lambda facts: tuple(replace(check, needs=needs) for check in verify_root(facts, facts)),
    )


PROVISION_STORAGE_DRIVER = Step(
    PROVISION_ID,
    PREPARE,
    "Register the next revision and launch template with Terraform, the service kept as it is",
    observe_prepared,
    plan_root,
    apply_root,
    is_done=is_root_reached,
    check=check_only_driver,
    verify=verify_root,
    timeout_s=0,
)

COMPLETE_STORAGE_DRIVER = Step(
    "complete-storage-driver",
    CHANGES,
    "Complete the change in Terraform: the plan must be empty",
    _observe_completed,
    plan_root,
    apply_root,
    is_done=is_root_reached,
    check=_check_completed,
    verify=verify_root,
    timeout_s=0,
)
