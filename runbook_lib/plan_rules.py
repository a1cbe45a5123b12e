"""The rules that a Terraform plan must keep, one function each.

Pure: every rule takes the JSON of ``terraform show -json`` and returns checks. A value that is known only after the
apply counts as broken: what cannot be seen before cannot be approved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from runbook_lib.model import Check
from runbook_lib.model_readers import only_read_texts

Plan = Mapping[str, Any]
"""The JSON of ``terraform show -json PLANFILE``."""

STATEFUL_TYPES = frozenset(
    {
        "aws_ami", "aws_backup_vault", "aws_db_cluster_snapshot", "aws_db_instance",
        "aws_db_snapshot", "aws_dynamodb_table", "aws_ebs_snapshot", "aws_ebs_snapshot_copy", "aws_ebs_volume",
        "aws_ecr_repository", "aws_efs_file_system", "aws_elasticache_cluster", "aws_elasticache_replication_group",
        "aws_fsx_lustre_file_system", "aws_fsx_ontap_file_system", "aws_fsx_openzfs_file_system", "aws_instance",
        "aws_kms_key", "aws_mq_broker", "aws_msk_cluster", "aws_opensearch_domain", "aws_rds_cluster",
        "aws_redshift_cluster", "aws_s3_bucket", "aws_s3_object", "aws_secretsmanager_secret", "aws_ssm_parameter",
    }
)  # fmt: skip
"""Resource types that hold data, or the key to it."""

REPLACEABLE_TYPES = frozenset(
    {
        "aws_ecs_task_definition", "aws_iam_role_policy", "aws_iam_role_policy_attachment", "aws_lb_listener",
        "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule",
    }
)  # fmt: skip
"""Resource types that Terraform may replace without stopping the task."""

FORBIDDEN_ACTIONS = ("ec2:CreateVolume", "ec2:DeleteVolume", "ec2:CreateTags", "ec2:DeleteTags", "ec2:ModifyVolume")
"""What no planned IAM policy may allow: the plugin would use it on volumes."""
MOUNTED_RULE = "attribute:runbook.mounted =="  # set by the unit of storage driver host_mount
VOLUME_SETTINGS = frozenset({"size", "type", "iops", "throughput"})
"""Attributes of a volume that ModifyVolume changes; ``final_snapshot`` may only travel with one of them."""


def managed_changes(plan: Plan) -> list[Mapping[str, Any]]:
    """Return the resource changes of a plan without the data sources."""
    return [raw for raw in plan.get("resource_changes", []) if raw.get("mode") == "managed"]


def interrupted(plan: Plan) -> list[str]:
    """Return the addresses that a plan replaces only because an apply was killed while it created them, sorted."""
    reason = "replace_because_tainted"
    return sorted(raw["address"] for raw in managed_changes(plan) if raw.get("action_reason") == reason)


def planned(plan: Plan, resource_type: str) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield address, attributes and unknown attributes of each resource of a type that will exist after the apply."""
    for raw in managed_changes(plan):
        if raw["type"] == resource_type and raw["change"].get("after") is not None:
            yield raw["address"], raw["change"]["after"], raw["change"].get("after_unknown") or {}


def has_data_volume(plan: Plan) -> bool:
    """Return whether a planned task definition has a volume."""
    return any(after.get("volume") for _, after, _ in planned(plan, "aws_ecs_task_definition"))


def _check(check_id: str, problems: list[str], expected: str, why: str, fix: str) -> list[Check]:
    observed = "; ".join(sorted(problems)) or "so in every planned resource"
    return [Check(check_id=check_id, passed=not problems, expected=expected, observed=observed, why=why, fix=fix)]


def check_complete(plan: Plan, **_: bool) -> list[Check]:
    """The plan ended without an error."""
    problems = ["Terraform ended the plan with an error"] if plan.get("errored") else []
    why = "a plan that stopped half-way does not show all it would do"
    return _check("plan-complete", problems, "a plan without errors", why, "read the plan's errors and plan again")


