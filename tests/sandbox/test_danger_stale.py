"""Eventual consistency of EC2: describes that show what was, while the fault stale-describe is on."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def host(account):
    """Return a running instance."""
    return account.running()


def test_an_attached_volume_is_still_shown_as_available(account, host, add_fault):
    """Two describes after AttachVolume show no attachment; the third shows the truth."""
    volume_id = account.available()
    add_fault("stale-describe", target=volume_id, times=2)
    account.ec2.attach_volume(VolumeId=volume_id, InstanceId=host, Device="/dev/sdf")
    seen = [(one["State"], len(one["Attachments"])) for one in (account.volume(volume_id) for _look in range(3))]
    assert seen == [("available", 0), ("available", 0), ("in-use", 1)]


def test_a_detached_volume_is_still_shown_as_attached(account, host, add_fault):
    """The attachment stays in the answer with the state and the flag it had, although the volume is free."""
    volume_id = account.attached(host, "/dev/sdg")
    account.ec2.modify_instance_attribute(
        InstanceId=host, BlockDeviceMappings=[{"DeviceName": "/dev/sdg", "Ebs": {"DeleteOnTermination": True}}]
    )
    fault = add_fault("stale-describe", target=volume_id)
    account.ec2.detach_volume(VolumeId=volume_id)
    seen = account.attachment(volume_id)
    assert (seen["State"], seen["DeleteOnTermination"]) == ("attached", True)
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    account.wait_for_volume(volume_id, "available")
    assert account.attachment(volume_id) == {}


@pytest.mark.parametrize("kind", ["volume", "instance", "snapshot"])
def test_what_was_just_made_is_not_found(kind, account, add_fault, error_of):
    """The describe right after a creation does not find the new id; the next one does."""
    source = account.available() if kind == "snapshot" else ""
    add_fault("stale-describe", times=1)
    make, show, code = {
        "volume": (account.create_volume, account.volume, "InvalidVolume.NotFound"),
        "instance": (account.launch, account.instance, "InvalidInstanceID.NotFound"),
        "snapshot": (
            lambda: account.ec2.create_snapshot(VolumeId=source)["SnapshotId"],
            lambda made: account.ec2.describe_snapshots(SnapshotIds=[made])["Snapshots"][0],
            "InvalidSnapshot.NotFound",
        ),
    }[kind]
    made = make()
    assert error_of(lambda: show(made)) == code
    assert show(made)


def test_a_new_tag_is_not_seen_by_tag_or_filter(account, add_fault):
    """Neither the tags of the volume nor a search by the tag show it while describes are stale."""
    volume_id = account.available()
    fault = add_fault("stale-describe", target=volume_id)
    account.ec2.create_tags(Resources=[volume_id], Tags=[{"Key": "Name", "Value": "fresh"}])
    named = lambda: account.ec2.describe_volumes(Filters=[{"Name": "tag:Name", "Values": ["fresh"]}])["Volumes"]  # noqa: E731
    assert (named(), account.volume(volume_id).get("Tags", [])) == ([], [])
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    assert [one["VolumeId"] for one in named()] == [volume_id]


def test_a_stopped_instance_is_still_shown_as_running(account, add_fault):
    """After StopInstances the instance counts as running until the fault is cleared."""
    instance_id = account.running()
    fault = add_fault("stale-describe", target=instance_id)
    account.ec2.stop_instances(InstanceIds=[instance_id])
    assert account.instance(instance_id)["State"]["Name"] == "running"
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    account.wait_until(lambda: account.instance(instance_id)["State"]["Name"] == "stopped", "it has stopped")


def test_other_volumes_are_shown_as_they_are(account, host, add_fault):
    """A fault with a target deceives about its target only."""
    volume_id, other = account.available(), account.available()
    add_fault("stale-describe", target=other)
    account.ec2.attach_volume(VolumeId=volume_id, InstanceId=host, Device="/dev/sdm")
    assert account.volume(volume_id)["State"] == "in-use"
