"""The sandbox's server: what it cannot do is refused in the caller's wire format, and every call is written down."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

import pytest

FORECAST = {"AutoScalingGroupName": "x", "PolicyName": "x", "StartTime": 0, "EndTime": 1}
MISSING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ec2": ("ec2", "describe_fast_snapshot_restores", {}),
    "query": ("autoscaling", "get_predictive_scaling_forecast", FORECAST),
    "json": ("ecs", "get_task_protection", {"cluster": "default"}),
    "json of another version": ("cloudtrail", "list_channels", {}),
}


@pytest.mark.parametrize("protocol", MISSING)
def test_an_operation_that_is_missing_is_an_invalid_action(protocol: str, sandbox: Any, error_of: Any) -> None:
    """What the sandbox lacks answers InvalidAction at once, in the protocol of the service."""
    service, method, arguments = MISSING[protocol]
    assert error_of(lambda: getattr(sandbox.client(service), method)(**arguments)) == "InvalidAction"


def test_an_answer_comes_as_one(sandbox: Any) -> None:
    """Head and body travel together: on a busy machine a client in between loses the answer and asks again."""
    at = urlsplit(sandbox.endpoint_url)
    request = b"GET /_sandbox/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection((at.hostname, at.port)) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            head, _, body = stream.read().partition(b"\r\n\r\n")
        (segments,) = struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)
    assert head.startswith(b"HTTP/1.1 200")
    assert "hosts" in json.loads(body)
    assert segments == 1, "tcpi_data_segs_in of <linux/tcp.h>"


def test_moto_s_own_interface_is_off(sandbox: Any, error_of: Any) -> None:
    """Nothing but the AWS API and the control paths can be reached, so no reset can happen by accident."""
    s3 = sandbox.client("s3")
    assert error_of(lambda: s3.list_objects_v2(Bucket="moto-api")) == "InvalidAction"


def test_calls_are_recorded_with_kind_and_outcome(sandbox: Any, error_of: Any) -> None:
    """Reads, writes, dry runs and refusals can be told apart in the record, in memory and in the file."""
    before = len(sandbox.control("GET", "/_sandbox/calls"))
    ec2 = sandbox.client("ec2")
    ec2.describe_volumes()
    dry = error_of(lambda: ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, DryRun=True))
    refused = error_of(lambda: ec2.delete_volume(VolumeId="vol-0123456789abcdef0"))
    assert (dry, refused) == ("DryRunOperation", "InvalidVolume.NotFound")
    calls = [call for call in sandbox.control("GET", f"/_sandbox/calls?since={before}") if call["service"] == "ec2"]
    mine = [call for call in calls if call["access_key_id"] == "AKIATESTS00000000000"]
    assert [(call["operation"], call["kind"], call["mutating"], call["outcome"]) for call in mine] == [
        ("DescribeVolumes", "read", False, "Success"),
        ("CreateVolume", "read", False, "DryRunOperation"),
        ("DeleteVolume", "write", True, "InvalidVolume.NotFound"),
    ]
    assert mine[2]["target"] == {"VolumeId": "vol-0123456789abcdef0"}
    assert mine[0]["request_id"]
    lines = (sandbox.state_dir / "api.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[mine[2]["number"] - 1])["operation"] == "DeleteVolume"


def test_reading_changes_no_state_and_writing_does(sandbox: Any, wait_until: Any) -> None:
    """With the client paused, AWS, volumes and hosts are the same after reads and a command that only looks."""
    ec2, ssm = sandbox.client("ec2"), sandbox.client("ssm")
    sandbox.control("POST", "/_sandbox/client", {"running": False})
    source = next(iter(sandbox.control("GET", "/_sandbox/status")["hosts"]))
    first = sandbox.control("GET", "/_sandbox/state?digest=1")
    for reading in (ec2.describe_volumes, ec2.describe_instances, sandbox.client("iam").list_roles):
        reading()
    sent = ssm.send_command(
        InstanceIds=[source], DocumentName="AWS-RunShellScript", Parameters={"commands": ["findmnt --json"]}
    )
    command_id = sent["Command"]["CommandId"]
    wait_until(lambda: ssm.list_commands(CommandId=command_id)["Commands"][0]["Status"] == "Success", "it has looked")
    assert sandbox.control("GET", "/_sandbox/state?digest=1") == first
    ec2.create_tags(Resources=[ec2.describe_subnets()["Subnets"][0]["SubnetId"]], Tags=[{"Key": "a", "Value": "b"}])
    assert sandbox.control("GET", "/_sandbox/state?digest=1")["aws"]["ec2"] != first["aws"]["ec2"]


def test_an_unknown_filter_is_refused(sandbox: Any, error_of: Any) -> None:
    """A filter that does not exist is InvalidParameterValue, not an empty answer."""
    filters = [{"Name": "no-such-filter", "Values": ["x"]}]
    assert error_of(lambda: sandbox.client("ec2").describe_volumes(Filters=filters)) == "InvalidParameterValue"


def test_throttling_is_a_fault_that_can_be_switched_on(sandbox: Any, error_of: Any) -> None:
    """With the fault on, so many calls are refused with RequestLimitExceeded, and no more."""
    fault = {"name": "throttle", "target": "DescribeVpcs", "times": 2}
    sandbox.control("POST", "/_sandbox/faults", fault)
    ec2 = sandbox.client("ec2")
    assert [error_of(ec2.describe_vpcs) for _number in range(2)] == ["RequestLimitExceeded"] * 2
    assert ec2.describe_vpcs()["Vpcs"]


def test_the_account_begins_with_a_zero(sandbox: Any) -> None:
    """The account id has twelve digits and a leading zero."""
    assert sandbox.client("sts").get_caller_identity()["Account"] == "012345678901"


def test_the_status_names_the_hosts(sandbox: Any) -> None:
    """GET /_sandbox/status says that the sandbox is ready, and where."""
    status = sandbox.control("GET", "/_sandbox/status")
    assert (status["ready"], status["endpoint_url"], status["latency"]) == (True, sandbox.endpoint_url, "fast")


POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["ec2:Attach*", "ec2:DescribeVolumes"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "ec2:DetachVolume",
            "Resource": "arn:aws:ec2:*:*:volume/*",
            "Condition": {"StringEquals": {"aws:ResourceTag/Name": "mine"}},
        },
        {"Effect": "Allow", "Action": "ec2:CreateVolume", "Resource": "*"},
        {"Effect": "Deny", "Action": ["ec2:CreateVolume", "ec2:DeleteVolume"], "Resource": "*"},
    ],
}


def test_permissions_are_evaluated_with_denies_resources_and_tags(sandbox: Any) -> None:
    """SimulatePrincipalPolicy follows explicit denies, wildcards, resources and conditions on tags."""
    iam, ec2 = sandbox.client("iam"), sandbox.client("ec2")
    iam.create_role(RoleName="evaluated", AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName="evaluated", PolicyName="p", PolicyDocument=json.dumps(POLICY))
    arns = {}
    for name in ("mine", "theirs"):
        tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}]}]
        volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tags)
        arns[name] = f"arn:aws:ec2:us-east-1:012345678901:volume/{volume['VolumeId']}"

    def decision(action: str, resource: str = "*") -> str:
        answer = iam.simulate_principal_policy(
            PolicySourceArn="arn:aws:iam::012345678901:role/evaluated", ActionNames=[action], ResourceArns=[resource]
        )
        return answer["EvaluationResults"][0]["EvalDecision"]

    assert decision("ec2:AttachVolume", arns["theirs"]) == "allowed"
    assert decision("ec2:DetachVolume", arns["mine"]) == "allowed"
    assert decision("ec2:DetachVolume", arns["theirs"]) == "implicitDeny"
    assert decision("ec2:CreateVolume") == "explicitDeny"
    assert decision("ec2:StopInstances") == "implicitDeny"


def test_a_rule_that_names_a_group_keeps_its_description(sandbox: Any) -> None:
    """Terraform's rules between a load balancer and the hosts would otherwise differ from their plan for ever."""
    ec2 = sandbox.client("ec2")
    vpc_id = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group_id = ec2.create_security_group(GroupName="hosts", Description="hosts", VpcId=vpc_id)["GroupId"]
    pair = {"GroupId": group_id, "Description": "Load balancer"}
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [pair]}
    ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group_id]}])[
        "SecurityGroupRules"
    ]
    assert [one["Description"] for one in rules if not one["IsEgress"]] == ["Load balancer"]
