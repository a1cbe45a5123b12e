"""Faults of the AWS API, as a caller meets them: each through the ordinary API, with its real error code."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

from runbook_lib.errors import SandboxError


def struck(sandbox):
    """Return how often each fault has struck, oldest first."""
    return [one["struck"] for one in sandbox.control("GET", "/_sandbox/faults")["on"]]


@pytest.fixture(scope="module")
def host(account):
    """Return a running instance."""
    return account.running()


THROTTLED = {
    "ec2": (lambda sandbox: sandbox.client("ec2").describe_vpcs(), "RequestLimitExceeded", 503),
    "query": (lambda sandbox: sandbox.client("autoscaling").describe_auto_scaling_groups(), "Throttling", 400),
    "json": (lambda sandbox: sandbox.client("ecs").list_clusters(), "ThrottlingException", 400),
}


@pytest.mark.parametrize("protocol", THROTTLED)
def test_throttled_calls_get_the_code_of_their_service(protocol, sandbox, add_fault):
    """EC2 says RequestLimitExceeded with HTTP 503, query services Throttling, JSON services ThrottlingException."""
    call, code, status = THROTTLED[protocol]
    add_fault("throttle", times=1)
    with pytest.raises(ClientError) as caught:
        call(sandbox)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert call(sandbox)


def test_a_client_that_retries_gets_through_a_short_throttling(sandbox, add_fault):
    """Two refused calls are no more than a delay for a client in standard retry mode."""
    add_fault("throttle", operation="DescribeVpcs", times=2)
    config = Config(retries={"mode": "standard", "total_max_attempts": 4})
    client = boto3.client(
        "ec2",
        endpoint_url=sandbox.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="AKIATESTS00000000000",
        aws_secret_access_key="not-secret",
        config=config,
    )
    assert client.describe_vpcs()["Vpcs"]
    assert struck(sandbox) == [2]


def test_any_operation_can_answer_any_error_and_does_nothing_then(sandbox, account, add_fault, error_of):
    """The call with the fault's target is refused with the given code, and the world is as it was."""
    volume_id, other = account.available(), account.available()
    add_fault("api-error", operation="DeleteVolume", code="UnauthorizedOperation", target=volume_id)
    assert error_of(lambda: account.ec2.delete_volume(VolumeId=volume_id)) == "UnauthorizedOperation"
    account.ec2.delete_volume(VolumeId=other)
    assert account.volume(volume_id)["State"] == "available"


def test_a_call_whose_answer_is_lost_was_carried_out(account, add_fault, error_of):
    """The caller gets a server error, and the volume is deleted all the same."""
    volume_id = account.available()
    add_fault("lost-answer", operation="DeleteVolume", times=1)
    assert error_of(lambda: account.ec2.delete_volume(VolumeId=volume_id)) == "InternalError"
    assert error_of(lambda: account.volume(volume_id)) == "InvalidVolume.NotFound"


def test_a_slow_call_outlasts_the_patience_of_its_caller(sandbox, add_fault):
    """A caller that waits a fifth of a second for its answer gives up; other operations are answered."""
    add_fault("slow-api", operation="DescribeVpcs", seconds=2, times=1)
    config = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
    impatient = boto3.client(
        "ec2",
        endpoint_url=sandbox.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="AKIATESTS00000000000",
        aws_secret_access_key="not-secret",
        config=config,
    )
    with pytest.raises(ReadTimeoutError):
        impatient.describe_vpcs()
    assert sandbox.client("ec2").describe_subnets()["Subnets"]


def test_a_region_without_copies_does_not_know_the_call(account, add_fault, error_of):
    """CopyVolumes is an invalid action, and no volume is made."""
    volume_id = account.available()
    add_fault("copy-unsupported")
    before = len(account.ec2.describe_volumes()["Volumes"])
    assert error_of(lambda: account.ec2.copy_volumes(SourceVolumeId=volume_id)) == "InvalidAction"
    assert len(account.ec2.describe_volumes()["Volumes"]) == before


def test_volume_and_instance_can_be_in_different_zones(account, host, add_fault, error_of):
    """AttachVolume refuses once; the next attempt succeeds."""
    volume_id = account.available()
    add_fault("wrong-az", target=volume_id, times=1)
    attach = lambda: account.ec2.attach_volume(VolumeId=volume_id, InstanceId=host, Device="/dev/sdf")  # noqa: E731
    assert error_of(attach) == "InvalidVolume.ZoneMismatch"
    assert account.attachment(volume_id) == {}
    attach()
    account.wait_for_attachment(volume_id, "attached")


