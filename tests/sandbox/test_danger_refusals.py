"""What EC2 refuses, with its real error code: each forbidden call, and that it changed nothing."""

from __future__ import annotations

import pytest

VOLUME, SNAPSHOT = "vol-0123456789abcdef0", "snap-0123456789abcdef0"
OTHER_PROCESSOR = "ami-0a12023d5f1e0c002"


@pytest.fixture(scope="module")
def held(account):
    """Return (instance, volume attached to it, free volume, its completed snapshot)."""
    instance_id = account.running()
    free = account.available()
    snapshot_id = account.ec2.create_snapshot(VolumeId=free)["SnapshotId"]
    shown = lambda: account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]  # noqa: E731
    account.wait_until(lambda: shown()["State"] == "completed", "the snapshot is completed")
    return instance_id, account.attached(instance_id, "/dev/sdf"), free, snapshot_id


def flag(ec2, instance_id, device):
    """Set DeleteOnTermination of a device."""
    mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": False}}
    return ec2.modify_instance_attribute(InstanceId=instance_id, BlockDeviceMappings=[mapping])


REFUSED = {
    "a volume in a zone that is not there": (
        lambda ec2, *_held: ec2.create_volume(AvailabilityZone="us-east-1z", Size=1),
        "InvalidZone.NotFound",
    ),
    "a volume of an unknown type": (
        lambda ec2, *_held: ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp9"),
        "UnknownVolumeType",
    ),
    "a volume without a size": (
        lambda ec2, *_held: ec2.create_volume(AvailabilityZone="us-east-1a"),
        "MissingParameter",
    ),
    "a volume from a snapshot that is not there": (
        lambda ec2, *_held: ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=SNAPSHOT),
        "InvalidSnapshot.NotFound",
    ),
    "a volume smaller than its snapshot": (
        lambda ec2, *held: ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=held[3], Size=1),
        "InvalidParameterValue",
    ),
    "a snapshot of a volume that is not there": (
        lambda ec2, *_held: ec2.create_snapshot(VolumeId=VOLUME),
        "InvalidVolume.NotFound",
    ),
    "a copy of a volume that is not there": (
        lambda ec2, *_held: ec2.copy_volumes(SourceVolumeId=VOLUME),
        "InvalidVolume.NotFound",
    ),
    "a copy smaller than its source": (
        lambda ec2, *held: ec2.copy_volumes(SourceVolumeId=held[2], Size=1),
        "InvalidParameterValue",
    ),
    "deleting a snapshot that is not there": (
        lambda ec2, *_held: ec2.delete_snapshot(SnapshotId=SNAPSHOT),
        "InvalidSnapshot.NotFound",
    ),
    "deleting the snapshot of an image": (
        lambda ec2, *held: ec2.delete_snapshot(
            SnapshotId=next(
                one["SnapshotId"] for one in ec2.describe_snapshots()["Snapshots"] if one["SnapshotId"] != held[3]
            )
        ),
        "InvalidSnapshot.InUse",
    ),
    "deleting a volume that is attached": (lambda ec2, *held: ec2.delete_volume(VolumeId=held[1]), "VolumeInUse"),
    "deleting a volume that is not there": (
        lambda ec2, *_held: ec2.delete_volume(VolumeId=VOLUME),
        "InvalidVolume.NotFound",
    ),
    "detaching a volume that is not there": (
        lambda ec2, *_held: ec2.detach_volume(VolumeId=VOLUME),
        "InvalidVolume.NotFound",
    ),
    "detaching a free volume": (lambda ec2, *held: ec2.detach_volume(VolumeId=held[2]), "IncorrectState"),
    "tagging what is not there": (
        lambda ec2, *_held: ec2.create_tags(Resources=[VOLUME], Tags=[{"Key": "Name", "Value": "x"}]),
        "InvalidVolume.NotFound",
    ),
    "a tag that AWS keeps for itself": (
        lambda ec2, *held: ec2.create_tags(Resources=[held[2]], Tags=[{"Key": "aws:x", "Value": "x"}]),
        "InvalidParameterValue",
    ),
    "the flag of a device that is not there": (
        lambda ec2, *held: flag(ec2, held[0], "/dev/sdq"),
        "InvalidInstanceAttributeValue",
    ),
    "making a volume smaller": (
        lambda ec2, *held: ec2.modify_volume(VolumeId=held[2], Size=1),
        "InvalidParameterValue",
    ),
    "an image for another processor": (
        lambda ec2, *_held: ec2.run_instances(ImageId=OTHER_PROCESSOR, InstanceType="t3.small", MinCount=1, MaxCount=1),
        "InvalidParameterValue",
    ),
    "an instance type that is not there": (
        lambda ec2, *_held: ec2.run_instances(
            ImageId="ami-0a12023d5f1e0c001", InstanceType="t3.tiny", MinCount=1, MaxCount=1
        ),
        "InvalidInstanceType.NotFound",
    ),
    "attaching a volume twice": (
        lambda ec2, *held: ec2.attach_volume(VolumeId=held[1], InstanceId=held[0], Device="/dev/sdz"),
        "VolumeInUse",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ec2_refuses(case, account, held, error_of):
    """The call fails with the code that EC2 uses, and volumes, snapshots and instances are as they were."""
    call, code = REFUSED[case]
    assert error_of(lambda: call(account.ec2, *held)) == code
    assert account.volume(held[2])["State"] == "available"
    assert account.attachment(held[1])["State"] == "attached"


def test_a_busy_volume_cannot_be_attached_elsewhere(account, held, error_of):
    """While a detachment is stuck the volume is in use, and no other attachment begins."""
    instance_id = account.booted(account.running())
    volume_id = account.mounted(instance_id, "/dev/sdg", "/mnt/busy")
    account.ec2.detach_volume(VolumeId=volume_id)
    account.wait_for_attachment(volume_id, "busy")
    attach = lambda: account.ec2.attach_volume(VolumeId=volume_id, InstanceId=held[0], Device="/dev/sdg")  # noqa: E731
    assert error_of(attach) == "VolumeInUse"
    assert error_of(lambda: account.ec2.delete_volume(VolumeId=volume_id)) == "VolumeInUse"
    account.ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_protected_instance_is_not_terminated(account, error_of):
    """With termination protection TerminateInstances is refused; without it the instance ends."""
    instance_id = account.running()
    protect = account.ec2.modify_instance_attribute
    protect(InstanceId=instance_id, DisableApiTermination={"Value": True})
    terminate = lambda: account.ec2.terminate_instances(InstanceIds=[instance_id])  # noqa: E731
    assert error_of(terminate) == "OperationNotPermitted"
    assert account.instance(instance_id)["State"]["Name"] == "running"
    protect(InstanceId=instance_id, DisableApiTermination={"Value": False})
    terminate()


def test_delete_on_termination_that_is_left_out_means_true(account, held):
    """A mapping without the flag switches deletion on, which is how a volume comes to go with its host."""
    assert account.attachment(held[1])["DeleteOnTermination"] is False
    account.ec2.modify_instance_attribute(
        InstanceId=held[0], BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {}}]
    )
    assert account.attachment(held[1])["DeleteOnTermination"] is True
    flag(account.ec2, held[0], "/dev/sdf")
    assert account.attachment(held[1])["DeleteOnTermination"] is False


def test_an_instance_takes_so_many_volumes_and_no_more(account, error_of):
    """With 27 volumes, the root among them, the next attachment exceeds the limit."""
    instance_id = account.running()
    names = [f"/dev/xvdb{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    volumes = [account.create_volume(Size=1) for _name in names]
    for volume_id, device in zip(volumes, names, strict=True):
        account.wait_for_volume(volume_id, "available")
        account.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)
    one_more = account.available()
    attach = lambda: account.ec2.attach_volume(VolumeId=one_more, InstanceId=instance_id, Device="/dev/xvdca")  # noqa: E731
    assert error_of(attach) == "AttachmentLimitExceeded"
    account.ec2.terminate_instances(InstanceIds=[instance_id])


def test_instances_of_amazon_linux_2023_want_tokens_unless_told_otherwise(account):
    """A launch that says nothing about instance metadata gets IMDSv2 only; one that says so gets IMDSv1 too."""
    silent = account.instance(account.launch())["MetadataOptions"]
    spoken = account.instance(account.launch(MetadataOptions={"HttpTokens": "optional"}))["MetadataOptions"]
    assert (silent["HttpTokens"], silent["HttpPutResponseHopLimit"]) == ("required", 2)
    assert spoken["HttpTokens"] == "optional"
