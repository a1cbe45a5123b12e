"""Instance refresh calls, which moto lacks: StartInstanceRefresh, DescribeInstanceRefreshes, CancelInstanceRefresh.

Source: EC2 Auto Scaling API reference, the pages of these calls.
"""

from __future__ import annotations

from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult

from runbook_lib.sandbox import group_refresh
from runbook_lib.sandbox.backends import operations


def apply() -> None:
    """Put the calls into moto.

    Changes:
        Methods of moto's Auto Scaling response class.
    """
    operations(
        AutoScalingResponse,
        start_instance_refresh=_start,
        describe_instance_refreshes=_describe,
        cancel_instance_refresh=_cancel,
    )


def _group(response: Any) -> Any:
    name = response._get_param("AutoScalingGroupName")
    if name not in response.autoscaling_backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return response.autoscaling_backend.autoscaling_groups[name]


def _start(response: Any) -> Any:
    group = _group(response)
    if group_refresh.running(group):
        message = "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."
        raise AutoscalingClientError("InstanceRefreshInProgress", message)
    strategy = response._get_param("Strategy", "Rolling")
    preferences = dict(response._get_param("Preferences", {}) or {})
    if strategy != "Rolling" or preferences.get("CheckpointPercentages"):
        raise ValidationError("the sandbox has rolling instance refreshes without checkpoints only")
    minimum, maximum = preferences.get("MinHealthyPercentage"), preferences.get("MaxHealthyPercentage")
    if maximum is not None and (minimum is None or not 0 <= int(maximum) - int(minimum) <= 100):  # noqa: PLR2004
        raise ValidationError("MaxHealthyPercentage needs MinHealthyPercentage, at most 100 below it")
    configuration = response._get_param("DesiredConfiguration")
    if configuration:
        group._set_launch_configuration(
            "", configuration.get("LaunchTemplate", {}), configuration.get("MixedInstancesPolicy")
        )
        if configuration.get("MixedInstancesPolicy"):
            group.mixed_instances_policy = configuration["MixedInstancesPolicy"]
    refresh = group_refresh.begin(group, preferences, configuration)
    return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})


def _describe(response: Any) -> Any:
    known = group_refresh.refreshes(_group(response))
    wanted = response._get_param("InstanceRefreshIds", [])
    missing = set(wanted) - {refresh.instance_refresh_id for refresh in known}
    if missing:
        raise ValidationError(f"Instance Refresh Ids are not valid: {', '.join(sorted(missing))}")
    chosen = [refresh.shown() for refresh in known if not wanted or refresh.instance_refresh_id in wanted]
    return ActionResult({"InstanceRefreshes": chosen})


def _cancel(response: Any) -> Any:
    refresh = group_refresh.running(_group(response))
    if refresh is None:
        message = "No in progress or pending Instance Refresh found for Auto Scaling group."
        raise AutoscalingClientError("ActiveInstanceRefreshNotFound", message)
    refresh.status = "Cancelling"
    return ActionResult({"InstanceRefreshId": refresh.instance_refresh_id})
