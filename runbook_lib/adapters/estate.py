"""The settings of an estate that is in service, as facts: what a look for drift needs beside the other adapters.

Reads only; it has no call that changes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runbook_lib.adapters.aws import Aws

_EVERYBODY = {"0.0.0.0/0", "::/0"}


def _snapshot(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "snapshot_id": one["SnapshotId"],
        "volume_id": one["VolumeId"],
        "state": one["State"],
        "started_utc": one["StartTime"].isoformat(),
        "tags": {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])},
    }


class Estate:
    """The hosts of a service, their images and rules, and the snapshots of its volume.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def images_of(self, instance_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the machine image of each instance, and when that was made.

        Args:
            instance_ids: Instances.

        Returns:
            By instance id: keys `ami_id`, `created_utc` ("" for an image that is not to be had any more).

        Source: EC2 DescribeInstances, DescribeImages.
        """
        if not instance_ids:
            return {}
        answer = self._aws.call("ec2", "describe_instances", InstanceIds=list(instance_ids))
        found = {i["InstanceId"]: i["ImageId"] for r in answer["Reservations"] for i in r["Instances"]}
        wanted = [{"Name": "image-id", "Values": sorted(set(found.values()))}]
        images = self._aws.call("ec2", "describe_images", Filters=wanted)["Images"]
        created = {image["ImageId"]: str(image.get("CreationDate", "")) for image in images}
        return {one: {"ami_id": ami_id, "created_utc": created.get(ami_id, "")} for one, ami_id in found.items()}

    def open_to_the_world(self, instance_ids: Sequence[str]) -> list[str]:
        """Return the rules by which the instances' security groups let everybody in.

        Terraform owns each rule by itself, so one that somebody added is in no plan.

        Args:
            instance_ids: Instances.

        Returns:
            One text a rule, with its id, group, protocol, ports and network.

        Source: EC2 DescribeInstances, DescribeSecurityGroupRules.
        """
        if not instance_ids:
            return []
        answer = self._aws.call("ec2", "describe_instances", InstanceIds=list(instance_ids))
        instances = [i for r in answer["Reservations"] for i in r["Instances"]]
        groups = sorted({group["GroupId"] for one in instances for group in one.get("SecurityGroups", [])})
        filters = [{"Name": "group-id", "Values": groups}]
        rules = self._aws.pages("ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=filters)
        return [
            f"{rule['SecurityGroupRuleId']} of {rule['GroupId']}: {rule['IpProtocol']} "
            f"{rule.get('FromPort', -1)}-{rule.get('ToPort', -1)} from {network}"
            for rule in rules
            if not rule["IsEgress"] and (network := rule.get("CidrIpv4") or rule.get("CidrIpv6")) in _EVERYBODY
        ]

    def snapshots_of(self, volume_id: str) -> list[dict[str, Any]]:
        """Return facts about the account's snapshots of one volume, whoever made them.

        Args:
            volume_id: The volume.

        Returns:
            As `snapshot`, oldest first.

        Source: EC2 DescribeSnapshots, every page.
        """
        of_volume = [{"Name": "volume-id", "Values": [volume_id]}]
        found = self._aws.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=of_volume)
        return sorted((_snapshot(one) for one in found), key=lambda one: str(one["started_utc"]))

    def snapshot(self, snapshot_id: str) -> dict[str, Any]:
        """Return facts about one snapshot.

        Args:
            snapshot_id: The snapshot.

        Returns:
            Keys `snapshot_id, volume_id, state, started_utc, tags`.

        Raises:
            AwsError: when there is none of that id.

        Source: EC2 DescribeSnapshots.
        """
        return _snapshot(self._aws.call("ec2", "describe_snapshots", SnapshotIds=[snapshot_id])["Snapshots"][0])
