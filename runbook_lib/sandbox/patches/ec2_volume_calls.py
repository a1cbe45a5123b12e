"""Volume calls that moto lacks or answers wrongly: Force of DetachVolume, DescribeVolumeStatus, unknown filters.

Source: EC2 API reference, the pages of these calls.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import core
from moto.ec2.responses import EC2Response

from runbook_lib.sandbox.backends import operations


def apply() -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's EC2 response class.
    """
    # Source: AWS refuses a filter it does not know; moto breaks on it.
    core.FilterNotImplementedError = _unknown_filter
    operations(EC2Response, detach_volume=_detach_volume, describe_volume_status=_describe_volume_status)


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