def test_one_stuck_detachment_goes_on_when_the_fault_is_cleared(sandbox, account, host, add_fault):
    """With a count of one, the first detachment stays busy and counts once; another volume leaves meanwhile."""
    first, second = account.attached(host, "/dev/sdg"), account.attached(host, "/dev/sdh")
    add_fault("stuck-detach", times=1)
    account.ec2.detach_volume(VolumeId=first)
    account.wait_for_attachment(first, "busy")
    account.ec2.detach_volume(VolumeId=second)
    account.wait_for_volume(second, "available")
    assert (account.attachment(first)["State"], struck(sandbox)) == ("busy", [1])
    sandbox.control("DELETE", "/_sandbox/faults")
    account.wait_for_volume(first, "available")


def test_a_fault_begins_after_so_many_calls(sandbox, account, add_fault):
    """The first two launches of the operation pass, the third finds no capacity."""
    add_fault("capacity", operation="DescribeVpcs", after_calls=2)
    for _number in range(2):
        account.ec2.terminate_instances(InstanceIds=[account.launch()])
        account.ec2.describe_vpcs()
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        account.launch()


def test_a_host_is_killed_after_so_many_calls(sandbox, account, add_fault):
    """What happens once happens when its call has been answered."""
    instance_id = account.booted(account.running())
    add_fault("kill-host", target=instance_id, operation="DescribeVpcs", after_calls=1)
    assert sandbox.control("GET", "/_sandbox/faults")["on"][0]["state"] == "waiting"
    account.ec2.describe_vpcs()
    status = lambda: account.ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]  # noqa: E731
    account.wait_until(lambda: status()["InstanceStatus"]["Status"] == "impaired", "the host is impaired")
    account.ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_copy_with_the_same_name_appears(account, host, add_fault):
    """The twin has Name and files of the volume, and comes first in the API's order."""
    name = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "twins"}]}]
    volume_id = account.available(TagSpecifications=name)
    add_fault("duplicate-name", target=volume_id)
    found = account.ec2.describe_volumes(Filters=[{"Name": "tag:Name", "Values": ["twins"]}])["Volumes"]
    assert [one["VolumeId"] == volume_id for one in found] == [False, True]
    account.wait_for_volume(found[0]["VolumeId"], "available")


def test_delete_on_termination_is_set_by_somebody_else(account, host, add_fault):
    """The flag that AttachVolume leaves off is on, in both views of the attachment."""
    volume_id = account.attached(host, "/dev/sdi")
    add_fault("delete-on-termination", target=volume_id)
    mappings = account.instance(host)["BlockDeviceMappings"]
    seen = [one["Ebs"]["DeleteOnTermination"] for one in mappings if one["DeviceName"] == "/dev/sdi"]
    assert (account.attachment(volume_id)["DeleteOnTermination"], seen) == (True, [True])


MISSING = {
    "volume": ("stuck-detach", {"target": "vol-0123456789abcdef0"}, "no volume id 'vol-0123456789abcdef0'"),
    "instance": ("kill-host", {"target": "i-0123456789abcdef0"}, "no instance id 'i-0123456789abcdef0'"),
    "instance type": ("capacity", {"target": "t3.tiny"}, "no instance type 't3.tiny'"),
    "image": ("image-pull-error", {"target": "registry.sandbox/nothing:1"}, "no image or plugin reference"),
    "container": ("unhealthy-app", {"target": "nobody"}, "no instance id, image or container name 'nobody'"),
    "operation": (
        "throttle",
        {"operation": "DetachVolum"},
        "no API operation 'DetachVolum'; did you mean DetachVolume",
    ),
    "attachment": ("delete-on-termination", {}, "is attached to no instance"),
    "name": ("duplicate-name", {}, "has no Name tag"),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_fault_aimed_at_nothing_is_refused(case, sandbox, account, add_fault):
    """What is not there is named, and nothing is switched on."""
    name, options, message = MISSING[case]
    options = options or {"target": account.available()}
    with pytest.raises(SandboxError, match=message):
        add_fault(name, **options)
    assert sandbox.control("GET", "/_sandbox/faults")["on"] == []


def test_a_fault_that_is_only_checked_is_not_on(sandbox, account, add_fault):
    """A dry run finds what is wrong and switches nothing on."""
    add_fault("capacity", dry_run=True)
    with pytest.raises(SandboxError, match="no instance type"):
        add_fault("capacity", target="t3.tiny", dry_run=True)
    assert sandbox.control("GET", "/_sandbox/faults")["on"] == []
