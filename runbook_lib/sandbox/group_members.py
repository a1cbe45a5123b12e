"""The members of an Auto Scaling group: launched from its template, drained before they go, each step an activity.

Everything here is called with ``World.lock`` held. It launches and terminates through moto's EC2 alone.
Source: Auto Scaling user guide, "Instance lifecycle", "Launch templates", "Control which instances terminate".
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from moto.autoscaling.models import InstanceState
from moto.core.utils import utcnow

from runbook_lib.sandbox.backends import backend

ACTIVE = frozenset({"Pending", "Pending:Wait", "Pending:Proceed", "InService"})
NAME_TAG = "aws:autoscaling:groupName"
_KEPT_ACTIVITIES = 200


def active(group: Any) -> list[Any]:
    """Return the members that count towards the desired capacity."""
    return [member for member in group.instance_states if member.lifecycle_state in ACTIVE]


def template_version(group: Any) -> Any:
    """Return the launch template version that a new member gets, ``$Latest`` and ``$Default`` resolved."""
    return group.ec2_launch_template.get_version(group.launch_template_version)


def launch(group: Any, cause: str) -> Any:
    """Launch one member.

    Args:
        group: moto's group.
        cause: Why, as the activity tells it.

    Returns:
        The new member, ``Pending``.

    Changes:
        EC2 has one more instance.
    """
    version = template_version(group)
    overrides = ((group.mixed_instances_policy or {}).get("LaunchTemplate") or {}).get("Overrides") or [{}]
    tags = group.get_propagated_tags() | {NAME_TAG: group.name}
    subnet_id, zone = _balanced_subnet(group)
    reservation = backend("ec2").run_instances(
        version.image_id,
        1,
        version.user_data,
        [],
        instance_type=overrides[0].get("InstanceType") or version.instance_type,
        is_instance_type_default=False,
        launch_template={"LaunchTemplateId": group.ec2_launch_template.id, "Version": version.number},
        subnet_id=subnet_id,
        placement=zone,
        region_name=group.region,
        associate_public_ip=None,
        tags={"instance": tags, "volume": _volume_tags(version)},
    )
    member = adopt(group, reservation.instances[0], version.number)
    record(group, f"Launching a new EC2 instance: {member.instance.id}", cause)
    return member


def adopt(group: Any, instance: Any, version: int) -> Any:
    """Make an instance a ``Pending`` member of a group."""
    instance.autoscaling_group = group
    member = InstanceState(
        instance, lifecycle_state="Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in
    )
    member.sandbox_version = version
    member.sandbox_since = time.monotonic()
    group.instance_states.append(member)
    return member


def move(member: Any, lifecycle_state: str) -> None:
    """Set the lifecycle state of a member and the moment it began."""
    member.lifecycle_state = lifecycle_state
    member.sandbox_since = time.monotonic()


def seconds_in_state(member: Any) -> float:
    """Return how long a member has been in its lifecycle state; for one attached by hand, for ever."""
    return time.monotonic() - float(getattr(member, "sandbox_since", 0.0))


def retire(group: Any, member: Any, cause: str) -> None:
    """Begin to take a member out: it is drained first, then its instance is terminated."""
    if not member.lifecycle_state.startswith("Terminating"):
        record(group, f"Terminating EC2 instance: {member.instance.id}", cause)
        move(member, "Terminating")


def surplus(group: Any, count: int) -> list[Any]:
    """Return the members that a scale-in takes: oldest template version first, then oldest launch.

    Source: the Default termination policy. Protected members are never taken.
    """
    free = [member for member in active(group) if not member.protected_from_scale_in]
    return sorted(free, key=lambda member: (version_of(member), member.instance.launch_time))[:count]


def version_of(member: Any) -> int:
    """Return the launch template version a member was launched from; 0 for one that was attached by hand."""
    return int(getattr(member, "sandbox_version", 0))


def record(group: Any, description: str, cause: str, status: str = "Successful") -> None:
    """Append a scaling activity, newest first as DescribeScalingActivities gives them."""
    now = utcnow()
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Description": description,
        "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}.",
        "StartTime": now,
        "EndTime": now,
        "StatusCode": status,
        "StatusMessage": "" if status == "Successful" else cause,
        "Progress": 100,
    }
    group.sandbox_activities = [activity, *getattr(group, "sandbox_activities", [])][:_KEPT_ACTIVITIES]


def _balanced_subnet(group: Any) -> tuple[str | None, str]:
    """Return the subnet, and its zone, that has the fewest active members."""
    zones = [member.instance.availability_zone for member in active(group)]
    if not group.vpc_zone_identifier:
        return None, min(group.availability_zones, key=zones.count)
    ec2 = backend("ec2")
    subnets = [ec2.get_subnet(subnet_id) for subnet_id in group.vpc_zone_identifier.split(",")]
    chosen = min(subnets, key=lambda subnet: zones.count(subnet.availability_zone))
    return chosen.id, chosen.availability_zone


def _volume_tags(version: Any) -> dict[str, str]:
    specifications = version.data.get("TagSpecifications") or []
    tags = [tag for one in specifications if one.get("ResourceType") == "volume" for tag in one.get("Tags", [])]
    return {tag["Key"]: tag["Value"] for tag in tags}
