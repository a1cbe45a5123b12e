"""Modifications of EBS volumes: the newest one, and another. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.adapters.aws import Aws
from runbook_lib.errors import AwsError

_NAMES = {"size_gib": "Size", "volume_type": "VolumeType", "iops": "Iops", "throughput_mibps": "Throughput"}
_TARGETS = {
    "size_gib": "TargetSize",
    "volume_type": "TargetVolumeType",
    "iops": "TargetIops",
    "throughput_mibps": "TargetThroughput",
}


class VolumeModifications:
    """What ModifyVolume did, and does, to the volumes of one region.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def newest(self, volume_id: str) -> dict[str, Any]:
        """Return facts about the volume's most recent modification; EC2 tells of no earlier one.

        Args:
            volume_id: The volume.

        Returns:
            Keys `state` (`modifying`, `optimizing`, `completed`, `failed`; "" for a volume that was never modified),
            `progress` (percent), `message, started_utc, target` {size_gib, volume_type, iops, throughput_mibps}.

        Source: EC2 DescribeVolumesModifications.
        """
        try:
            answer = self._aws.call("ec2", "describe_volumes_modifications", VolumeIds=[volume_id])
        except AwsError as error:
            if error.code != "InvalidVolumeModification.NotFound":  # the answer for a volume never modified
                raise
            answer = {"VolumesModifications": []}
        found = sorted(answer["VolumesModifications"], key=lambda one: one["StartTime"])
        if not found:
            return {"state": "", "progress": 0, "message": "", "started_utc": "", "target": {}}
        newest = found[-1]
        return {
            "state": newest["ModificationState"],
            "progress": newest.get("Progress", 0),
            "message": newest.get("StatusMessage", ""),
            "started_utc": newest["StartTime"].isoformat(),
            "target": {key: newest.get(name) for key, name in _TARGETS.items()},
        }

    def modify(self, volume_id: str, changes: Mapping[str, Any]) -> None:
        """Ask for a modification.

        Args:
            volume_id: The volume, attached or not.
            changes: Some of `size_gib, volume_type, iops, throughput_mibps`.

        Changes:
            The volume, some time later: the values hold from `optimizing` on. A size never comes back.

        Source: EC2 ModifyVolume.
        """
        arguments = {_NAMES[key]: value for key, value in changes.items()}
        self._aws.call("ec2", "modify_volume", target=volume_id, VolumeId=volume_id, **arguments)
