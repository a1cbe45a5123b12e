"""10_provision_target: the ECS cluster, its host and the service at desired count 0, by Terraform."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.errors import HostCommandError
from runbook_lib.model import Check, Facts
from runbook_lib.parameters_rules import instance_memory_mib
from runbook_lib.procedures.observations import driver_of, observe_container_hosts, observe_volume
from runbook_lib.procedures.pull_images import NOTEBOOK, PROVISION, PULL_IMAGE
from runbook_lib.procedures.restore_facts import check_in_service
from runbook_lib.procedures.source_compose import check_root_shown, map_service, read_compose
from runbook_lib.procedures.target_root import (
    apply_root,
    check_root,
    is_root_reached,
    observe_root,
    plan_root,
    verify_root,
)
from runbook_lib.steps import Step, only_wait

if TYPE_CHECKING:
    from runbook_lib.run import Run

AMI_PARAMETER = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
_FOR_TASKS = 0.9  # of a host's memory; the rest is the system's and the agent's


def observe_task_mapping(run: Run) -> dict[str, Any]:
    """Return the compose service as an ECS task, and keep it as evidence.

    Args:
        run: The open run.

    Returns:
        Keys `image, container_name, container_path, sub_path, host_port, others, reserved_mib` (memory that ECS keeps
        for all containers), `host_mib` (memory by instance type, as far as it is known), `dropped, refused`.

    Changes:
        Evidence `task-mapping`.
    """
    mapping = map_service(run, read_compose(run)["config"])
    document = dataclasses.asdict(mapping)
    secrets = [s["valueFrom"] for d in mapping.container_definitions for s in d.get("secrets", ())]
    run.keep_evidence("task-mapping", document | {"secret_arns": [s for s in secrets if s.startswith("arn:")]})
    return {
        "image": mapping.image,
        "container_name": mapping.container_name,
        "container_path": mapping.container_path,
        "sub_path": mapping.sub_path,
        "host_port": mapping.host_port,
        "others": [one["name"] for one in mapping.container_definitions[1:]],
        "reserved_mib": sum(
            one.get("memoryReservation") or one.get("memory") or 0 for one in mapping.container_definitions
        ),
        "host_mib": {kind: instance_memory_mib(kind) for kind in run.parameters.target.instance_types},
        "dropped": [f"{m.key}: {m.consequence}" for m in mapping.mappings if m.outcome == "dropped"],
        "refused": [f"{m.key}: {m.consequence}" for m in mapping.mappings if m.outcome == "refused"],
    }


def _check_task_mapping(facts: Facts) -> Sequence[Check]:
    """Return whether nothing of the compose service would be lost."""
    return (
        Check(
            "compose-fully-mapped",
            passed=not facts["refused"],
            expected="every compose key mapped to ECS, or without effect there",
            observed="; ".join(facts["refused"]) or "nothing refused",
            why="a key that is left out silently changes how the service behaves",
            fix="as each line says",
        ),
        check_root_shown(facts),
        _check_memory(facts),
    )


def _check_memory(facts: Facts) -> Check:
    """Return whether the containers fit into every instance type: ECS finds no place for the task otherwise."""
    reserved, small = facts["reserved_mib"], {kind: mib for kind, mib in facts["host_mib"].items() if mib}
    short = [f"{kind} has {mib} MiB" for kind, mib in small.items() if reserved > mib * _FOR_TASKS]
    return Check(
        "containers-fit",
        passed=not short,
        expected=f"{reserved} MiB of memory for the task's containers, beside the agent, on each of instance_types",
        observed="; ".join(short) or "they fit",
        why="ECS would find no place for the task when the outage has begun",
        fix="less memory in target.memory_mib and target.other_containers, or larger instance types",
    )


def _plan_task_mapping(facts: Facts) -> str:
    dropped = "; ".join(facts["dropped"]) or "nothing"
    beside = f" Beside it in the task: {', '.join(facts['others'])}." if facts["others"] else ""
    port = f"host port {facts['host_port']}" if facts["host_port"] else "a host port of its own for each task"
    return (
        f"Container {facts['container_name']} runs {facts['image']}, sees the volume at {facts['container_path']} "
        f"and listens on {port}.{beside} Dropped: {dropped}."
    )


def observe_machine_image(run: Run) -> dict[str, Any]:
    """Return the machine image of the container instances, chosen once per run and then kept.

    Args:
        run: The open run.

    Returns:
        Keys `ami_id`, `source`.

    Changes:
        Evidence `machine-image`.
    """
    event = run.journal.last("evidence", name="machine-image")
    if event is not None:
        return dict(run.evidence("machine-image"))
    pinned = run.parameters.target.ami_id
    if pinned:
        facts = {"ami_id": pinned, "source": "target.ami_id"}
    else:
        facts = {"ami_id": run.aws.parameter(AMI_PARAMETER), "source": AMI_PARAMETER}
    run.keep_evidence("machine-image", facts)
    return facts


def _plan_machine_image(facts: Facts) -> str:
    return f"Container instances run {facts['ami_id']} (from {facts['source']}), pinned for this run."


def observe_registration(run: Run, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return which container instances can take the task, and why a host that should has not joined.

    Args:
        run: The open run.
        without: Instance ids of those that do not count, because the service shall leave them.

    Returns:
        Keys `capability`, `hosts` (as `observe_container_hosts`, plus `plugins`), `checks`.
    """
    driver = driver_of(run)
    hosts = [host for host in observe_container_hosts(run) if host["instance_id"] not in without]
    boots = [run.host(host["instance_id"]).run("read_boot") for host in hosts]
    found = [check.as_json() for boot in boots for check in driver.check_host(boot)]
    return {
        "capability": driver.capability,
        "hosts": hosts,
        "host_checks": found,
        "boot": "" if hosts else _why_not_joined(run),
    }