def check_stateful_kept(plan: Plan, **_: bool) -> list[Check]:
    """Nothing that holds data is deleted, replaced or forgotten."""
    problems = [
        f"{raw['address']}: {' and '.join(raw['change']['actions'])}"
        for raw in managed_changes(plan)
        if raw["type"] in STATEFUL_TYPES and {"delete", "forget"} & set(raw["change"]["actions"])
    ]
    expected = "no delete, replace or forget of anything that holds data"
    why = "prevent_destroy does not protect a resource whose block is gone"
    return _check("plan-keeps-stateful", problems, expected, why, "put the block and its values back, then plan again")


def check_deletes(plan: Plan, *, allow_delete: bool, **_: bool) -> list[Check]:
    """Nothing is deleted, and only what cannot stop the task is replaced; what was interrupted is kept by the apply."""
    problems = [
        f"{raw['address']}: {' and '.join(raw['change']['actions'])}"
        for raw in managed_changes(plan)
        if "delete" in raw["change"]["actions"]
        and raw["address"] not in interrupted(plan)
        and not raw["type"].startswith("aws_appautoscaling_")  # stops no task
        and not ("create" in raw["change"]["actions"] and raw["type"] in REPLACEABLE_TYPES)
    ]
    expected = "no delete, and replace only of " + ", ".join(sorted(REPLACEABLE_TYPES))
    why = "replacing a cluster, service or group stops the task at a time nobody chose"
    fix = "find the value that forces it in the plan; a name or a subnet cannot change in place"
    return _check("plan-deletes-nothing", [] if allow_delete else problems, expected, why, fix)


def check_attachment(plan: Plan, **_: bool) -> list[Check]:
    """Terraform attaches no volume."""
    problems = [raw["address"] for raw in managed_changes(plan) if raw["type"] == "aws_volume_attachment"]
    why = "the storage driver attaches the data volume; Terraform would attach it back in the moment it is free"
    fix = "remove the block with removed { lifecycle { destroy = false } }"
    return _check("plan-has-no-attachment", problems, "no aws_volume_attachment", why, fix)


def check_volume_owned(plan: Plan, **_: bool) -> list[Check]:
    """No data volume is created, and an owned one changes only by what its owner may change."""
    problems = []
    for raw in managed_changes(plan):
        change, before, after = raw["change"], raw["change"].get("before"), raw["change"].get("after")
        if raw["type"] != "aws_ebs_volume" or before == after:
            continue
        if before is None:
            problems.append(f"{raw['address']}: create")
        elif "update" in change["actions"]:
            changed = {name for name in after if before.get(name) != after.get(name)}
            if (after.get("size") or 0) < (before.get("size") or 0):
                problems.append(f"{raw['address']}: size {before['size']} -> {after['size']} GiB")
            if changed - VOLUME_SETTINGS - {"final_snapshot"}:
                problems.append(f"{raw['address']}: update of {', '.join(sorted(changed - VOLUME_SETTINGS))}")
            elif not changed & VOLUME_SETTINGS:
                problems.append(f"{raw['address']}: update of {', '.join(sorted(changed))} alone")
    expected = "no new aws_ebs_volume, and no update but of size (up), type, iops, throughput"
    why = "an empty volume beside the data volume is how data gets lost, and the cutover owns the Name tag"
    fix = "import the existing volume; final_snapshot is recorded together with a change of size or type"
    return _check("plan-keeps-the-volume", problems, expected, why, fix)


def check_task_volumes(plan: Plan, **_: bool) -> list[Check]:
    """A task definition finds an existing volume or fails; it never makes or removes one."""
    problems = []
    for address, after, _unknown in planned(plan, "aws_ecs_task_definition"):
        rules = [str(rule.get("expression")) for rule in after.get("placement_constraints") or []]
        for volume in after.get("volume") or []:
            if volume.get("host_path") and not any(rule.startswith(MOUNTED_RULE) for rule in rules):
                problems.append(f"{address}: host_path = {volume['host_path']} on hosts that have not mounted it")
            for docker in volume.get("docker_volume_configuration") or []:
                if docker.get("scope") != "shared":
                    problems.append(f"{address}: scope = {docker.get('scope')}")
                if docker.get("autoprovision"):
                    problems.append(f"{address}: autoprovision = true")
                if docker.get("driver_opts"):
                    problems.append(f"{address}: driver_opts = {json.dumps(docker['driver_opts'], sort_keys=True)}")
    expected = f"scope = shared, autoprovision = false, no driver_opts; with host_path a constraint {MOUNTED_RULE} ..."
    why = "task scope deletes the volume with the task, autoprovision and a bare folder of the host begin a second one"
    return _check("plan-finds-the-volume", problems, expected, why, "use modules/ecs_service unchanged")


