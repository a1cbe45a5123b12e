"""Volume calls that moto lacks or answers wrongly: Force of DetachVolume, DescribeVolumeStatus, ModifyVolume.

Source: EC2 API reference, the pages of these calls; "Request modifications to your EBS volumes".
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import core
from moto.ec2.models.elastic_block_store import EBSBackend, VolumeModification
from moto.ec2.responses import EC2Response

from runbook_lib.sandbox.backends import operations
from runbook_lib.sandbox.world import World

_PERCENT = 100


def apply(world: World) -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's EC2 response class and of its volume modifications.
    """

    def elapsed(modification: Any) -> float:
        """Return how much of a modification is done, between 0 and 1."""
        duration_s = world.latency.modify_s
        passed_s = (utcnow() - modification.start_time).total_seconds()
        return 1.0 if duration_s <= 0 else min(1.0, passed_s / duration_s)

    # Source: a modification goes through modifying, optimizing, completed; the new size works from optimizing on.
    VolumeModification.modification_state = property(lambda one: _modification_state(elapsed(one)))
    VolumeModification.progress = property(lambda one: int(elapsed(one) * _PERCENT))
    # Source: AWS refuses a filter it does not know; moto breaks on it.
    core.FilterNotImplementedError = _unknown_filter
    original = EBSBackend.modify_volume

    def modify_volume(response: Any) -> Any:
        volume = response.ec2_backend.get_volume(response._get_param("VolumeId"))
        _refuse_modification(volume, response._get_param("Size"))
        wanted = [
            response._get_param(name) for name in ("Size", "VolumeType", "Iops", "Throughput", "MultiAttachEnabled")
        ]
        response.error_on_dryrun()
        original(response.ec2_backend, volume.id, *wanted)
        world.volumes.resize(volume.id, int(volume.size))
        if volume.attachment:
            volume.attachment.instance.block_device_mapping[volume.attachment.device].size = volume.size
        return ActionResult({"VolumeModification": volume.modifications[-1]})

    operations(
        EC2Response,
        modify_volume=modify_volume,
        detach_volume=_detach_volume,
        describe_volume_status=_describe_volume_status,
    )


def _unknown_filter(name: str, _method: str | None) -> EC2ClientError:
    return EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")


def _detach_volume(response: Any) -> Any:
    names = ("VolumeId", "InstanceId", "Device")
    volume_id, instance_id, device = (response._get_param(name) for name in names)
    force = bool(response._get_bool_param("Force", False))
    response.error_on_dryrun()
    attachment = response.ec2_backend.detach_volume(volume_id, instance_id or "", device or "", force=force)
    answer = {
        "VolumeId": volume_id,
        "InstanceId": attachment.instance.id,
        "Device": attachment.device,
        "State": "detaching",
        "AttachTime": attachment.attach_time,
        "DeleteOnTermination": attachment.delete_on_termination,
    }
    return ActionResult(answer)


def _describe_volume_status(response: Any) -> Any:
    wanted = response._get_param("VolumeIds", [])
    filters = response._filters_from_querystring()
    for name in set(filters) - {"availability-zone", "volume-status.status"}:
        raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    zones, statuses = filters.get("availability-zone", []), filters.get("volume-status.status", [])
    items = []
    for volume in response.ec2_backend.describe_volumes(wanted):
        # Source: DescribeVolumeStatus: insufficient-data while the checks have not run yet.
        status = "insufficient-data" if volume.status == "creating" else "ok"
        if (zones and volume.availability_zone not in zones) or (statuses and status not in statuses):
            continue
        details = [{"Name": name, "Status": value} for name, value in _status_details(status)]
        items.append(
            {
                "VolumeId": volume.id,
                "AvailabilityZone": volume.availability_zone,
                "VolumeStatus": {"Status": status, "Details": details},
                "Actions": [],
                "Events": [],
            }
        )
    return ActionResult({"VolumeStatuses": items})


def _status_details(status: str) -> list[tuple[str, str]]:
    enabled = "passed" if status == "ok" else "insufficient-data"
    return [("io-enabled", enabled), ("io-performance", "not-applicable")]


def _modification_state(done: float) -> str:
    if done >= 1:
        return "completed"
    return "optimizing" if done >= 1 / 2 else "modifying"


def _refuse_modification(volume: Any, size: Any) -> None:
    if volume.modifications and volume.modifications[-1].modification_state != "completed":
        message = f"Volume {volume.id} is already being modified"
        raise EC2ClientError("IncorrectModificationState", message)
    if size and int(size) < volume.size:
        message = f"New size cannot be smaller than existing size ({volume.size} GiB)"
        raise EC2ClientError("InvalidParameterValue", message)
    if volume.status not in {"available", "in-use"}:
        raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
