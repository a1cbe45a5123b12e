"""What only a rehearsal needs of EC2 and ECS: a volume that may be deleted, a task that belongs to no service.

Facts and single calls. It decides nothing; whoever deletes a volume has looked at its tags first.
"""

from __future__ import annotations

from typing import Any

from runbook_lib.adapters.aws import Aws, tag_list
from runbook_lib.errors import AwsError


def _time(task: dict[str, Any], key: str) -> str:
    return str(task[key].isoformat()) if task.get(key) else ""


def _task_facts(task: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_arn": task["taskArn"],
        "task_definition_arn": task.get("taskDefinitionArn", ""),
        "last_status": task.get("lastStatus", ""),
        "desired_status": task.get("desiredStatus", ""),
        "container_instance_arn": task.get("containerInstanceArn", ""),
        "started_by": task.get("startedBy", ""),
        "group": task.get("group", ""),
        "stopped_reason": task.get("stoppedReason", ""),
        "reasons": [c["reason"] for c in task.get("containers", []) if c.get("reason")],
        "host_ports": [
            {"container_port": b.get("containerPort", 0), "host_port": b.get("hostPort", 0)}
            for container in task.get("containers", [])
            for b in container.get("networkBindings", [])
        ],
        "stopping_utc": _time(task, "stoppingAt"),
        "containers_stopped_utc": _time(task, "executionStoppedAt"),
    }


class RehearsalApi:
    """Clones of volumes and stand-alone tasks of one cluster.

    Args:
        aws: The session.
        cluster_name: The cluster.
    """

    def __init__(self, aws: Aws, cluster_name: str) -> None:
        self._aws = aws
        self._cluster = cluster_name

    def restore_volume(self, snapshot_id: str, like: dict[str, Any], tags: dict[str, str], token: str) -> str:
        """Create a volume from a snapshot.

        Args:
            snapshot_id: A completed snapshot.
            like: Facts of the volume it shall be like, as `Ebs.describe_volume`.
            tags: Tags of the new volume.
            token: Client token, so that a repeated call makes no second volume.

        Returns:
            The new volume's id.

        Changes:
            A new volume.

        Source: EC2 CreateVolume.
        """
        settings: dict[str, Any] = {"VolumeType": like["volume_type"], "Size": like["size_gib"]}
        if like["volume_type"] in {"gp3", "io1", "io2"} and like["iops"]:
            settings["Iops"] = like["iops"]
        if like["volume_type"] == "gp3" and like["throughput_mibps"]:
            settings["Throughput"] = like["throughput_mibps"]
        answer = self._aws.call(
            "ec2",
            "create_volume",
            target=snapshot_id,
            SnapshotId=snapshot_id,
            AvailabilityZone=like["availability_zone"],
            ClientToken=token,
            TagSpecifications=[{"ResourceType": "volume", "Tags": tag_list(tags)}],
            **settings,
        )
        return str(answer["VolumeId"])

    def delete_volume(self, volume_id: str) -> None:
        """Delete a volume with everything on it.

        Args:
            volume_id: A clone that this run made.

        Changes:
            The volume is gone. EC2 refuses while it is attached.

        Source: EC2 DeleteVolume.
        """
        self._aws.call("ec2", "delete_volume", target=volume_id, VolumeId=volume_id)

    def register_task_definition(self, definition: dict[str, Any], tags: dict[str, str]) -> str:
        """Register a task definition.

        Args:
            definition: As `Ecs.task_definition`.
            tags: Its tags.

        Returns:
            Its ARN.

        Changes:
            A new revision of its family.

        Source: ECS RegisterTaskDefinition; the caller needs iam:PassRole on the definition's roles.
        """
        answer = self._aws.call(
            "ecs", "register_task_definition", target=definition["family"], **definition, tags=_ecs_tags(tags)
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def active_definitions(self, family: str) -> list[str]:
        """Return the ARNs of a family's active task definitions.

        Args:
            family: The whole name of the family.

        Returns:
            ARNs, oldest first.

        Source: ECS ListTaskDefinitions, whose filter is a prefix.
        """
        listed = self._aws.pages(
            "ecs", "list_task_definitions", "taskDefinitionArns", familyPrefix=family, status="ACTIVE"
        )
        return [arn for arn in listed if arn.rpartition("/")[2].rpartition(":")[0] == family]

    def deregister_task_definition(self, arn: str) -> None:
        """Deregister a task definition.

        Args:
            arn: Its ARN.

        Changes:
            It becomes inactive; nothing can be started from it.

        Source: ECS DeregisterTaskDefinition.
        """
        self._aws.call("ecs", "deregister_task_definition", target=arn, taskDefinition=arn)

    def run_task(self, arn: str, *, expression: str, started_by: str, token: str, tags: dict[str, str]) -> str:
        """Start one stand-alone task on a container instance; it is registered with no load balancer.

        Args:
            arn: Its task definition.
            expression: Placement constraint in the cluster query language.
            started_by: Who started it, shown by ECS.
            token: Client token, so that a repeated call starts no second task.
            tags: Its tags.

        Returns:
            The task's ARN.

        Raises:
            AwsError: with the reason as its code when ECS finds no place for it.

        Changes:
            A task starts.

        Source: ECS RunTask, launch type EC2.
        """
        answer = self._aws.call(
            "ecs",
            "run_task",
            target=arn,
            cluster=self._cluster,
            taskDefinition=arn,
            count=1,
            launchType="EC2",
            placementConstraints=[{"type": "memberOf", "expression": expression}],
            startedBy=started_by,
            clientToken=token,
            tags=_ecs_tags(tags),
        )
        if not answer["tasks"]:
            failures = answer["failures"] or [{"reason": "no reason given"}]
            raise AwsError("RunTask", failures[0]["reason"], f"no container instance took the task: {failures}")
        return str(answer["tasks"][0]["taskArn"])

    def tasks_of(self, family: str) -> list[dict[str, Any]]:
        """Return facts about every task of a family that ECS still shows, those that stopped lately too.

        Args:
            family: Family of the task definition.

        Returns:
            Keys `task_arn, task_definition_arn, last_status, desired_status, container_instance_arn, started_by,
            group, stopped_reason, reasons[], host_ports[], stopping_utc, containers_stopped_utc`; empty without the
            cluster.

        Source: ECS DescribeClusters, ListTasks, DescribeTasks.
        """
        clusters = self._aws.call("ecs", "describe_clusters", clusters=[self._cluster])["clusters"]
        if not any(cluster["status"] == "ACTIVE" for cluster in clusters):
            return []
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in self._aws.pages(
                "ecs", "list_tasks", "taskArns", cluster=self._cluster, family=family, desiredStatus=status
            )
        ]
        if not arns:
            return []
        answer = self._aws.call("ecs", "describe_tasks", cluster=self._cluster, tasks=arns[-100:])
        return [_task_facts(task) for task in answer["tasks"]]


def _ecs_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]
