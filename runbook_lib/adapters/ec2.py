"""Instances, subnets and tags of Amazon EC2 as facts and single calls. It decides nothing."""

from __future__ import annotations

from typing import Any

from runbook_lib.adapters.aws import Aws, tag_list
from runbook_lib.errors import AwsError


class Ec2:
    """Instances of one region.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def describe_instance(self, instance_id: str) -> dict[str, Any]:
        """Return facts about one instance.

        Args:
            instance_id: The instance.

        Returns:
            Keys `instance_id, state, availability_zone, instance_type, architecture, public_ip, private_ip, vpc_id,
            subnet_id, http_tokens, block_devices[] {device_name, volume_id, status, delete_on_termination}`.

        Raises:
            AwsError: when it does not exist in this region.

        Source: EC2 DescribeInstances.
        """
        answer = self._aws.call("ec2", "describe_instances", InstanceIds=[instance_id])
        instance = answer["Reservations"][0]["Instances"][0]
        return {
            "instance_id": instance["InstanceId"],
            "state": instance["State"]["Name"],
            "availability_zone": instance["Placement"]["AvailabilityZone"],
            "instance_type": instance["InstanceType"],
            "architecture": instance.get("Architecture", ""),
            "public_ip": instance.get("PublicIpAddress", ""),
            "private_ip": instance.get("PrivateIpAddress", ""),
            "vpc_id": instance.get("VpcId", ""),
            "subnet_id": instance.get("SubnetId", ""),
            "http_tokens": instance.get("MetadataOptions", {}).get("HttpTokens", ""),
            "block_devices": [
                {
                    "device_name": mapping["DeviceName"],
                    "volume_id": mapping["Ebs"]["VolumeId"],
                    "status": mapping["Ebs"].get("Status", ""),
                    "delete_on_termination": mapping["Ebs"].get("DeleteOnTermination", False),
                }
                for mapping in instance.get("BlockDeviceMappings", [])
            ],
        }

    def describe_machine_image(self, image_id: str) -> dict[str, Any]:
        """Return facts about a machine image.

        Args:
            image_id: The AMI.

        Returns:
            Keys `ami_id, name, state, architecture, created_utc`.

        Raises:
            AwsError: when it does not exist in this region, or not for this account.

        Source: EC2 DescribeImages.
        """
        found = self._aws.call("ec2", "describe_images", ImageIds=[image_id])["Images"]
        if not found:
            raise AwsError("describe_images", "InvalidAMIID.NotFound", f"{image_id} does not exist")
        image = found[0]
        return {
            "ami_id": image["ImageId"],
            "name": image.get("Name", ""),
            "state": image.get("State", ""),
            "architecture": image.get("Architecture", ""),
            "created_utc": image.get("CreationDate", ""),
        }

    def keep_volume_on_termination(self, instance_id: str, device_name: str) -> None:
        """Switch DeleteOnTermination off for one attachment.

        Args:
            instance_id: The instance.
            device_name: The attachment's device name.

        Changes:
            The attachment. The value is always sent: left out, EC2 takes it as true.

        Source: EC2 ModifyInstanceAttribute.
        """
        self._aws.call(
            "ec2",
            "modify_instance_attribute",
            target=instance_id,
            InstanceId=instance_id,
            BlockDeviceMappings=[{"DeviceName": device_name, "Ebs": {"DeleteOnTermination": False}}],
        )

    def set_tags(self, resource_id: str, tags: dict[str, str]) -> None:
        """Set tags of a volume, snapshot or instance.

        Args:
            resource_id: The resource.
            tags: Keys and values to set; other tags stay.

        Changes:
            The tags.

        Source: EC2 CreateTags.
        """
        self._aws.call("ec2", "create_tags", target=resource_id, Resources=[resource_id], Tags=tag_list(tags))

    def remove_tags(self, resource_id: str, keys: list[str]) -> None:
        """Remove tags of a volume, snapshot or instance.

        Args:
            resource_id: The resource.
            keys: Tag keys.

        Changes:
            The tags.

        Source: EC2 DeleteTags.
        """
        self._aws.call(
            "ec2", "delete_tags", target=resource_id, Resources=[resource_id], Tags=[{"Key": key} for key in keys]
        )

    def stop_instance(self, instance_id: str) -> None:
        """Stop an instance cleanly; it can be started again.

        Args:
            instance_id: The instance.

        Changes:
            The instance stops.

        Source: EC2 StopInstances.
        """
        self._aws.call("ec2", "stop_instances", target=instance_id, InstanceIds=[instance_id])

    def describe_subnets(self, subnet_ids: list[str]) -> list[dict[str, Any]]:
        """Return facts about subnets.

        Args:
            subnet_ids: The subnets.

        Returns:
            Keys `subnet_id, availability_zone, vpc_id, free_addresses`.

        Source: EC2 DescribeSubnets.
        """
        answer = self._aws.call("ec2", "describe_subnets", SubnetIds=subnet_ids)
        return [
            {
                "subnet_id": subnet["SubnetId"],
                "availability_zone": subnet["AvailabilityZone"],
                "vpc_id": subnet["VpcId"],
                "free_addresses": subnet.get("AvailableIpAddressCount", 0),
            }
            for subnet in answer["Subnets"]
        ]