def check_single_writer(plan: Plan, **_: bool) -> list[Check]:
    """A service with a data volume can never run two tasks."""
    if not has_data_volume(plan):
        return []
    tasks = [after.get("container_definitions") for _, after, _ in planned(plan, "aws_ecs_task_definition")]
    reads = only_read_texts(tasks)
    problems = [] if reads else [address for address, _, _ in planned(plan, "aws_appautoscaling_target")]
    wanted = {"deployment_minimum_healthy_percent": 0, "deployment_maximum_percent": 100,
              "availability_zone_rebalancing": "DISABLED"}  # fmt: skip
    for address, after, unknown in planned(plan, "aws_ecs_service"):
        problems += [
            f"{address}: {name} = {'unknown' if unknown.get(name) else after.get(name)}"
            for name, value in wanted.items()
            if after.get(name) != value
        ]
        if (after.get("desired_count") or 0) > 1 and not reads:
            problems.append(f"{address}: desired_count = {after['desired_count']}")
        kinds = [controller.get("type") for controller in after.get("deployment_controller") or []]
        problems += [f"{address}: deployment_controller = {kind}" for kind in kinds if kind != "ECS"]
        expressions = [str(rule.get("expression")) for rule in after.get("placement_constraints") or []]
        if not any("attribute:ecs.availability-zone ==" in expression for expression in expressions):
            problems.append(f"{address}: no placement constraint on the zone")
    expected = "0 % / 100 %, no zone rebalancing, controller ECS, one task, a zone constraint, no scaled writer"
    why = "two tasks with one volume corrupt it, or wait for each other for ever"
    return _check("plan-has-one-writer", problems, expected, why, "use modules/ecs_service unchanged")


def check_running_driver(plan: Plan, **_: bool) -> list[Check]:
    """No apply gives a running task another storage driver."""
    raws = [(raw["address"], raw["type"], raw["change"]) for raw in managed_changes(plan)]
    found = [(address, kind, body.get("before") or {}, body.get("after") or {}) for address, kind, body in raws]
    moved = any(b.get("volume") != a.get("volume") for _, kind, b, a in found if b and kind.endswith("task_definition"))
    problems = [
        f"{address}: task_definition, with {old['desired_count']} task running"
        for address, kind, old, new in found
        if moved and kind == "aws_ecs_service" and old.get("desired_count")
        if new.get("task_definition") != old.get("task_definition")
    ]
    why, expected = "ECS would stop it, and start it where the volume is not", "a running task keeps its storage driver"
    return _check("plan-moves-no-running-task", problems, expected, why, "run 65, then 66_change_storage_driver")


def check_launch_template(plan: Plan, *, allow_imds_v1: bool, **_: bool) -> list[Check]:
    """Container instances use IMDSv2, have an encrypted root volume and give volumes no Name."""
    problems = []
    for address, after, _unknown in planned(plan, "aws_launch_template"):
        tokens = [options.get("http_tokens") for options in after.get("metadata_options") or []]
        if tokens != ["required"] and not allow_imds_v1:
            problems.append(f"{address}: http_tokens = {', '.join(map(str, tokens)) or 'not set'}")
        problems += [
            f"{address}: {mapping.get('device_name')} is not encrypted"
            for mapping in after.get("block_device_mappings") or []
            if any(str(ebs.get("encrypted")).lower() != "true" for ebs in mapping.get("ebs") or [])
        ]
        for specification in after.get("tag_specifications") or []:
            names = [key for key in specification.get("tags") or {} if key.lower() == "name"]
            if names and specification.get("resource_type") == "volume":
                problems.append(f"{address}: tag Name on volumes")
    expected = "http_tokens = required, encrypted volumes, no Name in the tags of volumes"
    why = "the plugin finds the data volume by its Name among all volumes of the zone, root volumes too"
    return _check("plan-launches-safe-hosts", problems, expected, why, "use modules/ecs_cluster unchanged")


