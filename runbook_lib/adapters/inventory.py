"""What an account has in a region, so that a person can choose from it. Reads only."""

from __future__ import annotations

from typing import Any

from runbook_lib.adapters.aws import Aws, tags_of


class Inventory:
    """Instances, volumes, VPCs and subnets of one region.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Return what there is, each list by name and id.

        Returns:
            `instances` (keys `id, name, type, zone, state`), `volumes` (`id, name, size_gib, type, zone, instance_id,
            device_name, is_root`), `vpcs` (`id, name, cidr`) and `subnets` (`id, name, zone, cidr, vpc_id`).

        Raises:
            AwsError: when AWS refuses, or no answer came.

        Source: EC2 DescribeInstances, DescribeVolumes, DescribeVpcs, DescribeSubnets, every page.
        """
        reservations = self._aws.pages("ec2", "describe_instances", "Reservations")
        instances = [one for reservation in reservations for one in reservation["Instances"]]
        instances = [one for one in instances if one["State"]["Name"] != "terminated"]
        roots = {one["InstanceId"]: one.get("RootDeviceName", "") for one in instances}
        volumes = self._aws.pages("ec2", "describe_volumes", "Volumes")
        found = {
            "instances": [_instance(one) for one in instances],
            "volumes": [_volume(one, roots) for one in volumes],
            "vpcs": [_named(one, "VpcId") | {"cidr": one["CidrBlock"]} for one in self._all("vpcs")],
            "subnets": [
                _named(one, "SubnetId")
                | {"zone": one["AvailabilityZone"], "cidr": one["CidrBlock"], "vpc_id": one["VpcId"]}
                for one in self._all("subnets")
            ],
        }
        return {kind: sorted(facts, key=lambda one: (one["name"], one["id"])) for kind, facts in found.items()}

    def _all(self, kind: str) -> list[dict[str, Any]]:
        return list(self._aws.pages("ec2", f"describe_{kind}", kind.title()))


def _named(one: dict[str, Any], key: str) -> dict[str, Any]:
    return {"id": one[key], "name": tags_of(one).get("Name", "")}


def _instance(one: dict[str, Any]) -> dict[str, Any]:
    placed = {"zone": one["Placement"]["AvailabilityZone"], "state": one["State"]["Name"]}
    return _named(one, "InstanceId") | {"type": one["InstanceType"]} | placed


def _volume(one: dict[str, Any], roots: dict[str, str]) -> dict[str, Any]:
    attachment: dict[str, Any] = next(iter(one.get("Attachments", [])), {})
    instance_id, device_name = attachment.get("InstanceId", ""), attachment.get("Device", "")
    return _named(one, "VolumeId") | {
        "size_gib": one["Size"],
        "type": one.get("VolumeType", ""),
        "zone": one["AvailabilityZone"],
        "instance_id": instance_id,
        "device_name": device_name,
        "is_root": bool(instance_id) and roots.get(instance_id) == device_name,
    }
