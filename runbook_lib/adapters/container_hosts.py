"""The container instances as members of their Auto Scaling group: one more, one fewer, draining. It decides nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from runbook_lib.adapters.aws import Aws
from runbook_lib.errors import AwsError


class ContainerHosts:
    """The hosts of one cluster, and the group that launches them.

    Args:
        aws: The session.
        cluster_name: The cluster.
    """

    def __init__(self, aws: Aws, cluster_name: str) -> None:
        self._aws = aws
        self._cluster = cluster_name

    def group(self, group_name: str) -> dict[str, Any]:
        """Return facts about the Auto Scaling group.

        Args:
            group_name: The group.

        Returns:
            Keys `exists, min_size, max_size, desired, members` {instance id: lifecycle state, for example
            `InService`}; without a group `exists` = False, sizes 0 and no members.

        Source: Auto Scaling DescribeAutoScalingGroups.
        """
        found = self._describe(group_name)
        return {
            "exists": bool(found),
            "min_size": found.get("MinSize", 0),
            "max_size": found.get("MaxSize", 0),
            "desired": found.get("DesiredCapacity", 0),
            "members": {one["InstanceId"]: one["LifecycleState"] for one in found.get("Instances", [])},
        }

    def machine_image(self, group_name: str) -> str:
        """Return the machine image that the group's launch template names.

        Args:
            group_name: The group.

        Returns:
            AMI id.

        Raises:
            AwsError: when there is no such group, or it has no launch template.

        Source: EC2 DescribeLaunchTemplateVersions.
        """
        group = self._describe(group_name)
        policy = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
        template = group.get("LaunchTemplate") or policy
        if template is None:
            text = f"expected the Auto Scaling group {group_name} with a launch template, found none"
            raise AwsError("DescribeAutoScalingGroups", "NoLaunchTemplate", text)
        answer = self._aws.call(
            "ec2",
            "describe_launch_template_versions",
            LaunchTemplateId=template["LaunchTemplateId"],
            Versions=[template["Version"]],
        )
        return str(answer["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"])

    def launch_problem(self, group_name: str, since: datetime) -> str:
        """Return why the group's newest launch failed.

        Args:
            group_name: The group.
            since: Earlier activities do not count.

        Returns:
            What Auto Scaling says, "" when its newest activity is earlier, or did not fail.

        Source: Auto Scaling DescribeScalingActivities, newest first.
        """
        answer = self._aws.call(
            "autoscaling", "describe_scaling_activities", AutoScalingGroupName=group_name, MaxRecords=1
        )
        newest = next(iter(answer["Activities"]), None)
        # whole seconds: Auto Scaling cuts the fraction off
        if newest is None or newest["StatusCode"] != "Failed" or newest["StartTime"] < since.replace(microsecond=0):
            return ""
        return str(newest.get("StatusMessage") or newest.get("Cause") or "no reason given")

    def _describe(self, group_name: str) -> dict[str, Any]:
        answer = self._aws.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group_name])
        found: list[dict[str, Any]] = answer["AutoScalingGroups"]
        return found[0] if found else {}

    def set_desired(self, group_name: str, desired: int) -> None:
        """Set how many instances the group wants.

        Args:
            group_name: The group.
            desired: Between the group's sizes.

        Changes:
            The group launches instances from its newest launch template version, or ends some.

        Source: Auto Scaling SetDesiredCapacity.
        """
        self._aws.call(
            "autoscaling",
            "set_desired_capacity",
            target=group_name,
            AutoScalingGroupName=group_name,
            DesiredCapacity=desired,
            HonorCooldown=False,
        )

    def remove(self, instance_id: str) -> None:
        """End one instance of the group, which then wants one fewer; ECS drains it before.

        Args:
            instance_id: The instance.

        Changes:
            The instance ends.

        Source: Auto Scaling TerminateInstanceInAutoScalingGroup.
        """
        self._aws.call(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            target=instance_id,
            InstanceId=instance_id,
            ShouldDecrementDesiredCapacity=True,
        )

    def set_status(self, container_instance_arns: list[str], status: str) -> None:
        """Let container instances drain, or take tasks again.

        Args:
            container_instance_arns: Up to ten.
            status: `DRAINING` or `ACTIVE`.

        Changes:
            ECS stops the tasks of services there, or places new ones.

        Source: ECS UpdateContainerInstancesState.
        """
        self._aws.call(
            "ecs",
            "update_container_instances_state",
            target=", ".join(container_instance_arns),
            cluster=self._cluster,
            containerInstances=container_instance_arns,
            status=status,
        )

    def start_instance_refresh(self, group_name: str) -> str:
        """Replace every instance of the group, launching before terminating.

        Args:
            group_name: The group.

        Returns:
            The instance refresh id.

        Changes:
            New instances come, old ones are drained and go.

        Source: Auto Scaling StartInstanceRefresh; minimum 100 % and maximum 200 % healthy launch before terminate.
        """
        answer = self._aws.call(
            "autoscaling",
            "start_instance_refresh",
            target=group_name,
            AutoScalingGroupName=group_name,
            Strategy="Rolling",
            Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200, "InstanceWarmup": 0},
        )
        return str(answer["InstanceRefreshId"])
