"""Amazon ECS, and the Auto Scaling group under it, as facts and single calls. It decides nothing."""

from __future__ import annotations

from typing import Any

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.ecs_facts import deployment_facts, resource_facts, task_facts

_STOPPED_TASKS_KEPT = 5
_BREAKER = "deploymentCircuitBreaker"
_REGISTERED_BY_US = frozenset(
    {
        "taskDefinitionArn",
        "revision",
        "status",
        "requiresAttributes",
        "compatibilities",
        "registeredAt",
        "registeredBy",
        "deregisteredAt",
    }
)
"""What DescribeTaskDefinition returns beside what RegisterTaskDefinition takes."""


class Ecs:
    """One cluster and the service in it.

    Args:
        aws: The session.
        cluster_name: The cluster.
        service_name: The service.
    """

    def __init__(self, aws: Aws, cluster_name: str, service_name: str) -> None:
        self._aws = aws
        self._cluster = cluster_name
        self._service = service_name

    def describe_service(self) -> dict[str, Any]:
        """Return facts about the service.

        Returns:
            Keys `exists, status, desired_count, running_count, pending_count, minimum_healthy_percent,
            maximum_percent, availability_zone_rebalancing, rollout_state, failed_tasks, task_definition_arn,
            controller, strategy, placement` (expressions of the constraints, sorted), `returns_by_itself` (whether the
            circuit breaker leads back), `balanced` (whether a load balancer is in front of it), `deployments[]` (as
            `deployment_facts`), `events[]` (newest five messages); only `exists` = False when there is none.

        Source: ECS DescribeClusters, DescribeServices.
        """
        clusters = self._aws.call("ecs", "describe_clusters", clusters=[self._cluster])["clusters"]
        if not any(cluster["status"] == "ACTIVE" for cluster in clusters):
            return {"exists": False}
        answer = self._aws.call("ecs", "describe_services", cluster=self._cluster, services=[self._service])
        found = [service for service in answer["services"] if service["status"] == "ACTIVE"]
        if not found:
            return {"exists": False}
        service = found[0]
        deployment = service.get("deploymentConfiguration", {})
        breaker = deployment.get(_BREAKER, {})
        primary: dict[str, Any] = next((d for d in service.get("deployments", []) if d["status"] == "PRIMARY"), {})
        return {
            "exists": True,
            "status": service["status"],
            "desired_count": service["desiredCount"],
            "running_count": service["runningCount"],
            "pending_count": service["pendingCount"],
            "minimum_healthy_percent": deployment.get("minimumHealthyPercent"),
            "maximum_percent": deployment.get("maximumPercent"),
            "availability_zone_rebalancing": service.get("availabilityZoneRebalancing", ""),
            "rollout_state": primary.get("rolloutState", ""),
            "failed_tasks": primary.get("failedTasks", 0),
            "task_definition_arn": service.get("taskDefinition", ""),
            "controller": service.get("deploymentController", {}).get("type") or "ECS",
            "strategy": deployment.get("strategy") or "ROLLING",
            "placement": sorted(one.get("expression", one["type"]) for one in service.get("placementConstraints", [])),
            "returns_by_itself": breaker.get("enable", False) and breaker.get("rollback", False),
            "balanced": bool(service.get("loadBalancers")),
            "deployments": [deployment_facts(one) for one in service.get("deployments", [])],
            "events": [event["message"] for event in service.get("events", [])[:5]],
        }

    def set_desired_count(self, desired_count: int) -> None:
        """Set how many tasks the service should run.

        Args:
            desired_count: 0 or 1 for a single writer.

        Changes:
            The service starts or stops tasks.

        Source: ECS UpdateService.
        """
        self._update(desiredCount=desired_count)

    def set_task_definition(self, arn: str) -> None:
        """Let the service use another revision of its task definition.

        Args:
            arn: The revision.

        Changes:
            A deployment begins; with a desired count above 0 it stops and starts tasks.

        Source: ECS UpdateService.
        """
        self._update(taskDefinition=arn)

    def deploy_beside(self, arn: str) -> None:
        """Let the service use another revision, whose task starts beside the one that runs, which stops afterwards.

        Args:
            arn: The revision.

        Changes:
            A deployment begins at 100 and 200 per cent; the percentages stay until `stop_before_start`.

        Source: ECS UpdateService.
        """
        self._update(taskDefinition=arn, deploymentConfiguration=self._percentages(100, 200))

    def stop_before_start(self) -> None:
        """Give the service the percentages of one writer again: a task stops before the next one starts.

        Changes:
            Its deployment configuration; no deployment begins.

        Source: ECS UpdateService.
        """
        self._update(deploymentConfiguration=self._percentages(0, 100))

    def _percentages(self, minimum: int, maximum: int) -> dict[str, Any]:
        """Return the deployment configuration as it is, with other percentages: what is left out may be reset."""
        answer = self._aws.call("ecs", "describe_services", cluster=self._cluster, services=[self._service])
        kept: dict[str, Any] = next((one.get("deploymentConfiguration", {}) for one in answer["services"]), {})
        breaker = {_BREAKER: kept[_BREAKER]} if _BREAKER in kept else {}
        return {**breaker, "minimumHealthyPercent": minimum, "maximumPercent": maximum}

    def _update(self, **changes: Any) -> None:
        names = {"cluster": self._cluster, "service": self._service}
        self._aws.call("ecs", "update_service", target=self._service, **names, **changes)

    def task_definition(self, arn: str) -> dict[str, Any]:
        """Return a task definition as RegisterTaskDefinition takes it.

        Args:
            arn: ARN, or family and revision.

        Returns:
            camelCase keys, without what ECS adds.

        Source: ECS DescribeTaskDefinition.
        """
        definition = self._aws.call("ecs", "describe_task_definition", taskDefinition=arn)["taskDefinition"]
        return {key: value for key, value in definition.items() if key not in _REGISTERED_BY_US}

    def newest_revision(self, arn: str) -> str:
        """Return the newest ACTIVE revision of a task definition's family.

        Args:
            arn: Of any revision.

        Returns:
            Its ARN.

        Source: ECS DescribeTaskDefinition, by the family alone.
        """
        family = arn.rpartition("/")[2].partition(":")[0]
        answer = self._aws.call("ecs", "describe_task_definition", taskDefinition=family)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def tasks(self) -> list[dict[str, Any]]:
        """Return facts about the service's tasks that have not stopped.

        Returns:
            Keys `task_arn, task_definition_arn, last_status, desired_status, health_status, container_instance_arn,
            stopped_reason, started_utc, host_ports[], containers[]`, one mapping per task, whatever its desired status.

        Source: ECS ListTasks, DescribeTasks.
        """
        found = [task for status in ("RUNNING", "STOPPED") for task in self._tasks(status)]
        return [task for task in found if task["last_status"] != "STOPPED"]

    def stopped_tasks(self) -> list[dict[str, Any]]:
        """Return facts about the service's tasks that stopped lately, to explain a failure.

        Returns:
            As `tasks`, at most five.

        Source: ECS ListTasks, DescribeTasks.
        """
        return [task for task in self._tasks("STOPPED") if task["last_status"] == "STOPPED"][-_STOPPED_TASKS_KEPT:]

    def _tasks(self, desired_status: str) -> list[dict[str, Any]]:
        arns = list(
            self._aws.pages(
                "ecs",
                "list_tasks",
                "taskArns",
                cluster=self._cluster,
                serviceName=self._service,
                desiredStatus=desired_status,
            )
        )
        if not arns:
            return []
        answer = self._aws.call("ecs", "describe_tasks", cluster=self._cluster, tasks=arns[-100:])
        return [task_facts(task) for task in answer["tasks"]]

    def stop_task(self, task_arn: str, reason: str) -> None:
        """Stop one task; the service starts another.

        Args:
            task_arn: The task.
            reason: Shown by ECS as the stopped reason.

        Changes:
            The task stops.

        Source: ECS StopTask.
        """
        self._aws.call("ecs", "stop_task", target=task_arn, cluster=self._cluster, task=task_arn, reason=reason)

    def container_instances(self) -> list[dict[str, Any]]:
        """Return facts about the cluster's container instances.

        Returns:
            Keys `container_instance_arn, instance_id, status, agent_connected, running_tasks, attributes`
            (name → value, or None), `agent_version, docker_version` ("" when not told), `left` (`resource_facts`), one
            mapping per instance; empty when the cluster does not exist.

        Source: ECS DescribeClusters, ListContainerInstances, DescribeContainerInstances.
        """
        clusters = self._aws.call("ecs", "describe_clusters", clusters=[self._cluster])["clusters"]
        if not any(cluster["status"] == "ACTIVE" for cluster in clusters):
            return []
        listed = self._aws.pages("ecs", "list_container_instances", "containerInstanceArns", cluster=self._cluster)
        arns = list(listed)
        if not arns:
            return []
        answer = self._aws.call(
            "ecs", "describe_container_instances", cluster=self._cluster, containerInstances=arns[:100]
        )
        return [
            {
                "container_instance_arn": instance["containerInstanceArn"],
                "instance_id": instance["ec2InstanceId"],
                "status": instance["status"],
                "agent_connected": instance.get("agentConnected", False),
                "running_tasks": instance.get("runningTasksCount", 0),
                "attributes": {item["name"]: item.get("value") for item in instance.get("attributes", [])},
                "agent_version": instance.get("versionInfo", {}).get("agentVersion", ""),
                "docker_version": instance.get("versionInfo", {}).get("dockerVersion", ""),
                "left": resource_facts(instance.get("remainingResources", [])),
            }
            for instance in answer["containerInstances"]
        ]

    def describe_group(self, group_name: str) -> dict[str, Any]:
        """Return facts about the Auto Scaling group.

        Args:
            group_name: The group.

        Returns:
            Keys `instance_ids` and `refresh` {instance_refresh_id, status, percentage} of the newest instance refresh,
            or None.

        Source: Auto Scaling DescribeAutoScalingGroups, DescribeInstanceRefreshes.
        """
        groups = self._aws.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group_name])
        members = [i["InstanceId"] for group in groups["AutoScalingGroups"] for i in group["Instances"]]
        answer = self._aws.call("autoscaling", "describe_instance_refreshes", AutoScalingGroupName=group_name)
        newest = next(iter(answer["InstanceRefreshes"]), None)
        refresh = newest and {
            "instance_refresh_id": newest["InstanceRefreshId"],
            "status": newest["Status"],
            "percentage": newest.get("PercentageComplete", 0),
            "reason": newest.get("StatusReason", ""),
        }
        return {"instance_ids": members, "refresh": refresh}
