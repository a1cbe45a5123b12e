"""One ECS cluster with hosts in a running sandbox, as the tests of the container agent use it."""

import itertools
import json
from http.client import HTTPConnection

ECS_IMAGE = "ami-0ec52023d5f1e0a01"
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}'
POLICIES = ("service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonSSMManagedInstanceCore", "AmazonEC2FullAccess")
PLUGIN = [
    *("docker", "plugin", "install", "--alias", "rexray/ebs", "--grant-all-permissions"),
    *("registry.sandbox/rexray-ebs:latest", "EBS_REGION=us-east-1", "REXRAY_PREEMPT=false", "LINUX_VOLUME_ROOTPATH=/"),
]
NUMBERS = itertools.count(1)


class Town:
    """One cluster with hosts; every name is its own."""

    def __init__(self, sandbox, account, wait_until) -> None:
        self.number = next(NUMBERS)
        self.name = f"town{self.number}"
        self.volume_name = f"data{self.number}"
        self.sandbox, self.account, self.wait_until = sandbox, account, wait_until
        self.ecs = sandbox.client("ecs")
        self.ecs.create_cluster(clusterName=self.name)
        self.hosts: list[str] = []

    def host(self, *, plugin=True, profile="ecs-hosts", settings=()):
        """Launch a container instance and return its EC2 id; it may still boot."""
        lines = [f"ECS_CLUSTER={self.name}", "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=1s", *settings]
        content = "".join(f"{line}\n" for line in lines)
        config = {"write_files": [{"path": "/etc/ecs/ecs.config", "content": content}]}
        if plugin:
            config["runcmd"] = [PLUGIN]
        self.hosts.append(
            self.account.launch(
                ImageId=ECS_IMAGE,
                UserData="#cloud-config\n" + json.dumps(config),
                IamInstanceProfile={"Name": profile},
            )
        )
        return self.hosts[-1]

    def joined(self, **options):
        """Launch a container instance and wait until it has joined the cluster."""
        instance_id = self.host(**options)
        self.wait_until(lambda: self.container_instance(instance_id), f"{instance_id} has joined")
        return instance_id

    def container_instance(self, instance_id):
        """Return what ECS says of a host, None when it is not in the cluster."""
        arns = self.ecs.list_container_instances(cluster=self.name)["containerInstanceArns"]
        if not arns:
            return None
        found = self.ecs.describe_container_instances(cluster=self.name, containerInstances=arns)["containerInstances"]
        return next((one for one in found if one["ec2InstanceId"] == instance_id), None)

    def volume(self):
        """Create the blank data volume, which REX-Ray formats at its first mount, and return its id."""
        tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": self.volume_name}]}]
        return self.account.available(TagSpecifications=tags)

    def define(self, *, autoprovision=False, scope="shared", **container):
        """Register a guestbook with the data volume and return its ARN."""
        settings = {"scope": scope, "driver": "rexray/ebs"}
        if scope == "shared":
            settings["autoprovision"] = autoprovision
        one = {
            "name": "guestbook",
            "image": "registry.sandbox/guestbook:1.0",
            "memory": 128,
            "portMappings": [{"containerPort": 8080, "hostPort": 8080}],
            "mountPoints": [{"sourceVolume": self.volume_name, "containerPath": "/data"}],
            "stopTimeout": 5,
            **container,
        }
        given = self.ecs.register_task_definition(
            family=self.name,
            volumes=[{"name": self.volume_name, "dockerVolumeConfiguration": settings}],
            containerDefinitions=[one],
        )
        return given["taskDefinition"]["taskDefinitionArn"]

    def serve(self, definition, **more):
        """Create the service with the percentages of a single writer."""
        configuration = {"minimumHealthyPercent": 0, "maximumPercent": 100, **more.pop("configuration", {})}
        if "capacityProviderStrategy" not in more:
            more["launchType"] = "EC2"
        self.ecs.create_service(
            cluster=self.name,
            serviceName="guestbook",
            taskDefinition=definition,
            desiredCount=1,
            deploymentConfiguration=configuration,
            **more,
        )

    def service(self):
        return self.ecs.describe_services(cluster=self.name, services=["guestbook"])["services"][0]

    def tasks(self, status="RUNNING"):
        arns = self.ecs.list_tasks(cluster=self.name, desiredStatus=status)["taskArns"]
        return self.ecs.describe_tasks(cluster=self.name, tasks=arns)["tasks"] if arns else []

    def running(self):
        """Wait for a task that runs and return it."""
        found = self.wait_until(
            lambda: [one for one in self.tasks() if one["lastStatus"] == "RUNNING"], f"a task of {self.name} runs"
        )
        return found[0]

    def stopped(self):
        """Wait for a task that has stopped and return it."""
        found = self.wait_until(
            lambda: [one for one in self.tasks("STOPPED") if one["lastStatus"] == "STOPPED"],
            f"a task of {self.name} has stopped",
        )
        return found[0]

    def run(self, definition, **more):
        """Run one task outside a service."""
        answer = self.ecs.run_task(cluster=self.name, taskDefinition=definition, **more)
        assert answer["failures"] == []
        return answer["tasks"][0]["taskArn"]

    def ask(self, task, method, path, body=None):
        """Wait until the task's guestbook answers a request; return status and text."""
        arn = task["containerInstanceArn"]
        found = self.ecs.describe_container_instances(cluster=self.name, containerInstances=[arn])
        address = self.account.instance(found["containerInstances"][0]["ec2InstanceId"])["PrivateIpAddress"]

        def answer():
            connection = HTTPConnection(address, 8080, timeout=10)
            try:
                connection.request(method, path, body)
                reply = connection.getresponse()
                return reply.status, reply.read().decode()
            except OSError:
                return None
            finally:
                connection.close()

        return self.wait_until(answer, f"{address}:8080 answers")

    def write(self, task, entry_id):
        """Add an entry to the guestbook of a task."""
        status, _text = self.ask(task, "POST", "/entries", json.dumps({"id": entry_id, "text": "hello"}))
        assert status == 201

    def entries(self, task):
        """Return the ids in the guestbook of a task."""
        return json.loads(self.ask(task, "GET", "/entries")[1])["ids"]

    def end(self):
        """Terminate the hosts, so that the next test has the machine for itself."""
        self.account.ec2.terminate_instances(InstanceIds=self.hosts)


def make_profiles(sandbox):
    """Make the instance profiles of container instances, one of them without the permission to join."""
    iam = sandbox.client("iam")
    for name, policies in {"ecs-hosts": POLICIES, "not-ecs-hosts": POLICIES[1:]}.items():
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        for policy in policies:
            iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
