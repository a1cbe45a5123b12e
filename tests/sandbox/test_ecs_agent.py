"""The ECS container agent: registration, task states, logs and secrets, on simulated hosts."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.ecs_town import PLUGIN, TRUST, Town, make_profiles


@pytest.fixture(scope="module")
def profiles(sandbox):
    make_profiles(sandbox)


@pytest.fixture
def town(sandbox, account, wait_until, profiles):
    town = Town(sandbox, account, wait_until)
    yield town
    town.end()


def test_a_host_registers_what_it_can_do(town):
    """A container instance has its zone, its own attributes, and the capability of its enabled plugin."""
    instance = town.container_instance(town.joined(settings=['ECS_INSTANCE_ATTRIBUTES={"volume":"data"}']))
    attributes = {one["name"]: one.get("value") for one in instance["attributes"]}
    assert attributes["ecs.availability-zone"] == "us-east-1a"
    assert attributes["ecs.os-type"] == "linux"
    assert attributes["volume"] == "data"
    assert {"ecs.capability.docker-plugin.rexray/ebs", "ecs.capability.docker-plugin.rexray/ebs.latest"} <= set(
        attributes
    )
    assert instance["agentConnected"]
    assert instance["status"] == "ACTIVE"


def test_a_host_without_the_permission_does_not_join(town, wait_until):
    """A host whose role may not register stays outside the cluster."""
    outsider = town.host(profile="not-ecs-hosts")
    town.joined()
    town.account.booted(outsider)
    assert town.container_instance(outsider) is None


def test_a_plugin_enabled_later_is_seen_after_a_restart_of_the_agent(town):
    """Capabilities are looked at when the agent starts; until then a task of that driver finds no place."""
    town.volume()
    host = town.joined(plugin=False)
    town.serve(town.define())
    town.wait_until(lambda: town.service()["events"], "an event")
    assert "is missing an attribute required by your task" in town.service()["events"][0]["message"]
    town.account.on_host(host, *PLUGIN)
    assert town.tasks() == []
    town.account.on_host(host, "systemctl", "restart", "ecs")
    town.running()


def test_three_failed_starts_trip_the_circuit_breaker(town):
    """At desired count 1 the deployment fails after three tasks that could not pull their image."""
    town.volume()
    town.joined()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    town.serve(town.define(image="registry.sandbox/nothing:1"), configuration=breaker)
    town.wait_until(lambda: town.service()["deployments"][0]["rolloutState"] == "FAILED", "the deployment failed")
    assert len(town.tasks("STOPPED")) == 3
    assert town.tasks("STOPPED")[0]["stoppedReason"].startswith("CannotPullContainerError: ")


def test_an_essential_container_that_ends_ends_its_task(town):
    """A process that exits by itself stops the task with its exit code, and the service starts another one."""
    town.volume()
    host = town.joined()
    town.serve(town.define())
    container = town.running()["containers"][0]
    town.account.on_host(host, "docker", "kill", container["runtimeId"])
    task = town.stopped()
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["containers"][0]["exitCode"] == 137
    assert town.running()["taskArn"] != task["taskArn"]


def test_output_goes_to_cloudwatch_logs(town):
    """With awslogs the lines of a container are log events; without the group the task does not start."""
    town.volume()
    town.joined()
    group = f"/{town.name}"
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "ecs"}
    definition = town.define(logConfiguration={"logDriver": "awslogs", "options": options})
    town.run(definition)
    assert "The specified log group does not exist" in town.stopped()["containers"][0]["reason"]
    logs = town.sandbox.client("logs")
    logs.create_log_group(logGroupName=group)
    identity = town.run(definition).split("/")[-1]
    stream = f"ecs/guestbook/{identity}"
    town.running()
    events = town.wait_until(
        lambda: logs.get_log_events(logGroupName=group, logStreamName=stream)["events"], "log events"
    )
    assert events[0]["message"]


def test_a_secret_reaches_the_container_only(town):
    """A secret from SSM is in the container's environment and in no answer of ECS."""
    town.volume()
    town.joined()
    town.sandbox.client("ssm").put_parameter(Name=f"/{town.name}/title", Value="Quiet", Type="SecureString")
    role = town.sandbox.client("iam").create_role(RoleName=town.name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    town.sandbox.client("iam").attach_role_policy(
        RoleName=town.name, PolicyArn="arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"
    )
    definition = town.define()
    described = town.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    described["containerDefinitions"][0]["secrets"] = [{"name": "GUESTBOOK_TITLE", "valueFrom": f"/{town.name}/title"}]
    town.ecs.register_task_definition(
        family=town.name,
        volumes=described["volumes"],
        containerDefinitions=described["containerDefinitions"],
        executionRoleArn=role,
    )
    town.run(town.name)
    task = town.running()
    assert "Quiet" not in json.dumps(task, default=str)
    assert "<title>Quiet</title>" in town.ask(task, "GET", "/")[1]


CHECK = {"command": ["CMD", "true"]}


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ({"essential": False}, {"essential": False}, "At least one container must be essential"),
        ({}, {"links": ["third"]}, "links to unknown container third"),
        ({}, {"dependsOn": [{"containerName": "third", "condition": "START"}]}, "depends on unknown container third"),
        ({}, {"dependsOn": [{"containerName": "second", "condition": "START"}]}, "or on itself"),
        ({}, {"dependsOn": [{"containerName": "first", "condition": "SUCCESS"}]}, "An essential container"),
        ({}, {"dependsOn": [{"containerName": "first", "condition": "HEALTHY"}]}, "needs a healthCheck"),
        ({"healthCheck": CHECK}, {"dependsOn": [{"containerName": "first", "condition": "HEALTHY"}]}, ""),
        ({"essential": False}, {"dependsOn": [{"containerName": "first", "condition": "COMPLETE"}]}, ""),
        ({}, {"links": ["first:other"]}, ""),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused(sandbox, first, second, problem):
    """A task definition whose containers wait for what never comes is refused when it is registered, as by ECS."""
    containers = [{"name": name, "image": "x", "memory": 64} for name in ("first", "second")]

    def register():
        sandbox.client("ecs").register_task_definition(
            family="ordered", containerDefinitions=[containers[0] | first, containers[1] | second]
        )

    if problem:
        with pytest.raises(ClientError, match=problem):
            register()
    else:
        register()
