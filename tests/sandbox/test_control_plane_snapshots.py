"""Snapshots and copies of the sandbox: they carry the files of one moment, and a snapshot takes time."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def mounted(account: Any) -> tuple[str, str]:
    """Return an instance and a volume with a filesystem and a file, mounted at /mnt/data."""
    instance_id = account.booted(account.running())
    volume_id = account.mounted(instance_id, "/dev/sdf", "/mnt/data")
    account.on_host(instance_id, "python3", "-c", "open('/mnt/data/page', 'w').write('before')")
    return instance_id, volume_id


def _snapshot(account: Any, snapshot_id: str) -> dict[str, Any]:
    return account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]


def _read(account: Any, instance_id: str, volume_id: str, device: str) -> str:
    """Attach a volume beside the first, mount it, and return what its page says."""
    account.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)
    account.wait_for_attachment(volume_id, "attached")
    account.make_folder(instance_id, f"/mnt{device}")
    account.on_host(instance_id, "mount", device, f"/mnt{device}")
    return account.on_host(instance_id, "python3", "-c", f"print(open('/mnt{device}/page').read())")["stdout"].strip()


def test_a_snapshot_is_pending_first_and_holds_the_files_of_its_moment(
    account: Any, mounted: tuple[str, str], error_of: Any
) -> None:
    """A snapshot is pending with a progress, cannot be used before it is completed, and has the files of its moment."""
    instance_id, volume_id = mounted
    snapshot_id = account.ec2.create_snapshot(VolumeId=volume_id, Description="a test")["SnapshotId"]
    account.on_host(instance_id, "python3", "-c", "open('/mnt/data/page', 'w').write('after')")
    first = _snapshot(account, snapshot_id)
    assert first["State"] == "pending"
    assert first["Progress"] != "100%"
    early = error_of(lambda: account.create_volume(SnapshotId=snapshot_id))
    assert early == "IncorrectState"
    account.wait_until(lambda: _snapshot(account, snapshot_id)["State"] == "completed", "the snapshot is completed")
    assert _snapshot(account, snapshot_id)["Progress"] == "100%"
    restored = account.available(SnapshotId=snapshot_id)
    assert _read(account, instance_id, restored, "/dev/sdg") == "before"


def test_own_snapshots_are_only_the_account_s_own(account: Any, mounted: tuple[str, str]) -> None:
    """DescribeSnapshots with OwnerIds=self leaves out what belongs to public images."""
    snapshot_id = account.ec2.create_snapshot(VolumeId=mounted[1])["SnapshotId"]
    own = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert snapshot_id in [one["SnapshotId"] for one in own]
    assert {one["OwnerId"] for one in own} == {"012345678901"}


def test_a_copy_is_another_volume_with_the_same_files(account: Any, mounted: tuple[str, str]) -> None:
    """CopyVolumes gives a volume of its own id in the same zone, with the files of the moment and its own tags."""
    instance_id, volume_id = mounted
    page = account.on_host(instance_id, "python3", "-c", "print(open('/mnt/data/page').read())")["stdout"].strip()
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "rollback-point"}]}]
    copy = account.ec2.copy_volumes(SourceVolumeId=volume_id, TagSpecifications=tags)["Volumes"][0]
    assert copy["VolumeId"] != volume_id
    assert copy["State"] == "creating"
    account.wait_for_volume(copy["VolumeId"], "available")
    shown = account.volume(copy["VolumeId"])
    assert (shown["AvailabilityZone"], shown["Tags"]) == ("us-east-1a", [{"Key": "Name", "Value": "rollback-point"}])
    assert _read(account, instance_id, copy["VolumeId"], "/dev/sdh") == page


def test_a_failing_snapshot_is_a_fault_that_can_be_switched_on(account: Any, mounted: tuple[str, str]) -> None:
    """With the fault on, a snapshot of the volume ends in error."""
    fault = account.sandbox.control("POST", "/_sandbox/faults", {"name": "snapshot-error", "target": mounted[1]})
    snapshot_id = account.ec2.create_snapshot(VolumeId=mounted[1])["SnapshotId"]
    account.wait_until(lambda: _snapshot(account, snapshot_id)["State"] == "error", "the snapshot failed")
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
