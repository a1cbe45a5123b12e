"""Tests of runbook_lib.plan_rules, through planfile.guard."""

from __future__ import annotations

import json

import pytest
from terraform_plans import (
    DOCKER,
    GROUP,
    SERVICE,
    TASK,
    TEMPLATE,
    VOLUME,
    adopt,
    allow,
    change,
    delete,
    failed,
    plan,
    policy,
    whole,
)

from runbook_lib import planfile
from runbook_lib.plan_rules import RULES, interrupted


def test_the_plan_of_a_new_target_is_accepted():
    """What the modules make passes every rule."""
    assert failed(planfile.guard(whole())) == {}


def test_every_rule_makes_a_check():
    """Each rule is heard, in a fixed order, under its own id."""
    ids = [check.check_id for check in planfile.guard(whole())]

    assert len(ids) == len(set(ids)) == len(RULES)


@pytest.mark.parametrize(
    ("read_only", "broken"),
    [([True], False), ([True, False], True), ([False], True), ([], True)],
    ids=["a reader", "one container writes", "a writer", "nothing is known"],
)
def test_only_a_reader_may_be_scaled(read_only, broken):
    """Whether it is one is read from the planned containers; what is not known counts as a writer."""
    mounts = [{"mountPoints": [{"sourceVolume": "data", "containerPath": "/d", "readOnly": one}]} for one in read_only]
    task = TASK | {"container_definitions": json.dumps(mounts) if read_only else None}
    service = SERVICE | {"desired_count": 2}
    made = whole(aws_appautoscaling_target={"max_capacity": 2}, aws_ecs_task_definition=task, aws_ecs_service=service)
    assert (SINGLE in failed(planfile.guard(made))) is broken


def test_scaling_may_be_taken_away():
    """It stops no task: a target and its policy are deleted like nothing else."""
    removed = plan(delete("module.m.aws_appautoscaling_target.this"), delete("module.m.aws_appautoscaling_policy.this"))
    assert "plan-deletes-nothing" not in failed(planfile.guard(removed))


