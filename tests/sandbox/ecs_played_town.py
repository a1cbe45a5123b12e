"""An ECS cluster on moto in this process whose container agent is played by the test."""

import boto3
from moto.ecs.models import ecs_backends

from runbook_lib.sandbox import ecs_instances, ecs_tasks
from runbook_lib.sandbox.latency import Latency
from runbook_lib.sandbox.service_scheduler import ServiceScheduler

REGION = "us-east-1"
DRIVER = "ecs.capability.docker-plugin.rexray/ebs"
CAPABILITIES = {
    "ecs.cpu-architecture": "x86_64",
    "com.amazonaws.ecs.capability.docker-remote-api.1.18": None,
    "ecs.capability.container-health-check": None,
}


class PlayedTown:
    """A cluster with its scheduler; hosts are records only."""

    def __init__(self) -> None:
        self.ecs = boto3.client("ecs", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
        self.ec2 = boto3.client("ec2", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
        account = self.ecs.create_cluster(clusterName="town")["cluster"]["clusterArn"].split(":")[4]
        self.backend = ecs_backends[account][REGION]
        self.scheduler = ServiceScheduler(self.backend, Latency.named("none"))

    def host(self, zone="us-east-1a", **attributes):
        """Register one more container instance and return its record."""
        launched = self.ec2.run_instances(
            ImageId="ami-12c6146b", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone}
        )
        instance_id = launched["Instances"][0]["InstanceId"]
        attributes = {**CAPABILITIES, DRIVER: None, **attributes}
        return ecs_instances.register(self.backend, "town", instance_id, attributes, resources=(2048, 1893))

    def define(self, *, volumes=(), port=0, **container):
        """Register a task definition and return its ARN."""
        ports = [{"containerPort": 8080, "hostPort": port}]
        one = {"name": "web", "image": "web:1", "memory": 64, "portMappings": ports, **container}
        given = self.ecs.register_task_definition(family="web", containerDefinitions=[one], volumes=list(volumes))
        return given["taskDefinition"]["taskDefinitionArn"]

    def serve(self, definition, *, low=0, high=100, desired=1, **more):
        """Create the service ``web``."""
        configuration = {"minimumHealthyPercent": low, "maximumPercent": high, **more.pop("configuration", {})}
        self.ecs.create_service(
            cluster="town",
            serviceName="web",
            taskDefinition=definition,
            desiredCount=desired,
            deploymentConfiguration=configuration,
            **more,
        )

    def tick(self, times=1):
        for _number in range(times):
            self.scheduler.tick()

    def tasks(self, status="RUNNING"):
        """Return the tasks with a desired status, oldest first, as the API shows them."""
        arns = self.ecs.list_tasks(cluster="town", serviceName="web", desiredStatus=status)["taskArns"]
        return self.ecs.describe_tasks(cluster="town", tasks=arns)["tasks"] if arns else []

    def service(self):
        return self.ecs.describe_services(cluster="town", services=["web"])["services"][0]

    def messages(self):
        """Return the service's events, newest first."""
        return [event["message"] for event in self.service()["events"]]

    def run_all(self):
        """Play the agent: what should run runs, what should stop stops."""
        for task in self._records():
            if ecs_tasks.is_stopping(task):
                ecs_tasks.set_status(task, "STOPPED")
            elif task.status == "PROVISIONING":
                ecs_tasks.set_status(task, "RUNNING")

    def fail_all(self):
        """Play the agent of a host where every task fails to start."""
        for task in self._records():
            if not ecs_tasks.is_stopped(task):
                ecs_tasks.end(task, "CannotPullContainerError: no such image", "TaskFailedToStart")

    def settle(self):
        """Let agent and scheduler take turns until a service without a health check has come to rest."""
        for _number in range(4):
            self.tick()
            self.run_all()
        for task in self._records():
            if task.status == "RUNNING":
                task.started_at = task.created_at = ecs_tasks.now().replace(year=2020)
        self.tick()

    def _records(self):
        return list(ecs_tasks.cluster_tasks(self.backend, "town"))
