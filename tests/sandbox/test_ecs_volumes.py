"""The data volume of an ECS task: who may create it, who has it, and that its files move with the task."""

import pytest

from tests.sandbox.ecs_town import Town, make_profiles


@pytest.fixture(scope="module")
def profiles(sandbox):
    make_profiles(sandbox)


@pytest.fixture
def town(sandbox, account, wait_until, profiles):
    town = Town(sandbox, account, wait_until)
    yield town
    town.end()


def test_a_missing_volume_fails_closed(town):
    """With autoprovision false a task whose volume does not exist stops, and nothing is created."""
    town.joined()
    town.run(town.define())
    task = town.stopped()
    assert f"volume '{town.volume_name}' does not exist and autoprovision is set to false" in task["stoppedReason"]
    assert task["stopCode"] == "TaskFailedToStart"
    named = [{"Name": "tag:Name", "Values": [town.volume_name]}]
    assert town.account.ec2.describe_volumes(Filters=named)["Volumes"] == []


def test_autoprovision_creates_an_empty_volume(town):
    """With autoprovision true a missing volume is silently created: this is how data seems to vanish."""
    town.joined()
    town.run(town.define(autoprovision=True))
    task = town.running()
    assert town.entries(task) == []
    named = [{"Name": "tag:Name", "Values": [town.volume_name]}]
    assert len(town.account.ec2.describe_volumes(Filters=named)["Volumes"]) == 1


def test_a_task_mounts_its_volume_and_gives_it_back(town):
    """The data volume is attached to the task's host while it runs and available when it has stopped."""
    volume_id = town.volume()
    host = town.joined()
    arn = town.run(town.define())
    task = town.running()
    container = task["containers"][0]
    assert town.account.attachment(volume_id)["InstanceId"] == host
    listed = town.account.on_host(host, "docker", "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}")["stdout"]
    assert container["runtimeId"] in listed
    assert f"ecs-{town.name}-1-guestbook-" in listed
    town.ask(task, "GET", "/health")
    town.ecs.stop_task(cluster=town.name, task=arn, reason="enough")
    stopped = town.stopped()
    assert town.account.volume(volume_id)["State"] == "available"
    assert [stopped["stoppedReason"], stopped["stopCode"]] == ["enough", "UserInitiated"]
    assert stopped["containers"][0]["exitCode"] == 0


def test_draining_moves_the_task_and_its_files(town):
    """A DRAINING host gives up task and volume; the other host runs the task with the same files."""
    volume_id = town.volume()
    town.joined()
    town.serve(town.define())
    first = town.running()
    town.write(first, "before")
    second_host = town.joined()
    town.ecs.update_container_instances_state(
        cluster=town.name, containerInstances=[first["containerInstanceArn"]], status="DRAINING"
    )
    second = town.wait_until(
        lambda: [
            one
            for one in town.tasks()
            if one["lastStatus"] == "RUNNING" and one["containerInstanceArn"] != first["containerInstanceArn"]
        ],
        "the task runs on the other host",
    )[0]
    assert town.account.attachment(volume_id)["InstanceId"] == second_host
    assert town.entries(second) == ["before"]


def test_a_terminated_host_is_replaced_with_the_same_files(town):
    """When the host is terminated its task ends, and a new host gets the task with the same files."""
    town.volume()
    old = town.joined()
    town.serve(town.define())
    first = town.running()
    town.write(first, "before")
    town.account.ec2.terminate_instances(InstanceIds=[old])
    town.wait_until(lambda: town.container_instance(old) is None, "the old host has left the cluster")
    town.joined()
    assert town.entries(town.running()) == ["before"]
    assert f"Host EC2 (instance {old}) terminated." in [one["stoppedReason"] for one in town.tasks("STOPPED")]


def test_task_scoped_volumes_are_deleted(town):
    """The agent removes a task-scoped volume after the task, and REX-Ray deletes the EBS volume behind it."""
    town.joined()
    arn = town.run(town.define(scope="task"))
    town.running()
    named = [{"Name": "tag:Name", "Values": [f"ecs-{town.name}-1-{town.volume_name}-*"]}]
    assert len(town.account.ec2.describe_volumes(Filters=named)["Volumes"]) == 1
    town.ecs.stop_task(cluster=town.name, task=arn)
    town.wait_until(lambda: not town.account.ec2.describe_volumes(Filters=named)["Volumes"], "the volume is gone")
