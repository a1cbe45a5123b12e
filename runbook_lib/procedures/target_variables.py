"""The values of the target's Terraform root module, from parameters and evidence. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook_lib.procedures.observations import driver_of, observe_volume

if TYPE_CHECKING:
    from runbook_lib.run import Run


def root_variables(run: Run) -> dict[str, Any]:
    """Return the values of `terraform.tfvars.json`, without those that depend on what Terraform owns already.

    Args:
        run: The open run; the container definitions and the machine image must be known.

    Returns:
        By the name of the variable.
    """
    parameters, driver, volume = run.parameters, driver_of(run), observe_volume(run)
    target, mapping = parameters.target, run.evidence("task-mapping")
    return {
        "region": parameters.aws.region,
        "account_id": parameters.aws.account_id,
        "run_id": run.run_id,
        "default_tags": {"managed-by": "runbook", "migration": parameters.name},
        "cluster_name": target.cluster_name,
        "service_name": target.service_name,
        "vpc_id": target.vpc_id,
        "subnet_ids": list(target.subnet_ids),
        "ami_id": run.evidence("machine-image")["ami_id"],
        "instance_types": list(target.instance_types),
        "http_tokens": driver.http_tokens,
        "volume_id": volume["volume_id"],
        "volume_kms_key_arn": volume["kms_key_id"] or None,
        "storage_boot": driver.boot(volume["volume_id"]),
        "task_volume": driver.task_volume(mapping.get("folders", {})),
        "container_definitions": mapping["container_definitions"],
        "container_name": mapping["container_name"],
        "container_port": mapping["container_port"],
        "host_port": mapping["host_port"],
        "secret_arns": mapping["secret_arns"],
        "client_cidr_blocks": list(target.allowed_cidrs),
        "load_balancer": _load_balancer(run),
    } | _role(run)


def _role(run: Run) -> dict[str, Any]:
    aws = run.parameters.aws
    identity = {"source_identity": run.run_id} if aws.source_identity else {}
    return {"assume_role_arn": aws.role_arn, "session_name": run.run_id} | identity if aws.role_arn else {}


def _load_balancer(run: Run) -> dict[str, Any] | None:
    target = run.parameters.target
    balancer = target.load_balancer
    if not balancer.enabled:
        return None
    return {
        "subnet_ids": list(balancer.subnet_ids),
        "internal": balancer.internal,
        "port": balancer.listener_port,
        "certificate_arn": balancer.certificate_arn,
        "client_cidr_blocks": list(target.allowed_cidrs),
        "health_check_path": target.health_check.path,
        "deregistration_delay_s": balancer.deregistration_delay_s,
    }


def wanted_scaling(run: Run) -> dict[str, int]:
    """Return how many tasks the parameters ask for.

    Args:
        run: The open run.

    Returns:
        Keys `min_tasks, max_tasks, target_cpu_percent`; empty when they ask for none beside the first one.
    """
    wanted = run.parameters.target.autoscaling
    if wanted is None:
        return {}
    return {key: getattr(wanted, key) for key in ("min_tasks", "max_tasks", "target_cpu_percent")}
