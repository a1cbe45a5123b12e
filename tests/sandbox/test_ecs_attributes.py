"""Custom attributes of container instances, and the `aws` command that sets them with the host's role."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.host_mount_town import CLUSTER, MountTown


@pytest.fixture(scope="module")
def member(account):
    """Return a cluster and its one host."""
    town = MountTown(account)
    town.launch()
    return town


def target(town):
    arn = town.member(town.hosts[0])["containerInstanceArn"]
    return {"targetType": "container-instance", "targetId": arn.rpartition("/")[2]}


def test_an_attribute_is_put_and_deleted_by_its_name(member):
    """What was put is shown by DescribeContainerInstances until it is deleted without a value."""
    one = target(member) | {"name": "colour"}
    member.ecs.put_attributes(cluster=CLUSTER, attributes=[one | {"value": "green"}])
    assert member.attributes(member.hosts[0])["colour"] == "green"
    member.ecs.delete_attributes(cluster=CLUSTER, attributes=[one])
    assert "colour" not in member.attributes(member.hosts[0])


@pytest.mark.parametrize(
    "change",
    [
        {"value": "a, b"},
        {"value": " a"},
        {"value": "x" * 129},
        {"name": "ecs.cpu-architecture", "value": "arm64"},
        {"targetType": None, "value": "a"},
        {"targetId": "0" * 32, "value": "a"},
    ],
    ids=["comma", "leading space", "too long", "reserved", "no type", "unknown host"],
)
def test_what_ecs_refuses_is_refused(member, error_of, change):
    """Values of other characters, reserved names and unknown targets are errors, and nothing is set."""
    given = {"name": "colour"} | target(member) | change
    attribute = {key: value for key, value in given.items() if value is not None}
    put = lambda: member.ecs.put_attributes(cluster=CLUSTER, attributes=[attribute])  # noqa: E731
    assert error_of(put) in {"InvalidParameterException", "TargetNotFoundException"}
    assert member.attributes(member.hosts[0]).get(given["name"]) in {None, "x86_64"}


def test_a_value_makes_a_deletion_fail(member, error_of):
    """ECS wants the name alone; with a value the caller believes something that may not be so."""
    one = target(member) | {"name": "colour", "value": "green"}
    delete = lambda: member.ecs.delete_attributes(cluster=CLUSTER, attributes=[one])  # noqa: E731
    assert error_of(delete) == "InvalidParameterException"


def test_the_command_acts_with_the_role_of_its_host(member):
    """Without the permission, or in another cluster than the policy names, the command fails and says so."""
    iam, host = member.sandbox.client("iam"), member.hosts[0]
    cluster_arn = f"arn:aws:ecs:us-east-1:012345678901:cluster/{CLUSTER}"
    statement = {
        "Effect": "Allow", "Action": "ecs:PutAttributes", "Resource": "*",
        "Condition": {"ArnEquals": {"ecs:cluster": cluster_arn}},
    }  # fmt: skip
    attribute = json.dumps([target(member) | {"name": "colour", "value": "blue"}])
    put = ("aws", "ecs", "put-attributes", "--cluster", CLUSTER, "--attributes", attribute)
    for condition, code in ((cluster_arn, 0), (cluster_arn + "-other", 254)):
        statement["Condition"] = {"ArnEquals": {"ecs:cluster": condition}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="host-mount-tests", PolicyName="all", PolicyDocument=document)
        answer = member.call(host, *put)
        assert answer["exit_code"] == code, answer
    assert "AccessDeniedException" in answer["stderr"]