def _why_not_joined(run: Run) -> str:
    """Return what the boot of the group's instances says, as far as they can be asked."""
    group = run.terraform.output_json().get("autoscaling_group_name")
    texts = []
    for instance_id in run.ecs.describe_group(group)["instance_ids"] if group else ():
        try:
            boot = run.host(instance_id).run("read_boot")
        except HostCommandError as error:
            texts.append(str(error))
            continue
        errors = boot["cloud_init"].get("errors") or []
        texts.append(
            f"{instance_id}: cloud-init {boot['cloud_init']['status']}, agent {boot['agent']}, errors {errors}, "
            f"storage {boot['storage'].get('problem') or 'without problem'}"
        )
    return "; ".join(texts) or "no instance yet"


def _is_registered(facts: Facts) -> bool:
    return bool(facts["hosts"]) and all(check["passed"] for check in facts["host_checks"])


def _plan_registration(facts: Facts) -> str:
    return (
        f"Wait until a container instance is registered with {facts['capability']} and set up for the storage driver."
    )


def verify_registration(_before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether a container instance has joined that can take the task.

    Args:
        _before: Unused.
        after: As `observe_registration`.

    Returns:
        The checks.
    """
    registered = Check(
        "container-instance-registered",
        passed=bool(after["hosts"]),
        expected=f"a connected container instance with {after['capability']}",
        observed=", ".join(h["instance_id"] for h in after["hosts"]) or f"none ({after['boot']})",
        why="ECS cannot place the task anywhere else",
        fix="read the instance's /var/log/cloud-init-output.log; terminate it after the cause is mended",
    )
    return (registered, *(Check(**check) for check in after["host_checks"]))


STEPS = (
    Step(
        "map-container",
        NOTEBOOK,
        "Map the compose service to container definitions",
        observe_task_mapping,
        _plan_task_mapping,
        check=_check_task_mapping,
    ),
    Step(
        "choose-machine-image",
        NOTEBOOK,
        "Choose the machine image of the container instances",
        observe_machine_image,
        _plan_machine_image,
    ),
    Step(
        PROVISION,
        NOTEBOOK,
        "Provision cluster, host and service with Terraform, desired count 0",
        lambda run: {**observe_root(run), "volume": observe_volume(run)},
        plan_root,
        apply_root,
        is_done=is_root_reached,
        check=lambda facts: (check_in_service(facts["volume"]), *check_root(facts)),
        verify=verify_root,
        timeout_s=0,
    ),
    Step(
        "register-container-instance",
        NOTEBOOK,
        "Wait for a container instance that can mount the volume",
        observe_registration,
        _plan_registration,
        only_wait,
        is_done=_is_registered,
        verify=verify_registration,
        timeout_s=900,
        poll_s=1.0,
        waits_for="the instance boots, prepares the storage driver and joins the cluster",
    ),
    PULL_IMAGE,
)
