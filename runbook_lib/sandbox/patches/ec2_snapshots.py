"""EBS snapshots and copies: they carry the files of one moment, and a snapshot takes time to complete.

moto's snapshots are ``completed`` at once and hold nothing; CopyVolumes it does not know.
These calls run without ``World.lock``, because copying files takes as long as it takes.
Source: EC2 API reference, CreateSnapshot, DescribeSnapshots, CopyVolumes; "Amazon EBS snapshots".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_volume_id

from runbook_lib.sandbox.backends import install, operations
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import World

_PERCENT = 100
_COPYABLE = ("available", "in-use")


class Snapshots:
    """The rules of snapshots and volume copies.

    Args:
        world: Where the files are.
        transitions: Runs the changes that take time.
    """

    def __init__(self, world: World, transitions: Transitions) -> None:
        self.failing: list[Callable[[str], bool]] = []
        """Asked with the volume id at each snapshot; one True makes it end in ``error`` (a fault of the sandbox)."""
        self._world = world
        self._transitions = transitions
        self._create = EBSBackend.create_snapshot

    def create(self, ec2: Any, volume_id: str, description: str, owner_id: Any = None, from_ami: Any = None) -> Any:
        """Take a snapshot: the files as they are now, ``pending`` until its time has passed."""
        with self._world.lock:
            snapshot = self._create(ec2, volume_id, description, owner_id, from_ami)
            snapshot.sandbox_size = int(snapshot.volume.size)
            if from_ami:
                return snapshot
            snapshot.sandbox_began = time.monotonic()
            snapshot.status = "pending"
        try:
            self._world.volumes.snapshot(volume_id, snapshot.id)
            snapshot.sandbox_files = True
        except LookupError:
            snapshot.sandbox_files = False  # a root device: the sandbox keeps no files for it
        failed = any(ask(volume_id) for ask in self.failing)
        self._transitions.later(self._world.latency.snapshot_s, lambda: self._complete(snapshot, failed=failed))
        return snapshot

    def progress(self, snapshot: Any) -> str:
        """Return the progress as AWS writes it, for example ``42%``."""
        if snapshot.status == "completed":
            return "100%"
        passed_s = time.monotonic() - snapshot.sandbox_began
        share = passed_s / max(self._world.latency.snapshot_s, 0.001)
        return f"{min(_PERCENT - 1, int(share * _PERCENT))}%"

    def copy_volumes(self, response: Any) -> Any:
        """Answer CopyVolumes: another volume in the same zone with the files of this moment."""
        ec2, source_id = response.ec2_backend, response._get_param("SourceVolumeId")
        tags = response._parse_tag_specification().get("volume", {})
        with self._world.lock:
            source = ec2.get_volume(source_id)
            size = int(response._get_param("Size") or source.size)
            _refuse_copy(source, size)
            response.error_on_dryrun()
            copy = _twin(ec2, source, response, size)
            copy.sandbox_state = "creating"
            ec2.volumes[copy.id] = copy
            copy.add_tags(tags)
        self._world.volumes.copy(source_id, copy.id, size)
        self._transitions.later(self._world.latency.volume_create_s, lambda: self._available(copy))
        return ActionResult({"Volumes": [copy]})

    def delete(self, ec2: Any, snapshot_id: str) -> Any:
        """Delete a snapshot and its files."""
        snapshot = ec2.get_snapshot(snapshot_id)
        if snapshot.from_ami and snapshot.from_ami in ec2.amis:
            message = f"The snapshot {snapshot_id} is currently in use by {snapshot.from_ami}"
            raise EC2ClientError("InvalidSnapshot.InUse", message)
        ec2.snapshots.pop(snapshot_id)
        if getattr(snapshot, "sandbox_files", False):
            self._transitions.later(0, lambda: self._world.volumes.delete_snapshot(snapshot_id))
        return snapshot

    def _complete(self, snapshot: Any, *, failed: bool) -> None:
        with self._world.lock:
            snapshot.status = "error" if failed else "completed"

    def _available(self, copy: Any) -> None:
        with self._world.lock:
            copy.sandbox_state = ""


def apply(world: World, transitions: Transitions) -> Snapshots:
    """Put the rules into moto.

    Changes:
        Methods and properties of moto's snapshot classes.
    """
    snapshots = Snapshots(world, transitions)
    install(EBSBackend, "create_snapshot", snapshots.create)
    install(EBSBackend, "delete_snapshot", snapshots.delete)
    Snapshot.progress = property(snapshots.progress)
    # moto shows the size the volume has now; a snapshot keeps the one it had then.
    Snapshot.volume_size = property(lambda snapshot: getattr(snapshot, "sandbox_size", snapshot.volume.size))
    operations(EC2Response, copy_volumes=snapshots.copy_volumes, describe_snapshots=_describe_snapshots)
    return snapshots


def _describe_snapshots(response: Any) -> Any:
    # moto ignores OwnerIds and answers with the snapshots of every public image as well.
    snapshots = response.ec2_backend.describe_snapshots(
        snapshot_ids=response._get_param("SnapshotIds", []), filters=response._filters_from_querystring()
    )
    owners = response._get_param("OwnerIds", [])
    if owners:
        known = {response.current_account if owner == "self" else owner for owner in owners}
        snapshots = [one for one in snapshots if one.owner_id in known and not (one.from_ami and "self" in owners)]
    return ActionResult({"Snapshots": snapshots})


def _refuse_copy(source: Any, size: int) -> None:
    if source.status not in _COPYABLE:
        raise EC2ClientError("IncorrectState", f"Volume '{source.id}' is in the '{source.status}' state.")
    if size < int(source.size):
        message = f"The size of a copy cannot be smaller than its source ({source.size} GiB)"
        raise EC2ClientError("InvalidParameterValue", message)


def _twin(ec2: Any, source: Any, response: Any, size: int) -> Any:
    return type(source)(
        ec2,
        volume_id=random_volume_id(),
        size=size,
        zone=source.zone,
        encrypted=source.encrypted,
        kms_key_id=source.kms_key_id,
        volume_type=response._get_param("VolumeType") or source.volume_type,
        iops=response._get_param("Iops") or source.iops,
        throughput=response._get_param("Throughput") or source.throughput,
    )
