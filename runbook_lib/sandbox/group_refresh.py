"""Instance refreshes: members of an older template version are replaced, new before old when the policy says so.

Everything here is called with ``World.lock`` held.
Source: Auto Scaling user guide, "Use an instance refresh", "Instance maintenance policies"; StartInstanceRefresh.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.utils import utcnow

from runbook_lib.sandbox import group_members as members

RUNNING = frozenset({"Pending", "InProgress", "Cancelling"})
_PERCENT = 100


@dataclass
class Refresh:
    """One instance refresh.

    Args:
        group_name: The group.
        preferences: As given to StartInstanceRefresh.
        old: Ids of the instances it replaces.
        minimum: Percentage of the desired capacity that stays healthy.
        maximum: Percentage of the desired capacity that it may have at once.
        warmup_s: How long a new instance must have been in service.
    """

    group_name: str
    preferences: dict[str, Any]
    old: list[str]
    minimum: int
    maximum: int
    warmup_s: float
    desired_configuration: dict[str, Any] | None = None
    instance_refresh_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "Pending"
    status_reason: str = ""
    start_time: datetime = field(default_factory=utcnow)
    end_time: datetime | None = None
    percentage_complete: int = 0
    instances_to_update: int = 0

    def __post_init__(self) -> None:
        self.instances_to_update = len(self.old)

    def finish(self, status: str, reason: str) -> None:
        """End the refresh."""
        self.status, self.status_reason, self.end_time = status, reason, utcnow()

    def shown(self) -> dict[str, Any]:
        """Return what DescribeInstanceRefreshes answers."""
        answer = {
            "InstanceRefreshId": self.instance_refresh_id,
            "AutoScalingGroupName": self.group_name,
            "Status": self.status,
            "StatusReason": self.status_reason or None,
            "StartTime": self.start_time,
            "EndTime": self.end_time,
            "PercentageComplete": self.percentage_complete,
            "InstancesToUpdate": self.instances_to_update,
            "Preferences": self.preferences or None,
            "DesiredConfiguration": self.desired_configuration,
        }
        return {name: value for name, value in answer.items() if value is not None}


def refreshes(group: Any) -> list[Refresh]:
    """Return the refreshes of a group, newest first."""
    if not hasattr(group, "sandbox_refreshes"):
        group.sandbox_refreshes = []
    return list(group.sandbox_refreshes)


def running(group: Any) -> Refresh | None:
    """Return the refresh that is going on, or None."""
    return next((one for one in refreshes(group) if one.status in RUNNING), None)


def begin(group: Any, preferences: dict[str, Any], configuration: dict[str, Any] | None) -> Refresh:
    """Begin a refresh.

    Args:
        group: moto's group, without a running refresh.
        preferences: MinHealthyPercentage, MaxHealthyPercentage, InstanceWarmup, SkipMatching and others.
        configuration: The desired configuration, already written to the group, or None.
    """
    policy = getattr(group, "instance_maintenance_policy", None) or {}
    # Source: the refresh's preference, else the group's instance maintenance policy, else 90 and 100.
    minimum = preferences.get("MinHealthyPercentage", policy.get("MinHealthyPercentage", 90))
    maximum = preferences.get("MaxHealthyPercentage", policy.get("MaxHealthyPercentage", 100))
    warmup = preferences.get("InstanceWarmup", getattr(group, "default_instance_warmup", None))
    warmup_s = group.health_check_grace_period if warmup is None else warmup
    old = members.active(group)
    if preferences.get("SkipMatching"):
        current = members.template_version(group).number
        old = [member for member in old if members.version_of(member) != current]
    refresh = Refresh(
        group_name=group.name,
        preferences=preferences,
        old=[member.instance.id for member in old],
        minimum=int(minimum),
        maximum=max(int(maximum), _PERCENT),
        warmup_s=float(warmup_s or 0),
        desired_configuration=configuration,
    )
    group.sandbox_refreshes = [refresh, *refreshes(group)]
    return refresh


def advance(group: Any, is_ready: Callable[[Any], bool]) -> None:
    """Take the next step of a group's refresh, when it has one.

    Args:
        group: moto's group.
        is_ready: Says whether a new member is healthy and registered.

    Changes:
        Launches or retires one member, or ends the refresh.
    """
    refresh = running(group)
    if refresh is None:
        return
    if refresh.status == "Cancelling":
        refresh.finish("Cancelled", "Cancelled due to user request.")
        return
    refresh.status = "InProgress"
    remaining = [member for member in members.active(group) if member.instance.id in refresh.old]
    leaving = [member for member in group.instance_states if member.lifecycle_state.startswith("Terminating")]
    done = refresh.instances_to_update - len(remaining)
    warm = [one for one in members.active(group) if _is_warm(one, refresh, is_ready)]
    if refresh.instances_to_update:
        refresh.percentage_complete = int(max(0, done - len(leaving)) / refresh.instances_to_update * _PERCENT)
    if remaining:
        _replace_one(group, refresh, remaining, warm, busy=bool(leaving))
    elif not leaving and len(warm) >= (group.desired_capacity or 0):
        refresh.percentage_complete = _PERCENT
        refresh.finish("Successful", "")


def _replace_one(group: Any, refresh: Refresh, remaining: list[Any], warm: list[Any], *, busy: bool) -> None:
    desired = group.desired_capacity or 0
    present = len(members.active(group))
    allowed = max(1, math.floor(desired * refresh.maximum / _PERCENT))
    needed = math.ceil(desired * refresh.minimum / _PERCENT)
    if needed >= allowed:
        needed = allowed - 1  # Source: when both are 100 an instance is terminated first, else nothing could move
    unprotected = [member for member in remaining if not member.protected_from_scale_in]
    if not unprotected:
        if refresh.preferences.get("ScaleInProtectedInstances", "Wait") != "Refresh":
            refresh.status_reason = "Waiting for scale-in protection to be removed from instances."
            return
        unprotected = remaining
    victim = unprotected[0]
    if present < allowed and present - len(remaining) < refresh.instances_to_update:
        members.launch(
            group, f"an instance was launched in response to the instance refresh {refresh.instance_refresh_id}"
        )
    elif not busy and len([one for one in warm if one is not victim]) >= needed:
        members.retire(group, victim, f"an instance was replaced by the instance refresh {refresh.instance_refresh_id}")


def _is_warm(member: Any, refresh: Refresh, is_ready: Callable[[Any], bool]) -> bool:
    if member.lifecycle_state != "InService":
        return False
    if member.instance.id in refresh.old:
        return bool(member.health_status == "Healthy")
    return is_ready(member) and members.seconds_in_state(member) >= refresh.warmup_s