def check_group(plan: Plan, **_: bool) -> list[Check]:
    """The group replaces a host only when told to, and launches the new one first."""
    problems = []
    for address, after, _unknown in planned(plan, "aws_autoscaling_group"):
        policies = [
            (policy.get("min_healthy_percentage"), policy.get("max_healthy_percentage"))
            for policy in after.get("instance_maintenance_policy") or []
        ]
        if policies != [(100, 200)]:
            problems.append(f"{address}: instance_maintenance_policy = {policies or 'not set'}")
        if "AZRebalance" not in (after.get("suspended_processes") or []):
            problems.append(f"{address}: AZRebalance is not suspended")
        if (after.get("max_size") or 0) < 2:  # noqa: PLR2004 - one host and its replacement
            problems.append(f"{address}: max_size = {after.get('max_size')}")
        if after.get("instance_refresh"):
            problems.append(f"{address}: instance_refresh starts with the apply")
    expected = "instance_maintenance_policy 100/200, AZRebalance suspended, max_size of at least 2, no instance_refresh"
    why = "a host that ends without a warm replacement turns a task move into a boot"
    return _check("plan-replaces-hosts-on-purpose", problems, expected, why, "use modules/ecs_cluster unchanged")


def check_default_tags(plan: Plan, **_: bool) -> list[Check]:
    """The provider's default tags hold no Name."""
    variables = plan.get("variables", {})
    names = set((variables.get("default_tags", {}).get("value")) or {})
    for provider in plan.get("configuration", {}).get("provider_config", {}).values():
        for block in provider.get("expressions", {}).get("default_tags", []):
            names |= set((block.get("tags", {}).get("constant_value")) or {})
    problems = [f"default_tags has {name}" for name in names if name.lower() == "name"]
    why = "every volume would carry the name that the plugin looks for"
    return _check("plan-default-tags", problems, "no Name in default_tags", why, "take Name out of default_tags")


def check_policies(plan: Plan, **_: bool) -> list[Check]:
    """No planned policy lets anybody make, remove, change or name a volume."""
    problems = []
    for resource_type in ("aws_iam_role_policy", "aws_iam_policy"):
        for address, after, unknown in planned(plan, resource_type):
            if unknown.get("policy") or not after.get("policy"):
                problems.append(f"{address}: known only after the apply")
                continue
            statements = json.loads(after["policy"])["Statement"]
            for statement in statements if isinstance(statements, list) else [statements]:
                problems += [f"{address}: allows {action}" for action in _forbidden(statement)]
    expected = "no policy that allows " + ", ".join(FORBIDDEN_ACTIONS)
    why = "the plugin makes an empty volume when it does not find the name, and deletes the volume on docker volume rm"
    return _check("plan-grants-no-volume-changes", problems, expected, why, "use modules/ecs_cluster unchanged")


def _forbidden(statement: Mapping[str, Any]) -> list[str]:
    """Return the actions of an allowing statement that cover one of the forbidden ones."""
    if statement.get("Effect") != "Allow":
        return []
    if "NotAction" in statement:
        return ["everything but NotAction"]
    actions = statement.get("Action", [])
    return [
        action
        for action in ([actions] if isinstance(actions, str) else actions)
        if any(fnmatchcase(forbidden.lower(), action.lower()) for forbidden in FORBIDDEN_ACTIONS)
    ]


RULES: tuple[Callable[..., list[Check]], ...] = (
    check_complete,
    check_stateful_kept,
    check_deletes,
    check_attachment,
    check_volume_owned,
    check_task_volumes,
    check_single_writer,
    check_running_driver,
    check_launch_template,
    check_group,
    check_default_tags,
    check_policies,
)
