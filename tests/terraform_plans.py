"""Small plans as `terraform show -json` prints them, for the tests."""

from __future__ import annotations

import json

SERVICE = {
    "desired_count": 0,
    "deployment_minimum_healthy_percent": 0,
    "deployment_maximum_percent": 100,
    "availability_zone_rebalancing": "DISABLED",
    "deployment_controller": [{"type": "ECS"}],
    "placement_constraints": [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1a"}],
}
DOCKER = {"scope": "shared", "autoprovision": False, "driver": "rexray/ebs", "driver_opts": None}
TASK = {"family": "guestbook", "volume": [{"name": "data", "host_path": "", "docker_volume_configuration": [DOCKER]}]}
TEMPLATE = {
    "metadata_options": [{"http_tokens": "required"}],
    "block_device_mappings": [{"device_name": "/dev/xvda", "ebs": [{"encrypted": "true"}]}],
    "tag_specifications": [
        {"resource_type": "instance", "tags": {"Name": "guestbook-instance"}},
        {"resource_type": "volume", "tags": {"runbook-cluster": "guestbook"}},
    ],
}
GROUP = {
    "max_size": 2,
    "suspended_processes": ["AZRebalance"],
    "instance_maintenance_policy": [{"min_healthy_percentage": 100, "max_healthy_percentage": 200}],
    "instance_refresh": [],
}
VOLUME = {"id": "vol-0a", "size": 8, "type": "gp3", "iops": 3000, "throughput": 125, "final_snapshot": None}


def policy(*statements):
    """Return an IAM role policy."""
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def allow(*actions, effect="Allow"):
    """Return a statement."""
    return {"Effect": effect, "Action": list(actions), "Resource": "*"}


def change(address, after, *, before=None, actions=("create",), **more):
    """Return one resource change as `terraform show -json` prints it."""
    body = {"actions": list(actions), "before": before, "after": after, "after_unknown": {}, **more}
    return {"address": address, "mode": "managed", "type": address.split(".")[-2], "name": "this", "change": body}


def delete(address, actions=("delete",)):
    """Return the delete or replace of a resource."""
    return change(address, None if actions == ("delete",) else {"id": "new"}, before={"id": "old"}, actions=actions)


def adopt(**after):
    """Return the import of the data volume, which changes what is given."""
    actions = ("update",) if after else ("no-op",)
    return change("aws_ebs_volume.data", VOLUME | after, before=VOLUME, actions=actions, importing={"id": "vol-0a"})


def plan(*changes, **more):
    """Return a plan."""
    return {"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": list(changes), **more}


def whole(**replaced):
    """Return the plan of a new target, with one resource replaced by keyword."""
    resources = {
        "aws_ecs_service": SERVICE,
        "aws_ecs_task_definition": TASK,
        "aws_launch_template": TEMPLATE,
        "aws_autoscaling_group": GROUP,
        "aws_iam_role_policy": policy(allow("ec2:AttachVolume"), allow("ec2:CreateVolume", effect="Deny")),
    }
    return plan(*(change(f"module.m.{kind}.this", after) for kind, after in (resources | replaced).items()))


def failed(checks):
    """Return id and observation of each failed check."""
    return {check.check_id: check.observed for check in checks if not check.passed}