SINGLE = "plan-has-one-writer"
REFUSED = [
    ("plan-complete", whole() | {"errored": True}, "Terraform ended the plan with an error"),
    ("plan-keeps-stateful", plan(delete("aws_ebs_volume.data")), "aws_ebs_volume.data: delete"),
    ("plan-keeps-stateful", plan(delete("aws_ebs_volume.data", ("forget",))), "aws_ebs_volume.data: forget"),
    (
        "plan-keeps-stateful",
        plan(delete("aws_ebs_volume.data", ("create", "delete"))),
        "aws_ebs_volume.data: create and delete",
    ),
    ("plan-keeps-stateful", plan(delete("aws_ebs_snapshot.x")), "aws_ebs_snapshot.x: delete"),
    ("plan-keeps-stateful", plan(delete("aws_db_instance.x")), "aws_db_instance.x: delete"),
    ("plan-keeps-stateful", plan(delete("aws_s3_bucket.x")), "aws_s3_bucket.x: delete"),
    ("plan-deletes-nothing", plan(delete("module.m.aws_ecs_cluster.this")), "module.m.aws_ecs_cluster.this: delete"),
    (
        "plan-deletes-nothing",
        plan(delete("aws_ecs_service.this", ("delete", "create"))),
        "aws_ecs_service.this: delete and create",
    ),
    ("plan-deletes-nothing", plan(delete("aws_ecs_task_definition.this")), "aws_ecs_task_definition.this: delete"),
    ("plan-has-no-attachment", plan(change("aws_volume_attachment.x", {})), "aws_volume_attachment.x"),
    (
        "plan-has-no-attachment",
        plan(change("aws_volume_attachment.x", {}, before={}, actions=("no-op",))),
        "aws_volume_attachment.x",
    ),
    ("plan-keeps-the-volume", plan(change("aws_ebs_volume.data", VOLUME)), "aws_ebs_volume.data: create"),
    ("plan-keeps-the-volume", plan(adopt(size=4)), "aws_ebs_volume.data: size 8 -> 4 GiB"),
    ("plan-keeps-the-volume", plan(adopt(tags={"Name": "x"})), "aws_ebs_volume.data: update of tags"),
    ("plan-keeps-the-volume", plan(adopt(final_snapshot=True)), "aws_ebs_volume.data: update of final_snapshot alone"),
    (
        "plan-finds-the-volume",
        whole(aws_ecs_task_definition={"volume": [{"name": "data", "host_path": "/mnt/runbook/data"}]}),
        "module.m.aws_ecs_task_definition.this: host_path = /mnt/runbook/data on hosts that have not mounted it",
    ),
    (
        "plan-finds-the-volume",
        whole(aws_ecs_task_definition={"volume": [{"docker_volume_configuration": [DOCKER | {"scope": "task"}]}]}),
        "module.m.aws_ecs_task_definition.this: scope = task",
    ),
    (
        "plan-finds-the-volume",
        whole(
            aws_ecs_task_definition={"volume": [{"docker_volume_configuration": [DOCKER | {"autoprovision": True}]}]}
        ),
        "module.m.aws_ecs_task_definition.this: autoprovision = true",
    ),
    (
        "plan-finds-the-volume",
        whole(
            aws_ecs_task_definition={
                "volume": [{"docker_volume_configuration": [DOCKER | {"driver_opts": {"size": "5"}}]}]
            }
        ),
        'module.m.aws_ecs_task_definition.this: driver_opts = {"size": "5"}',
    ),
    (
        SINGLE,
        whole(aws_ecs_service=SERVICE | {"deployment_minimum_healthy_percent": 100}),
        "module.m.aws_ecs_service.this: deployment_minimum_healthy_percent = 100",
    ),
    (
        SINGLE,
        whole(aws_ecs_service=SERVICE | {"deployment_maximum_percent": 200}),
        "module.m.aws_ecs_service.this: deployment_maximum_percent = 200",
    ),
    (
        SINGLE,
        whole(aws_ecs_service=SERVICE | {"availability_zone_rebalancing": "ENABLED"}),
        "module.m.aws_ecs_service.this: availability_zone_rebalancing = ENABLED",
    ),
    (SINGLE, whole(aws_ecs_service=SERVICE | {"desired_count": 2}), "module.m.aws_ecs_service.this: desired_count = 2"),
    (
        SINGLE,
        whole(aws_ecs_service=SERVICE | {"deployment_controller": [{"type": "CODE_DEPLOY"}]}),
        "module.m.aws_ecs_service.this: deployment_controller = CODE_DEPLOY",
    ),
    (
        SINGLE,
        whole(aws_ecs_service=SERVICE | {"placement_constraints": []}),
        "module.m.aws_ecs_service.this: no placement constraint on the zone",
    ),
    (SINGLE, whole(aws_appautoscaling_target={"max_capacity": 2}), "module.m.aws_appautoscaling_target.this"),
    (
        "plan-launches-safe-hosts",
        whole(aws_launch_template=TEMPLATE | {"metadata_options": [{"http_tokens": "optional"}]}),
        "module.m.aws_launch_template.this: http_tokens = optional",
    ),
    (
        "plan-launches-safe-hosts",
        whole(aws_launch_template=TEMPLATE | {"metadata_options": []}),
        "module.m.aws_launch_template.this: http_tokens = not set",
    ),
    (
        "plan-launches-safe-hosts",
        whole(aws_launch_template=TEMPLATE | {"block_device_mappings": [{"device_name": "/dev/xvda", "ebs": [{}]}]}),
        "module.m.aws_launch_template.this: /dev/xvda is not encrypted",
    ),
    (
        "plan-launches-safe-hosts",
        whole(
            aws_launch_template=TEMPLATE
            | {"tag_specifications": [{"resource_type": "volume", "tags": {"NAME": "guestbook-data"}}]}
        ),
        "module.m.aws_launch_template.this: tag Name on volumes",
    ),
    (
        "plan-replaces-hosts-on-purpose",
        whole(aws_autoscaling_group=GROUP | {"instance_maintenance_policy": []}),
        "module.m.aws_autoscaling_group.this: instance_maintenance_policy = not set",
    ),
    (
        "plan-replaces-hosts-on-purpose",
        whole(aws_autoscaling_group=GROUP | {"suspended_processes": None}),
        "module.m.aws_autoscaling_group.this: AZRebalance is not suspended",
    ),
    (
        "plan-replaces-hosts-on-purpose",
        whole(aws_autoscaling_group=GROUP | {"max_size": 1}),
        "module.m.aws_autoscaling_group.this: max_size = 1",
    ),
    (
        "plan-replaces-hosts-on-purpose",
        whole(aws_autoscaling_group=GROUP | {"instance_refresh": [{"strategy": "Rolling"}]}),
        "module.m.aws_autoscaling_group.this: instance_refresh starts with the apply",
    ),
    (
        "plan-default-tags",
        whole() | {"variables": {"default_tags": {"value": {"name": "x"}}}},
        "default_tags has name",
    ),
    (
        "plan-default-tags",
        whole()
        | {
            "configuration": {
                "provider_config": {
                    "aws": {"expressions": {"default_tags": [{"tags": {"constant_value": {"Name": "x"}}}]}}
                }
            }
        },
        "default_tags has Name",
    ),
    *[
        (
            "plan-grants-no-volume-changes",
            whole(aws_iam_role_policy=policy(statement)),
            f"module.m.aws_iam_role_policy.this: allows {seen}",
        )
        for statement, seen in [
            (allow("ec2:CreateVolume"), "ec2:CreateVolume"),
            (allow("EC2:createtags"), "EC2:createtags"),
            (allow("ec2:*"), "ec2:*"),
            (allow("ec2:*Volume"), "ec2:*Volume"),
            (allow("*"), "*"),
            ({"Effect": "Allow", "Action": "ec2:Delete*", "Resource": "*"}, "ec2:Delete*"),
            ({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}, "everything but NotAction"),
        ]
    ],
]


