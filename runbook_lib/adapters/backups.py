"""Deletion of snapshots: one call, apart from everything else, for the retention of backups alone."""

from __future__ import annotations

from runbook_lib.adapters.aws import Aws


class Backups:
    """Snapshots that may be deleted.

    Args:
        aws: The session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def delete(self, snapshot_id: str) -> None:
        """Delete a snapshot.

        Args:
            snapshot_id: A backup that expired; whoever deletes it has looked at its tags first.

        Changes:
            The snapshot is gone. EC2 refuses while an AMI uses it.

        Source: EC2 DeleteSnapshot.
        """
        self._aws.call("ec2", "delete_snapshot", target=snapshot_id, SnapshotId=snapshot_id)
