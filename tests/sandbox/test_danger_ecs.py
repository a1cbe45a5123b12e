"""Dangers of ECS around one volume: hosts that do not join, volumes made anew, two writers, starts that fail."""

import json

import pytest

from tests.sandbox.ecs_town import ECS_IMAGE, PLUGIN, Town, make_profiles

DRIVER = "ecs.capability.docker-plugin.rexray/ebs"


@pytest.fixture(scope="module")
def profiles(sandbox):
    make_profiles(sandbox)


@pytest.fixture
def town(sandbox, account, wait_until, profiles):
    town = Town(sandbox, account, wait_until)
    yield town
    town.end()


def booting(town, *, cluster_first, zone="us-east-1a"):
    """Launch a host whose plugin installation fails, with the cluster's name written before it or after it."""
    content = f"ECS_CLUSTER={town.name}\n"
    write = ["python3", "-c", f"open('/etc/ecs/ecs.config', 'w').write({content!r})"]
    broken = [*PLUGIN[:-4], "registry.sandbox/no-such-plugin:latest"]
    script = f"import subprocess, sys; subprocess.check_call({broken!r}); subprocess.check_call({write!r})"
    config = {"runcmd": [["python3", "-c", script]]}
    if cluster_first:
        config["write_files"] = [{"path": "/etc/ecs/ecs.config", "content": content}]
    town.hosts.append(
        town.account.launch(
            zone,
            ImageId=ECS_IMAGE,
            UserData="#cloud-config\n" + json.dumps(config),
            IamInstanceProfile={"Name": "ecs-hosts"},
        )
    )
    return town.hosts[-1]


def attributes(town, instance_id):
    """Return the names of what a host registered that it can do."""
    return {one["name"] for one in town.container_instance(instance_id)["attributes"]}


def named(town):
    """Return the volumes with the Name of the data volume."""
    filters = [{"Name": "tag:Name", "Values": [town.volume_name]}]
    return town.account.ec2.describe_volumes(Filters=filters)["Volumes"]


def test_a_host_whose_user_data_fails_before_the_cluster_is_named_does_not_join(town):
    """With ECS_CLUSTER written last, a broken host stays outside; a whole one joins."""
    broken = booting(town, cluster_first=False)
    town.account.booted(broken)
    whole = town.joined()
    assert (town.container_instance(broken), town.container_instance(whole)["status"]) == (None, "ACTIVE")


def test_a_broken_host_joins_when_the_cluster_is_named_first(town):
    """A failing script does not stop the agent: the host joins without the plugin, and no task of it finds a place."""
    town.volume()
    broken = booting(town, cluster_first=True)
    town.wait_until(lambda: town.container_instance(broken), "the broken host has joined")
    assert DRIVER not in attributes(town, broken)
    town.serve(town.define())
    town.wait_until(lambda: town.service()["events"], "an event")
    assert "is missing an attribute required by your task" in town.service()["events"][0]["message"]


def test_the_user_data_of_the_next_host_can_be_made_to_fail(town, add_fault):
    """With the fault boot-failure the next host comes up without its plugin."""
    add_fault("boot-failure", times=1)
    host = town.joined()
    assert DRIVER not in attributes(town, host)


def test_autoprovision_in_the_wrong_zone_starts_on_an_empty_twin(town):
    """The volume is in another zone: with autoprovision a new one is made here, and the app runs without its data."""
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": town.volume_name}]}]
    real = town.account.available("us-east-1b", TagSpecifications=tags)
    town.joined()
    town.run(town.define(autoprovision=True))
    task = town.running()
    assert town.entries(task) == []
    assert sorted((one["VolumeId"] == real, one["AvailabilityZone"]) for one in named(town)) == [
        (False, "us-east-1a"),
        (True, "us-east-1b"),
    ]


def test_a_volume_in_the_wrong_zone_fails_closed_without_autoprovision(town):
    """Autoprovision false stops the task before the plugin can make anything."""
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": town.volume_name}]}]
    real = town.account.available("us-east-1b", TagSpecifications=tags)
    town.joined()
    town.run(town.define())
    assert "does not exist and autoprovision is set to false" in town.stopped()["stoppedReason"]
    assert [one["VolumeId"] for one in named(town)] == [real]


