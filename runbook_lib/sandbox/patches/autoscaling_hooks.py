"""Lifecycle hooks of Auto Scaling groups: kept as given, completed, and waited for by the reconciler.

moto invents a role and a queue for each hook and cannot complete one.
Source: EC2 Auto Scaling API reference, PutLifecycleHook, CompleteLifecycleAction, RecordLifecycleActionHeartbeat.
"""

from __future__ import annotations

import time
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import EmptyResult

from runbook_lib.sandbox.backends import operations

_HEARTBEATS = 100


def apply() -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's Auto Scaling response class.
    """
    operations(
        AutoScalingResponse,
        put_lifecycle_hook=_put,
        complete_lifecycle_action=_complete,
        record_lifecycle_action_heartbeat=_heartbeat,
    )


def put(autoscaling: Any, group_name: str, given: dict[str, Any]) -> None:
    """Create or change a hook.

    Args:
        autoscaling: moto's backend.
        group_name: The group.
        given: Parameters of PutLifecycleHook or one LifecycleHookSpecification.
    """
    name = given["LifecycleHookName"]
    known = autoscaling.lifecycle_hooks.get(f"{group_name}_{name}")
    transition = given.get("LifecycleTransition") or (known.lifecycle_transition if known else None)
    if not transition:
        raise ValidationError("LifecycleTransition is required for a new lifecycle hook")
    heartbeat = given.get("HeartbeatTimeout") or (known.heartbeat_timeout if known else None)
    result = given.get("DefaultResult") or (known.default_result if known else None)
    hook = autoscaling.create_lifecycle_hook(name, group_name, transition, heartbeat and int(heartbeat), result)
    hook.role_arn = given.get("RoleARN")
    hook.notification_target_arn = given.get("NotificationTargetARN")
    hook.notification_metadata = given.get("NotificationMetadata")
    # Source: 172800 seconds (48 hours) or 100 times the heartbeat timeout, whichever is smaller.
    hook.global_timeout = min(172800, _HEARTBEATS * hook.heartbeat_timeout)


def _put(response: Any) -> Any:
    names = (
        "LifecycleHookName",
        "LifecycleTransition",
        "HeartbeatTimeout",
        "DefaultResult",
        "RoleARN",
        "NotificationTargetARN",
        "NotificationMetadata",
    )
    group_name = response._get_param("AutoScalingGroupName")
    if group_name not in response.autoscaling_backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - null: {group_name}")
    put(response.autoscaling_backend, group_name, {name: response._get_param(name) for name in names})
    return EmptyResult()


def _waiting(response: Any) -> tuple[Any, str]:
    """Return the member whose lifecycle action the request is about, and the hook's name."""
    group = response.autoscaling_backend.autoscaling_groups.get(response._get_param("AutoScalingGroupName"))
    instance_id, hook_name = response._get_param("InstanceId"), response._get_param("LifecycleHookName")
    for member in group.instance_states if group else []:
        if member.instance.id == instance_id and member.lifecycle_state.endswith(":Wait"):
            return member, hook_name
    raise ValidationError(f"No active Lifecycle Action found with instance ID {instance_id}")


def _complete(response: Any) -> Any:
    member, hook_name = _waiting(response)
    result = response._get_param("LifecycleActionResult")
    if result not in {"CONTINUE", "ABANDON"}:
        raise ValidationError("LifecycleActionResult must be CONTINUE or ABANDON")
    member.sandbox_results = getattr(member, "sandbox_results", {}) | {hook_name: result}
    return EmptyResult()


def _heartbeat(response: Any) -> Any:
    member, _hook_name = _waiting(response)
    member.sandbox_since = time.monotonic()
    return EmptyResult()
