"""Instances of the sandbox: their states last, and their volumes go as DeleteOnTermination says."""

from __future__ import annotations

from typing import Any


def _state(account: Any, instance_id: str) -> str:
    return account.instance(instance_id)["State"]["Name"]


def test_an_instance_goes_through_all_its_states(account: Any) -> None:
    """An instance is pending, running, stopping, stopped, pending, running, shutting-down and terminated."""
    ec2, instance_id = account.ec2, account.launch()
    seen = [_state(account, instance_id)]
    steps = [
        (None, "running"),
        (ec2.stop_instances, "stopped"),
        (ec2.start_instances, "running"),
        (ec2.terminate_instances, "terminated"),
    ]
    for call, state in steps:
        if call:
            call(InstanceIds=[instance_id])
            seen.append(_state(account, instance_id))
        account.wait_until(lambda wanted=state: _state(account, instance_id) == wanted, f"the instance is {state}")
    assert seen == ["pending", "stopping", "pending", "shutting-down"]


def test_an_instance_has_the_loopback_address_of_its_host(account: Any) -> None:
    """Private and public address are the loopback address at which the host's containers listen."""
    instance = account.instance(account.running())
    port = account.sandbox.info.port
    assert instance["PrivateIpAddress"].startswith(f"127.{port >> 8}.{port & 255}.")
    assert instance["PublicIpAddress"] == instance["PrivateIpAddress"]


def test_metadata_options_are_kept(account: Any) -> None:
    """The metadata options of a launch are what DescribeInstances shows."""
    options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
    shown = account.instance(account.launch(MetadataOptions=options))["MetadataOptions"]
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("required", 2)


def test_a_stop_that_makes_no_sense_is_refused(account: Any, error_of: Any) -> None:
    """A terminated instance can be neither stopped nor started."""
    instance_id = account.running()
    account.ec2.terminate_instances(InstanceIds=[instance_id])
    assert error_of(lambda: account.ec2.stop_instances(InstanceIds=[instance_id])) == "IncorrectInstanceState"
    assert error_of(lambda: account.ec2.start_instances(InstanceIds=[instance_id])) == "IncorrectInstanceState"


def test_an_image_that_is_not_there_cannot_be_launched(account: Any, error_of: Any) -> None:
    """RunInstances with an unknown AMI is refused."""
    assert error_of(lambda: account.launch(ImageId="ami-0123456789abcdef0")) == "InvalidAMIID.NotFound"


def test_volumes_stay_attached_through_a_stop(account: Any) -> None:
    """Stopping keeps the attachment; starting finds it again."""
    instance_id = account.running()
    volume_id = account.attached(instance_id)
    account.ec2.stop_instances(InstanceIds=[instance_id])
    account.wait_until(lambda: _state(account, instance_id) == "stopped", "the instance is stopped")
    assert account.attachment(volume_id)["State"] == "attached"
    account.ec2.start_instances(InstanceIds=[instance_id])
    account.wait_until(lambda: _state(account, instance_id) == "running", "the instance runs again")
    assert account.attachment(volume_id)["State"] == "attached"


def test_termination_honours_delete_on_termination(account: Any, error_of: Any) -> None:
    """A volume with DeleteOnTermination vanishes with its files; one without becomes available with them."""
    mapping = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": True}}
    instance_id = account.running(BlockDeviceMappings=[mapping])
    mappings = account.instance(instance_id)["BlockDeviceMappings"]
    doomed = next(one["Ebs"]["VolumeId"] for one in mappings if one["DeviceName"] == "/dev/sdf")
    kept = account.attached(instance_id, "/dev/sdg")
    folder = account.sandbox.state_dir / "volumes"
    assert (folder / doomed).exists()
    account.ec2.terminate_instances(InstanceIds=[instance_id])
    assert account.volume(kept)["State"] == "in-use"
    account.wait_until(lambda: _state(account, instance_id) == "terminated", "the instance is terminated")
    assert error_of(lambda: account.volume(doomed)) == "InvalidVolume.NotFound"
    account.wait_until(lambda: not (folder / doomed).exists(), "the files are gone")
    assert account.volume(kept)["State"] == "available"
    assert (folder / kept).exists()


def test_missing_capacity_is_a_fault_that_can_be_switched_on(account: Any, error_of: Any) -> None:
    """With the fault on, a launch is refused with InsufficientInstanceCapacity."""
    fault = account.sandbox.control("POST", "/_sandbox/faults", {"name": "capacity", "target": "t3.large"})
    assert error_of(lambda: account.launch(InstanceType="t3.large")) == "InsufficientInstanceCapacity"
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    assert account.launch(InstanceType="t3.large")
