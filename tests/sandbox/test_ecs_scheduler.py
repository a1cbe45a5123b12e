"""The rules of the ECS service scheduler, on moto in this process; the test plays the container agent."""

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from runbook_lib.sandbox import ecs_tasks
from runbook_lib.sandbox.patches import ecs as ecs_patches
from tests.sandbox.ecs_played_town import DRIVER, PlayedTown

VOLUME = {
    "name": "guestbook-data",
    "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": False, "driver": "rexray/ebs"},
}


@pytest.fixture
def town():
    ecs_patches.apply()
    with mock_aws():
        yield PlayedTown()


def test_default_percentages_start_the_second_task_first(town):
    """With 100/200, which is the default, a deployment runs two tasks side by side."""
    town.host()
    town.serve(town.define(), low=100, high=200)
    town.settle()
    town.ecs.update_service(cluster="town", service="web", forceNewDeployment=True)
    town.tick()
    assert len(town.tasks()) == 2
    town.settle()
    assert [len(town.tasks()), len(town.tasks("STOPPED"))] == [1, 1]


def test_default_percentages_deadlock_on_a_fixed_host_port(town):
    """With 100/200 and one host, a deployment with a fixed host port never finds a place."""
    town.host()
    town.serve(town.define(port=8080), low=100, high=200)
    town.settle()
    town.ecs.update_service(cluster="town", service="web", forceNewDeployment=True)
    town.settle()
    assert "is already using a port required by your task" in town.messages()[0]
    assert town.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert len(town.tasks()) == 1


def test_one_writer_percentages_stop_before_they_start(town):
    """With 0/100 the new task starts only when the old one has stopped."""
    town.host()
    town.serve(town.define(port=8080))
    town.settle()
    town.ecs.update_service(cluster="town", service="web", forceNewDeployment=True)
    town.tick(3)
    assert town.tasks() == []
    stopping = town.tasks("STOPPED")[0]
    assert stopping["lastStatus"] == "RUNNING"
    assert stopping["stopCode"] == "ServiceSchedulerInitiated"
    town.settle()
    assert [one["lastStatus"] for one in town.tasks()] == ["RUNNING"]
    assert town.service()["deployments"][0]["rolloutState"] == "COMPLETED"


def test_steady_state_is_reported_once(town):
    """A service that has come to rest says so once, in the words of Amazon ECS."""
    town.host()
    town.serve(town.define())
    town.settle()
    town.tick(5)
    assert town.messages()[0] == "(service web) has reached a steady state."
    assert town.messages().count("(service web) has reached a steady state.") == 1
    started = town.tasks()[0]["taskArn"].split("/")[-1]
    assert f"(service web) has started 1 tasks: (task {started})." in town.messages()


def test_a_task_whose_volume_driver_no_host_has_finds_no_place(town):
    """A host without the plugin's capability gets no task, and the event names the host."""
    instance = town.host()
    del instance.attributes[DRIVER]
    town.serve(town.define(volumes=[VOLUME]))
    town.tick(3)
    assert town.tasks() == []
    identity = instance.container_instance_arn.split("/")[-1]
    expected = (
        "(service web) was unable to place a task because no container instance met all of its requirements. "
        f"The closest matching (container-instance {identity}) is missing an attribute required by your task. "
        "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    )
    assert town.messages() == [expected]


def test_an_empty_cluster_says_so(town):
    """Without container instances the event gives that as the reason."""
    town.serve(town.define())
    town.tick()
    assert "Reason: No Container Instances were found in your cluster." in town.messages()[0]


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("attribute:ecs.availability-zone == us-east-1b", "us-east-1b"),
        ("attribute:ecs.availability-zone in [us-east-1b, us-east-1d]", "us-east-1b"),
        ("attribute:volume == data", "us-east-1c"),
    ],
)
def test_placement_constraints_choose_the_host(town, expression, zone):
    """A memberOf constraint sends the task to a host that satisfies it."""
    town.host("us-east-1a")
    town.host("us-east-1b")
    town.host("us-east-1c", volume="data")
    if zone == "us-east-1c":
        town.host("us-east-1a", volume="other")
    town.serve(town.define(), placementConstraints=[{"type": "memberOf", "expression": expression}])
    town.tick()
    assert [one["availabilityZone"] for one in town.tasks()] == [zone]


def test_distinct_instance_keeps_two_tasks_apart(town):
    """A distinctInstance constraint leaves the second task without a place on a single host."""
    town.host()
    town.serve(town.define(), desired=2, placementConstraints=[{"type": "distinctInstance"}])
    town.tick()
    assert len(town.tasks()) == 1
    assert "DistinctInstance placement constraint unsatisfied." in town.messages()[0]


def test_memory_is_reserved(town):
    """A task that asks for more memory than is left finds no place."""
    town.host()
    town.serve(town.define(memory=1500), desired=2)
    town.tick()
    assert len(town.tasks()) == 1
    assert "has insufficient memory available" in town.messages()[0]


