"""Amazon EBS volumes and snapshots as facts and single calls. It decides nothing and never forces a detach."""

from __future__ import annotations

from typing import Any

from runbook_lib.adapters.aws import Aws, tag_list, tags_of
from runbook_lib.errors import AwsError


def _volume_facts(volume: dict[str, Any]) -> dict[str, Any]:
    return {
        "volume_id": volume["VolumeId"],
        "state": volume["State"],
        "availability_zone": volume["AvailabilityZone"],
        "size_gib": volume["Size"],
        "volume_type": volume.get("VolumeType", ""),
        "iops": volume.get("Iops"),
        "throughput_mibps": volume.get("Throughput"),
        "encrypted": volume.get("Encrypted", False),
        "kms_key_id": volume.get("KmsKeyId", ""),
        "tags": tags_of(volume),
        "created_utc": volume["CreateTime"].isoformat(),
        "attachments": [
            {
                "instance_id": attachment["InstanceId"],
                "device_name": attachment["Device"],
                "state": attachment["State"],
                "delete_on_termination": attachment.get("DeleteOnTermination", False),
            }
            for attachment in volume.get("Attachments", [])
        ],
    }


def _snapshot_facts(snapshot: dict[str, Any]) -> dict[str, Any]:
    return {
        "snapshot_id": snapshot["SnapshotId"],
        "state": snapshot["State"],
        "progress": snapshot.get("Progress", ""),
        "volume_id": snapshot["VolumeId"],
        "started_utc": snapshot["StartTime"].isoformat(),
        "tags": tags_of(snapshot),
    }


