"""The one call that may lose data. Nothing uses it but the procedure `force_detach`, which a test proves."""

from __future__ import annotations

from runbook_lib.adapters.aws import Aws


class BreakGlass:
    """What is never done on the ordinary way.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def force_detach_volume(self, volume_id: str, instance_id: str) -> None:
        """Tear a volume from an instance, as if its power went off.

        Args:
            volume_id: The volume.
            instance_id: Where it is attached; must be proved stopped or terminated before.

        Changes:
            The attachment ends. What the instance had not written is lost; the filesystem must be checked.

        Source: EC2 DetachVolume with Force: "only as a last resort to detach a volume from a failed instance".
        """
        self._aws.call(
            "ec2", "detach_volume", target=f"{volume_id} forced", VolumeId=volume_id, InstanceId=instance_id, Force=True
        )