@pytest.mark.parametrize(("check_id", "refused", "observed"), REFUSED)
def test_a_dangerous_plan_is_refused_for_that_reason_alone(check_id, refused, observed):
    """Each danger fails its own check, which names the resource and what was seen."""
    problems = failed(planfile.guard(refused))
    # A deleted volume is also something that is deleted.
    assert observed == problems.pop(check_id)
    if check_id == "plan-keeps-stateful" and "forget" not in observed:
        problems.pop("plan-deletes-nothing")
    assert problems == {}


def test_a_value_known_only_after_the_apply_cannot_be_approved():
    """A setting that the plan does not show counts as wrong."""
    service = {name: value for name, value in SERVICE.items() if name != "deployment_maximum_percent"}
    unseen = whole(aws_ecs_service=service)
    unseen["resource_changes"][0]["change"]["after_unknown"] = {"deployment_maximum_percent": True}

    observed = failed(planfile.guard(unseen))["plan-has-one-writer"]
    assert observed == "module.m.aws_ecs_service.this: deployment_maximum_percent = unknown"


def test_a_policy_known_only_after_the_apply_cannot_be_approved():
    """A policy that the plan does not show may allow anything."""
    unseen = whole(aws_iam_role_policy={})
    unseen["resource_changes"][-1]["change"]["after_unknown"] = {"policy": True}

    assert "known only after the apply" in failed(planfile.guard(unseen))["plan-grants-no-volume-changes"]