class Ebs:
    """Volumes and snapshots of one region.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def describe_volume(self, volume_id: str) -> dict[str, Any]:
        """Return facts about one volume.

        Args:
            volume_id: The volume.

        Returns:
            Keys `volume_id, state, availability_zone, size_gib, volume_type, iops, throughput_mibps, encrypted,
            kms_key_id, tags, created_utc, attachments[] {instance_id, device_name, state, delete_on_termination}`.

        Raises:
            AwsError: when it does not exist in this region.

        Source: EC2 DescribeVolumes.
        """
        return _volume_facts(self._aws.call("ec2", "describe_volumes", VolumeIds=[volume_id])["Volumes"][0])

    def volumes_in_zone(self, availability_zone: str) -> list[dict[str, Any]]:
        """Return facts about every volume of an Availability Zone, root volumes included.

        Args:
            availability_zone: For example `us-east-1a`.

        Returns:
            One mapping per volume, as `describe_volume`.

        Source: EC2 DescribeVolumes, every page, as the volume plugin should have done (domain 2.3).
        """
        zone = [{"Name": "availability-zone", "Values": [availability_zone]}]
        return [_volume_facts(v) for v in self._aws.pages("ec2", "describe_volumes", "Volumes", Filters=zone)]

    def find_volumes(self, tags: dict[str, str]) -> list[dict[str, Any]]:
        """Return facts about the volumes that carry all the given tags.

        Args:
            tags: Tag keys and values.

        Returns:
            One mapping per volume, as `describe_volume`.

        Source: EC2 DescribeVolumes.
        """
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]
        return [_volume_facts(v) for v in self._aws.pages("ec2", "describe_volumes", "Volumes", Filters=filters)]

    def is_volume_modifying(self, volume_id: str) -> bool:
        """Return whether a ModifyVolume is under way.

        Args:
            volume_id: The volume.

        Returns:
            True while the modification is `modifying`.

        Source: EC2 DescribeVolumesModifications.
        """
        try:
            answer = self._aws.call("ec2", "describe_volumes_modifications", VolumeIds=[volume_id])
        except AwsError as error:
            if error.code == "InvalidVolumeModification.NotFound":  # the answer for a volume never modified
                return False
            raise
        return any(item["ModificationState"] == "modifying" for item in answer["VolumesModifications"])

    def detach_volume(self, volume_id: str, instance_id: str) -> None:
        """Ask for a clean detach; never forced.

        Args:
            volume_id: The volume.
            instance_id: Where it is attached.

        Changes:
            The attachment ends, some seconds later.

        Source: EC2 DetachVolume.
        """
        self._aws.call("ec2", "detach_volume", target=volume_id, VolumeId=volume_id, InstanceId=instance_id)

    def attach_volume(self, volume_id: str, instance_id: str, device_name: str) -> None:
        """Ask for an attachment.

        Args:
            volume_id: The volume.
            instance_id: Where to.
            device_name: For example `/dev/sdf`.

        Changes:
            The volume becomes attached, some seconds later.

        Source: EC2 AttachVolume.
        """
        self._aws.call(
            "ec2", "attach_volume", target=volume_id, VolumeId=volume_id, InstanceId=instance_id, Device=device_name
        )

    def create_volume(self, snapshot_id: str, availability_zone: str, tags: dict[str, str], token: str) -> str:
        """Start to make a volume from a completed snapshot.

        Args:
            snapshot_id: The snapshot.
            availability_zone: Where the volume shall be.
            tags: Its tags; never a Name that the volume plugin looks for.
            token: Client token, so that a repeated call makes no second volume.

        Returns:
            The volume id.

        Changes:
            A new volume.

        Source: EC2 CreateVolume.
        """
        answer = self._aws.call(
            "ec2",
            "create_volume",
            target=snapshot_id,
            SnapshotId=snapshot_id,
            AvailabilityZone=availability_zone,
            VolumeType="gp3",
            ClientToken=token,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tag_list(tags)}],
        )
        return str(answer["VolumeId"])

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume; procedures do so only with what they made for a proof.

        Args:
            volume_id: The volume.

        Changes:
            The volume and what is on it are gone.

        Source: EC2 DeleteVolume.
        """
        self._aws.call("ec2", "delete_volume", target=volume_id, VolumeId=volume_id)

    def changed_bytes(self, first_snapshot_id: str, second_snapshot_id: str) -> int:
        """Return how much differs between two snapshots of one volume, in whole blocks.

        Args:
            first_snapshot_id: The earlier one.
            second_snapshot_id: The later one.

        Returns:
            Bytes.

        Raises:
            AwsError: when a snapshot is not completed, or the API is not to be had.

        Source: EBS direct APIs, ListChangedBlocks.
        """
        changed, token = 0, ""
        while True:
            more = {"NextToken": token} if token else {}
            answer = self._aws.call(
                "ebs",
                "list_changed_blocks",
                FirstSnapshotId=first_snapshot_id,
                SecondSnapshotId=second_snapshot_id,
                **more,
            )
            changed += len(answer["ChangedBlocks"]) * int(answer["BlockSize"])
            token = answer.get("NextToken") or ""
            if not token:
                return changed

    def create_snapshot(self, volume_id: str, description: str, tags: dict[str, str]) -> str:
        """Start a snapshot.

        Args:
            volume_id: The volume.
            description: For people.
            tags: Its tags; never a Name that the volume plugin looks for.

        Returns:
            The snapshot id.

        Changes:
            A new snapshot, first `pending`; it holds what was written until now.

        Source: EC2 CreateSnapshot.
        """
        specification = [{"ResourceType": "snapshot", "Tags": tag_list(tags)}]
        answer = self._aws.call(
            "ec2",
            "create_snapshot",
            target=volume_id,
            VolumeId=volume_id,
            Description=description,
            TagSpecifications=specification,
        )
        return str(answer["SnapshotId"])

    def find_snapshots(self, tags: dict[str, str]) -> list[dict[str, Any]]:
        """Return facts about our snapshots that carry all the given tags.

        Args:
            tags: Tag keys and values.

        Returns:
            Keys `snapshot_id, state, progress, volume_id, started_utc, tags`, oldest first.

        Source: EC2 DescribeSnapshots.
        """
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]
        found = self._aws.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters)
        return sorted((_snapshot_facts(s) for s in found), key=lambda facts: facts["started_utc"])

    def copy_volume(self, volume_id: str, tags: dict[str, str], token: str) -> str:
        """Start a crash-consistent copy of a volume in its own Availability Zone.

        Args:
            volume_id: The source.
            tags: Tags of the copy; its Name must not be one that the volume plugin looks for.
            token: Client token, so that a repeated call makes no second copy.

        Returns:
            The copy's volume id.

        Raises:
            AwsError: with code `InvalidAction` or `UnsupportedOperation` where the region has no copies.

        Changes:
            A new volume.

        Source: EC2 CopyVolumes (EBS Volume Clones).
        """
        answer = self._aws.call(
            "ec2",
            "copy_volumes",
            target=volume_id,
            SourceVolumeId=volume_id,
            ClientToken=token,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tag_list(tags)}],
        )
        return str(answer["Volumes"][0]["VolumeId"])
