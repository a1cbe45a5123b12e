"""Application Auto Scaling of the service's tasks: what is registered. Reads only; Terraform registers it."""

from __future__ import annotations

from typing import Any

from runbook_lib.adapters.aws import Aws

_NAMES = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


class Scaling:
    """What changes the desired count of one service.

    Args:
        aws: The session.
        cluster_name: The cluster.
        service_name: The service.
    """

    def __init__(self, aws: Aws, cluster_name: str, service_name: str) -> None:
        self._aws = aws
        self._resource = f"service/{cluster_name}/{service_name}"

    def registered(self) -> dict[str, Any]:
        """Return the range in which the number of tasks is changed, and by what.

        Returns:
            Keys `min_tasks`, `max_tasks`, `target_cpu_percent` (0 without a policy that tracks the CPU); empty when
            nothing is registered.

        Source: Application Auto Scaling DescribeScalableTargets, DescribeScalingPolicies.
        """
        found = self._aws.call(
            "application-autoscaling", "describe_scalable_targets", ResourceIds=[self._resource], **_NAMES
        )
        target = next(iter(found["ScalableTargets"]), None)
        if target is None:
            return {}
        policies = self._aws.call(
            "application-autoscaling", "describe_scaling_policies", ResourceId=self._resource, **_NAMES
        )
        tracked = [one.get("TargetTrackingScalingPolicyConfiguration", {}) for one in policies["ScalingPolicies"]]
        return {
            "min_tasks": target["MinCapacity"],
            "max_tasks": target["MaxCapacity"],
            "target_cpu_percent": int(next((one["TargetValue"] for one in tracked if one), 0)),
        }