def test_matching_the_full_configuration_refuses_the_existing_volume(town):
    """With ECS_SHARED_VOLUME_MATCH_FULL_CONFIG options in the definition do not fit a volume that has none."""
    town.volume()
    town.joined(settings=["ECS_SHARED_VOLUME_MATCH_FULL_CONFIG=true"])
    settings = {"scope": "shared", "driver": "rexray/ebs", "autoprovision": False, "driverOpts": {"size": "2"}}
    described = town.ecs.describe_task_definition(taskDefinition=town.define())["taskDefinition"]
    town.ecs.register_task_definition(
        family=town.name,
        volumes=[{"name": town.volume_name, "dockerVolumeConfiguration": settings}],
        containerDefinitions=described["containerDefinitions"],
    )
    town.run(town.name)
    assert "does not match existing volume options" in town.stopped()["stoppedReason"]


def test_default_percentages_and_preempt_let_two_tasks_fight_for_the_volume(town):
    """At 100/200 the second task starts first; with PREEMPT its host tears the volume from the running one."""
    volume_id = town.volume()
    for _number in range(2):
        host = town.joined()
        town.account.on_host(host, "docker", "plugin", "disable", "rexray/ebs")
        town.account.on_host(host, "docker", "plugin", "set", "rexray/ebs", "REXRAY_PREEMPT=true")
        town.account.on_host(host, "docker", "plugin", "enable", "rexray/ebs")
    town.serve(town.define(), configuration={"minimumHealthyPercent": 100, "maximumPercent": 200})
    first = town.running()
    town.ask(first, "GET", "/health")
    holder = town.account.attachment(volume_id)["InstanceId"]
    town.ecs.update_service(cluster=town.name, service="guestbook", forceNewDeployment=True)
    taken = lambda: town.account.attachment(volume_id).get("InstanceId") not in {None, holder}  # noqa: E731
    town.wait_until(taken, "the other host has torn the volume away")
    events = (town.sandbox.state_dir / "events.jsonl").read_text("utf-8")
    assert f'"volume-force-detached", "volume_id": "{volume_id}", "instance_id": "{holder}"' in events


def test_three_crashes_trip_the_circuit_breaker_at_desired_1(town, add_fault):
    """A container that dies at each start fails its deployment after three tasks, each with its mount and detach."""
    volume_id = town.volume()
    town.joined()
    add_fault("crash-loop", target="registry.sandbox/guestbook:1.0")
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    town.serve(town.define(), configuration=breaker)
    town.wait_until(lambda: town.service()["deployments"][0]["rolloutState"] == "FAILED", "the deployment failed")
    stopped = town.tasks("STOPPED")
    assert ([one["stopCode"] for one in stopped], stopped[0]["containers"][0]["exitCode"]) == (
        ["EssentialContainerExited"] * 3,
        137,
    )
    town.account.wait_for_volume(volume_id, "available")


def test_a_registry_that_refuses_fails_the_start_of_a_task(town, add_fault):
    """The task stops with CannotPullContainerError before the volume is touched; the next one starts."""
    volume_id = town.volume()
    town.joined()
    add_fault("image-pull-error", target="registry.sandbox/guestbook:1.0", times=1)
    town.serve(town.define())
    reason = town.stopped()["stoppedReason"]
    assert reason.startswith("CannotPullContainerError: ")
    assert "toomanyrequests" in reason
    town.running()
    assert town.account.attachment(volume_id)["State"] == "attached"


def test_a_host_whose_plugin_was_disabled_takes_no_task_after_its_agent_restarted(town, add_fault):
    """The running task keeps its mount; the registration loses the capability when the agent starts again."""
    town.volume()
    host = town.joined()
    add_fault("plugin-disabled", target=host)
    town.account.on_host(host, "systemctl", "restart", "ecs")
    town.wait_until(lambda: DRIVER not in attributes(town, host), "the capability is gone")
    answer = town.ecs.run_task(cluster=town.name, taskDefinition=town.define())
    assert [one["reason"] for one in answer["failures"]] == ["ATTRIBUTE"]


def test_a_killed_host_keeps_its_task_and_volume_until_it_is_terminated(town, add_fault):
    """ECS shows the task as running without an agent, EC2 the volume as attached: nothing else can have it."""
    volume_id = town.volume()
    host = town.joined()
    town.serve(town.define())
    town.write(town.running(), "before")
    add_fault("kill-host", target=host)
    town.wait_until(lambda: not town.container_instance(host)["agentConnected"], "the agent is gone")
    assert ([one["lastStatus"] for one in town.tasks()], town.account.attachment(volume_id)["State"]) == (
        ["RUNNING"],
        "attached",
    )
    town.account.ec2.terminate_instances(InstanceIds=[host])
    town.account.wait_for_volume(volume_id, "available")
    town.wait_until(lambda: town.container_instance(host) is None, "the host has left the cluster")
    town.joined()
    assert town.entries(town.running()) == ["before"]
