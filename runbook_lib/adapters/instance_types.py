"""EC2 instance types: what they are, and where they are offered. Reads only; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runbook_lib.adapters.aws import Aws


class InstanceTypes:
    """The instance types of one region.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def describe(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return facts about instance types.

        Args:
            names: For example `t3.small`.

        Returns:
            One mapping for each that the region knows, in the order given: keys `instance_type, architectures,
            hypervisor` ("" for bare metal), `nvme` (`required`, `supported` or `unsupported`), `vcpus, memory_mib,
            max_volumes` (None when EC2 does not tell).

        Source: EC2 DescribeInstanceTypes, with a filter: by name, one that does not exist fails the whole call.
        """
        wanted = [{"Name": "instance-type", "Values": list(names)}]
        found = self._aws.pages("ec2", "describe_instance_types", "InstanceTypes", Filters=wanted)
        known = {one["InstanceType"]: _facts(one) for one in found}
        return [known[name] for name in names if name in known]

    def offered(self, names: Sequence[str], availability_zone: str) -> list[str]:
        """Return which instance types an Availability Zone offers.

        Args:
            names: For example `t3.small`.
            availability_zone: For example `us-east-1a`.

        Returns:
            Those that it offers, in the order given; that one has capacity at this moment nobody can tell.

        Source: EC2 DescribeInstanceTypeOfferings.
        """
        filters = [
            {"Name": "location", "Values": [availability_zone]},
            {"Name": "instance-type", "Values": list(names)},
        ]
        found = self._aws.pages(
            "ec2",
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=filters,
        )
        there = {one["InstanceType"] for one in found}
        return [name for name in names if name in there]


def _facts(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "instance_type": one["InstanceType"],
        "architectures": list(one["ProcessorInfo"].get("SupportedArchitectures", ())),
        "hypervisor": one.get("Hypervisor", ""),
        "nvme": one.get("EbsInfo", {}).get("NvmeSupport", ""),
        "vcpus": int(one["VCpuInfo"]["DefaultVCpus"]),
        "memory_mib": int(one["MemoryInfo"]["SizeInMiB"]),
        "max_volumes": one.get("EbsInfo", {}).get("MaximumEbsAttachments"),
    }
