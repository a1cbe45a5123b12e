"""EBS volumes: attached once, in their zone, with states that last, and detached only when nothing has them mounted.

moto alone attaches across zones, takes a volume from its holder and knows no intermediate state.
Source: EC2 API reference, AttachVolume, DetachVolume, DeleteVolume, CreateVolume, "EC2 API error codes".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.block_device import BlockDeviceType
from moto.ec2.models.elastic_block_store import EBSBackend, Volume, VolumeAttachment

from runbook_lib.sandbox.backends import install
from runbook_lib.sandbox.patches.ec2_refusals import refuse_volume
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import World

_DEVICE_NAME = re.compile(r"(/dev/)?(sd[a-z][0-9]*|xvd[a-z][a-z]?)")
_GP3_THROUGHPUT, _GP3_IOPS = 125, 3000
_ATTACHMENTS = 27
"""Source: "Amazon EBS volume limits": a small Nitro instance has 28 attachments, one of them its network interface."""
_PAUSE_S = 0.05


class Volumes:
    """The rules of volumes and their attachments.

    Args:
        world: Where the files of the volumes are.
        transitions: Runs the changes that take time.
    """

    def __init__(self, world: World, transitions: Transitions) -> None:
        self.stuck: list[Callable[[str, str], bool]] = []
        """Asked with volume and detachment while a volume is detaching; one True keeps it ``busy`` (a fault)."""
        self.refusals: list[Callable[[Any, Any], None]] = []
        """Called with volume and instance before an attachment; raises to refuse it (a fault of the sandbox)."""
        self._world = world
        self._transitions = transitions
        self._create = EBSBackend.create_volume

    def create(self, ec2: Any, *args: Any, **kwargs: Any) -> Any:
        """Create a volume that is ``creating`` until its files are there."""
        refuse_volume(ec2, str(kwargs.get("zone_name")), kwargs.get("volume_type"))
        snapshot = self._usable_snapshot(ec2, kwargs.get("snapshot_id"))
        size = kwargs.get("size") or (args[0] if args else None)
        if snapshot and size and int(size) < snapshot.volume_size:
            message = f"The size of a volume cannot be smaller than its snapshot: {size} < {snapshot.volume_size} GiB."
            raise EC2ClientError("InvalidParameterValue", message)
        volume = self._create(ec2, *args, **kwargs)
        if snapshot and not size:
            volume.size = snapshot.volume_size
        self.begin(volume, snapshot.id if snapshot else None)
        return volume

    def begin(self, volume: Any, snapshot_id: str | None) -> None:
        """Let a new volume be ``creating``, then ``available``, with the files of a snapshot or blank."""
        volume.sandbox_state = "creating"
        if volume.volume_type == "gp3":  # every gp3 volume has both; moto keeps only what was given
            volume.throughput, volume.iops = volume.throughput or _GP3_THROUGHPUT, volume.iops or _GP3_IOPS

        def finish() -> None:
            self._world.volumes.create(volume.id, int(volume.size), snapshot_id)
            with self._world.lock:
                volume.sandbox_state = ""

        self._transitions.later(self._world.latency.volume_create_s, finish)

    def attach(self, ec2: Any, volume_id: str, instance_id: str, device: str, delete: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Begin to attach a volume; it is ``attached`` after a while.

        Args:
            ec2: moto's EC2 backend.
            volume_id: The volume.
            instance_id: The instance.
            device: Its name for the device, for example ``/dev/sdf``.
            delete: DeleteOnTermination; AttachVolume always leaves it false.
        """
        volume, instance = ec2.get_volume(volume_id), ec2.get_instance(instance_id)
        _refuse_attach(volume, instance, device)
        for refusal in self.refusals:
            refusal(volume, instance)
        attachment = self.connect(volume, instance, device, delete, "attaching")
        self._transitions.later(self._world.latency.attach_s, lambda: self._attached(attachment))
        return attachment

    def connect(self, volume: Any, instance: Any, device: str, delete: bool, status: str) -> Any:  # noqa: FBT001
        """Write down an attachment on both sides, without any rule or delay (root devices use this)."""
        attachment = VolumeAttachment(volume, instance, device, status)
        volume.attachment = attachment
        instance.block_device_mapping[device] = BlockDeviceType(
            volume_id=volume.id, status=status, size=volume.size, attach_time=utcnow(), delete_on_termination=delete
        )
        return attachment

    def connected(self, instance: Any) -> None:
        """Let the volumes of an instance's launch, and those it kept through a stop, be devices of its host."""
        for device, block in instance.block_device_mapping.items():
            volume = instance.ec2_backend.volumes[block.volume_id]
            if not getattr(volume, "sandbox_root", False):
                self._world.attach(volume.id, instance.id, device)
                _set_status(volume.attachment, "attached")

    def detach(self, ec2: Any, volume_id: str, instance_id: str, device: str, force: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Begin to detach a volume; it stays ``busy`` while the host has it mounted, unless forced."""
        volume = ec2.get_volume(volume_id)
        if instance_id:
            ec2.get_instance(instance_id)
        attachment = volume.attachment
        if attachment is None:
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")
        _refuse_detach(attachment, instance_id, device, force=force)
        leaving = attachment.status in {"detaching", "busy"}
        attachment.forced = force
        if force:
            self._world.record("volume-force-detached", volume_id=volume_id, instance_id=attachment.instance.id)
        if not leaving:
            _set_status(attachment, "detaching")
            self._transitions.later(self._world.latency.detach_s, lambda: self._leave(attachment))
        return attachment

    def delete(self, ec2: Any, volume_id: str) -> Any:
        """Delete a volume that nothing has attached, and its files."""
        volume = ec2.get_volume(volume_id)
        if volume.attachment:
            message = f"Volume {volume_id} is currently attached to {volume.attachment.instance.id}"
            raise EC2ClientError("VolumeInUse", message)
        if volume.status != "available":
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the '{volume.status}' state.")
        ec2.volumes.pop(volume_id)
        self._drop_files(volume)
        return volume

    def release(self, instance: Any) -> None:
        """Let go of every volume of a terminated instance, as DeleteOnTermination says for each.

        Args:
            instance: moto's instance, whose host has ended.
        """
        for device, block in list(instance.block_device_mapping.items()):
            volume = instance.ec2_backend.volumes.get(block.volume_id)
            del instance.block_device_mapping[device]
            if volume is None or volume.attachment is None:
                continue
            self._world.detach(volume.id)
            volume.attachment = None
            if block.delete_on_termination:
                instance.ec2_backend.volumes.pop(volume.id)
                self._drop_files(volume)

    def _drop_files(self, volume: Any) -> None:
        if not getattr(volume, "sandbox_root", False):
            self._transitions.later(0, lambda: self._world.volumes.delete(volume.id))

    def _usable_snapshot(self, ec2: Any, snapshot_id: str | None) -> Any:
        if not snapshot_id:
            return None
        snapshot = ec2.get_snapshot(snapshot_id)
        if snapshot.status != "completed":
            # Source: CreateVolume: the snapshot must be in the completed state.
            raise EC2ClientError("IncorrectState", f"Snapshot '{snapshot_id}' is not 'completed'.")
        return snapshot if getattr(snapshot, "sandbox_files", False) else None

    def _attached(self, attachment: Any) -> None:
        with self._world.lock:
            if attachment.volume.attachment is attachment and attachment.status == "attaching":
                self._world.attach(attachment.volume.id, attachment.instance.id, attachment.device)
                _set_status(attachment, "attached")

    def _leave(self, attachment: Any) -> None:
        volume = attachment.volume
        detachment = f"{volume.id} {attachment.instance.id} {attachment.attach_time}"

        def may_go() -> bool:
            with self._world.lock:
                held = self._world.is_mounted(volume.id) or any(ask(volume.id, detachment) for ask in self.stuck)
                if held and not attachment.forced and volume.attachment is attachment:
                    # Source: DetachVolume: a mounted volume "can become stuck in the busy state while detaching".
                    _set_status(attachment, "busy")
                    return False
                if volume.attachment is attachment:
                    self._world.detach(volume.id)
                    attachment.instance.block_device_mapping.pop(attachment.device, None)
                    attachment.status = "detached"
                    volume.attachment = None
                return True

        self._transitions.until(may_go, _PAUSE_S)


def apply(world: World, transitions: Transitions) -> Volumes:
    """Put the rules into moto.

    Changes:
        Methods and properties of moto's volume classes.
    """
    volumes = Volumes(world, transitions)
    install(EBSBackend, "create_volume", volumes.create)
    install(EBSBackend, "attach_volume", volumes.attach)
    install(EBSBackend, "detach_volume", volumes.detach)
    install(EBSBackend, "delete_volume", volumes.delete)
    Volume.status = property(_volume_status)
    VolumeAttachment.delete_on_termination = property(_deletes_on_termination)
    return volumes


def _volume_status(volume: Any) -> str:
    return getattr(volume, "sandbox_state", "") or ("in-use" if volume.attachment else "available")


def _deletes_on_termination(attachment: Any) -> bool:
    # moto keeps the flag on the instance's mapping only; DescribeVolumes shows it on the attachment too.
    if hasattr(attachment, "sandbox_deletes"):
        return bool(attachment.sandbox_deletes)
    block = attachment.instance.block_device_mapping.get(attachment.device)
    return bool(block and block.delete_on_termination)


def _set_status(attachment: Any, status: str) -> None:
    attachment.status = status
    block = attachment.instance.block_device_mapping.get(attachment.device)
    if block:
        block.status = status


def _refuse_attach(volume: Any, instance: Any, device: str) -> None:
    if not device or not _DEVICE_NAME.fullmatch(device):
        message = f"Value ({device}) for parameter device is invalid. {device} is not a valid EBS device name."
        raise EC2ClientError("InvalidParameterValue", message)
    if volume.attachment:
        raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.status != "available":
        raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
    if instance.state not in {"running", "stopped"}:
        raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.availability_zone != instance.availability_zone:
        message = f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'"
        raise EC2ClientError("InvalidVolume.ZoneMismatch", message)
    if len(instance.block_device_mapping) >= _ATTACHMENTS:
        raise EC2ClientError("AttachmentLimitExceeded", f"Instance '{instance.id}' has {_ATTACHMENTS} volumes already.")
    if device in instance.block_device_mapping:
        message = f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use"
        raise EC2ClientError("InvalidParameterValue", message)


def _refuse_detach(attachment: Any, instance_id: str, device: str, *, force: bool) -> None:
    holder, volume_id = attachment.instance, attachment.volume.id
    if (instance_id and instance_id != holder.id) or (device and device != attachment.device):
        message = f"The volume '{volume_id}' is not attached to instance '{instance_id}' as device '{device}'."
        raise EC2ClientError("InvalidAttachment.NotFound", message)
    if getattr(attachment.volume, "sandbox_root", False) and holder.state != "stopped":
        message = f"Unable to detach root volume '{volume_id}' from instance '{holder.id}'"
        raise EC2ClientError("OperationNotPermitted", message)
    if attachment.status == "attaching" or (attachment.status in {"detaching", "busy"} and not force):
        raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the '{attachment.status}' state.")