def test_what_a_killed_apply_was_creating_is_no_replace():
    """It is kept, not deleted; what is replaced for another reason stays refused, and so does whatever holds data."""
    tainted = [delete(f"{one}.this", ("delete", "create")) for one in ("aws_ecs_cluster", "aws_ebs_volume")]
    for one in tainted:
        one["action_reason"] = "replace_because_tainted"
    other = delete("aws_ecs_service.this", ("delete", "create"))

    assert list(failed(planfile.guard(plan(*tainted)))) == ["plan-keeps-stateful"]
    observed = failed(planfile.guard(plan(*tainted, other)))["plan-deletes-nothing"]
    assert observed == "aws_ecs_service.this: delete and create"
    assert interrupted(plan(*tainted, other)) == ["aws_ebs_volume.this", "aws_ecs_cluster.this"]


def test_taking_the_target_down_may_delete_what_holds_no_data():
    """With allow_delete the cluster may go, the volume may not."""
    down = plan(delete("aws_ecs_cluster.this"), delete("aws_ebs_volume.data"))

    assert list(failed(planfile.guard(down, allow_delete=True))) == ["plan-keeps-stateful"]


def test_a_host_mount_is_accepted_with_its_constraint():
    """A bound folder passes where the task is placed only on hosts that have mounted it."""
    rule = {"type": "memberOf", "expression": "attribute:runbook.mounted == vol-0a"}
    task = {"volume": [{"name": "data", "host_path": "/mnt/runbook/data"}], "placement_constraints": [rule]}
    assert failed(planfile.guard(whole(aws_ecs_task_definition=task))) == {}


def test_imdsv1_is_accepted_only_when_asked_for():
    """The stock plugin needs http_tokens = optional."""
    stock = whole(aws_launch_template=TEMPLATE | {"metadata_options": [{"http_tokens": "optional"}]})

    assert failed(planfile.guard(stock, allow_imds_v1=True)) == {}


@pytest.mark.parametrize(
    "accepted",
    [
        adopt(),
        adopt(size=16),
        adopt(size=16, final_snapshot=True),
        adopt(type="io2", iops=4000),
        delete("aws_ecs_task_definition.this", ("create", "delete")),
        delete("aws_lb_listener.this", ("delete", "create")),
    ],
)
def test_ordinary_changes_are_accepted(accepted):
    """Growing the volume, a new task definition revision and the adoption pass."""
    assert failed(planfile.guard(plan(accepted))) == {}


def test_a_service_without_data_is_not_bound_to_one_writer():
    """Without a data volume a service may run several tasks."""
    free = whole(aws_ecs_task_definition={"volume": []}, aws_ecs_service={"deployment_maximum_percent": 200})

    assert failed(planfile.guard(free)) == {}


OTHER = [{"name": "data", "host_path": "/mnt/data", "docker_volume_configuration": []}]


def moving(**service):
    """Return a plan that gives the task another volume, and the service, as it is now, the next revision."""
    rule = [{"type": "memberOf", "expression": "attribute:runbook.mounted == vol-0a"}]
    before = SERVICE | {"desired_count": 1, "task_definition": "arn:task:1"} | service
    after = before | {"task_definition": "arn:task:2"}
    return plan(
        change(
            "module.m.aws_ecs_task_definition.this",
            TASK | {"volume": OTHER, "placement_constraints": rule},
            before=TASK,
            actions=("create", "delete"),
        ),
        change("module.m.aws_ecs_service.this", after, before=before, actions=("update",)),
    )


def test_a_plan_that_moves_a_running_task_to_another_driver_is_refused():
    """The apply would stop the writer at a time nobody chose; what to run instead is said."""
    found = {check.check_id: check for check in planfile.guard(moving()) if not check.passed}
    assert list(found) == ["plan-moves-no-running-task"]
    assert "1 task running" in found["plan-moves-no-running-task"].observed
    assert "66_change_storage_driver" in found["plan-moves-no-running-task"].fix


def test_a_stopped_service_may_be_moved():
    """With nothing running, and so before the cutover, the driver is a value like others."""
    assert failed(planfile.guard(moving(desired_count=0))) == {}