def test_circuit_breaker_rolls_back_after_three_failures(town):
    """At desired count 1 the third failed start fails the deployment and brings the last completed one back."""
    town.host()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    good = town.define()
    town.serve(good, configuration=breaker)
    town.settle()
    before = town.service()["deployments"][0]["id"]
    town.ecs.update_service(cluster="town", service="web", taskDefinition=town.define(image="web:broken"))
    town.tick()
    town.run_all()
    for expected in (1, 2):
        town.tick()
        town.fail_all()
        town.tick()
        assert town.service()["deployments"][0]["failedTasks"] == expected
    town.fail_all()
    town.tick()
    service = town.service()
    assert service["taskDefinition"] == good
    assert [one["rolloutState"] for one in service["deployments"]] == ["IN_PROGRESS", "FAILED"]
    assert service["deployments"][0]["rolloutStateReason"] == (
        f"ECS deployment circuit breaker: rolling back to deploymentId {before}."
    )
    town.settle()
    assert town.service()["deployments"][0]["rolloutState"] == "COMPLETED"


def test_circuit_breaker_without_a_completed_deployment_only_fails(town):
    """A first deployment that fails stays FAILED and starts no more tasks."""
    town.host()
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    town.serve(town.define(), configuration=breaker)
    for _number in range(6):
        town.tick()
        town.fail_all()
    town.tick()
    assert town.service()["deployments"][0]["rolloutState"] == "FAILED"
    assert len(town.tasks("STOPPED")) == 3


def test_an_unhealthy_task_is_replaced(town):
    """A task that fails its container health check is stopped and started anew."""
    town.host()
    town.serve(town.define(healthCheck={"command": ["CMD-SHELL", "true"]}))
    town.tick()
    town.run_all()
    record = next(ecs_tasks.cluster_tasks(town.backend, "town"))
    record.health_status = "UNHEALTHY"
    town.tick()
    assert town.tasks("STOPPED")[0]["stoppedReason"] == "Task failed container health checks"
    town.run_all()
    town.tick()
    assert len(town.tasks()) == 1


def test_a_draining_instance_loses_its_service_tasks(town):
    """Tasks leave a DRAINING instance within the percentages, and go to another one."""
    first, second = town.host(), town.host()
    town.serve(town.define(port=8080))
    town.settle()
    home = town.tasks()[0]["containerInstanceArn"]
    away = second if home == first.container_instance_arn else first
    town.ecs.update_container_instances_state(cluster="town", containerInstances=[home], status="DRAINING")
    town.settle()
    assert [one["containerInstanceArn"] for one in town.tasks()] == [away.container_instance_arn]
    described = town.ecs.describe_container_instances(cluster="town", containerInstances=[home])
    assert [one["runningTasksCount"] for one in described["containerInstances"]] == [0]


def test_desired_count_goes_down_and_up_without_a_deployment(town):
    """Changing only the desired count keeps the deployment."""
    town.host()
    town.serve(town.define(), desired=0)
    town.settle()
    before = town.service()["deployments"][0]["id"]
    town.ecs.update_service(cluster="town", service="web", desiredCount=1)
    town.settle()
    service = town.service()
    assert [service["runningCount"], service["pendingCount"], service["desiredCount"]] == [1, 0, 1]
    assert [one["id"] for one in service["deployments"]] == [before]


def test_a_deleted_service_drains_before_it_is_inactive(town):
    """DeleteService with force stops the tasks; the service is INACTIVE when they have stopped."""
    town.host()
    town.serve(town.define())
    town.settle()
    with pytest.raises(ClientError, match="scaled above 0"):
        town.ecs.delete_service(cluster="town", service="web")
    town.ecs.delete_service(cluster="town", service="web", force=True)
    town.tick()
    assert town.service()["status"] == "DRAINING"
    town.run_all()
    town.tick()
    assert town.service()["status"] == "INACTIVE"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minimumHealthyPercent": 100, "maximumPercent": 100}, "cannot be 100 as this will block deployments"),
        ({"strategy": "BLUE_GREEN"}, "rolling deployments only"),
    ],
)
def test_refused_deployment_configurations(town, change, message):
    """Deployment configurations that block, or that run two writers, are refused."""
    with pytest.raises(ClientError, match=message):
        town.serve(town.define(), configuration=change)


def test_tags_are_propagated(town):
    """A service with managed tags and propagateTags SERVICE gives its tasks both."""
    town.host()
    town.serve(
        town.define(), enableECSManagedTags=True, propagateTags="SERVICE", tags=[{"key": "Ticket", "value": "42"}]
    )
    town.tick()
    arns = town.ecs.list_tasks(cluster="town", serviceName="web")["taskArns"]
    described = town.ecs.describe_tasks(cluster="town", tasks=arns, include=["TAGS"])["tasks"][0]["tags"]
    tags = {one["key"]: one["value"] for one in described}
    assert tags == {"Ticket": "42", "aws:ecs:clusterName": "town", "aws:ecs:serviceName": "web"}
