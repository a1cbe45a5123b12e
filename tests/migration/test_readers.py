"""A service that only reads its volume moves like any other; behind a load balancer it is deployed without a stop."""

from __future__ import annotations

import json

import pytest

from tests.crash.source import mount_read_only
from tests.migration.conftest import report_of
from tests.migration.test_day_two import NEWEST, Service, digest, statuses
from tests.running_provider import RunningProvider
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]


class Reader(Service):
    """A service whose container mounts the volume read-only, behind a load balancer."""

    def __init__(self, sandbox, folder, environment):
        super().__init__(sandbox, folder, environment)
        ec2, target = sandbox.client("ec2"), self.migration["target"]
        found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [target["vpc_id"]]}])["Subnets"]
        subnets = {one["AvailabilityZone"]: one["SubnetId"] for one in found}
        target["load_balancer"] = {"enabled": True, "subnet_ids": sorted(subnets.values())[:2]}

    def settings(self):
        """Return the percentages of the service."""
        (service,) = self.sandbox.client("ecs").describe_services(cluster="guestbook", services=["guestbook"])[
            "services"
        ]
        deployment = service["deploymentConfiguration"]
        return deployment["minimumHealthyPercent"], deployment["maximumPercent"]

    def targets(self):
        """Return instance and port of what the load balancer has."""
        balancing = self.sandbox.client("elbv2")
        (group,) = balancing.describe_target_groups()["TargetGroups"]
        health = balancing.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        return [(one["Target"]["Id"], one["Target"]["Port"]) for one in health]

    def tasks(self):
        """Return how many tasks run."""
        return len(self.sandbox.client("ecs").list_tasks(cluster="guestbook", serviceName="guestbook")["taskArns"])


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory):
    """Return a reader that was migrated and verified, its test file being the sentinel."""
    folder = tmp_path_factory.mktemp("service")
    with RunningProvider(folder, sandbox) as provider:
        made = Reader(sandbox, folder, provider.environment)
        mount_read_only(made)
        ended, run = made.run("00", "10", "20", "30", "40")
        assert ended.exit_code == 0, ended.output
        made.migrated = report_of(run)
        yield made


def flat(ended):
    """Return what a command printed, without its line breaks."""
    return " ".join(ended.output.split())


def test_a_reader_is_migrated_though_nothing_can_be_written_through_it(service):
    """The proof needs no writing: everything succeeded, the data is the same, each task has a port of its own."""
    assert service.migrated["status"] == "succeeded"
    assert service.migrated["data"]["identical"] is True
    steps = {step["id"]: step["status"] for step in service.migrated["steps"]}
    assert (steps["write-probe"], steps["restart-task"], steps["replace-instance"]) == ("succeeded",) * 3
    assert [port >= 32768 for _, port in service.targets()] == [True]


def test_an_image_that_is_not_healthy_costs_no_outage(service):
    """The former task serves all the time: exit 4, no look failed, one task of the former revision, 0 and 100 %."""
    before = service.facts()
    service.fault("unhealthy-app", target=digest("1.1"))
    ended, folder = service.run("61", image=digest("1.1"), deployment="overlap")
    service.mend()
    assert ended.exit_code == 4, ended.output
    assert f"The service is back on {before['revision']}" in flat(ended)
    assert (service.facts(), service.settings(), service.tasks()) == (before, (0, 100), 1)
    assert report_of(folder)["outage_s"] == 0


def test_an_image_is_deployed_without_an_outage(service):
    """The next task is healthy before the former stops; then one task, one target, 0 and 100 %, and an empty plan."""
    (former,) = service.targets()
    ended, folder = service.run("61", image=digest("1.1"), deployment="overlap")
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)
    assert (report["status"], report["outage_s"], report["data"]["identical"]) == ("succeeded", 0, True)
    assert (service.facts()["image"], service.settings(), service.tasks()) == (digest("1.1"), (0, 100), 1)
    (now,) = service.targets()
    assert (now[0], now[1] != former[1]) == (former[0], True)
    ended, again = service.run("61", image=digest("1.1"), deployment="overlap")
    assert (ended.exit_code, statuses(again), service.targets()) == (0, {"skipped"}, [now]), ended.output
    assert json.loads((folder / "evidence" / "deployment.json").read_text("utf-8"))["image"] == digest("1.0")


RANGE = {"min_tasks": 2, "max_tasks": 3, "target_cpu_percent": 60}


def test_more_tasks_than_the_host_holds_are_refused(service):
    """No other host has the volume: exit 3, and nothing was changed."""
    with unchanged(service.sandbox):
        ended, _ = service.run("62", autoscaling={"max_tasks": 100})
    assert ended.exit_code == 3, ended.output
    assert "tasks-fit-on-the-host" in flat(ended)


def test_the_tasks_of_a_reader_are_scaled_and_taken_back(service):
    """Two tasks on the host of the volume; nothing stops them meanwhile, and they are no drift; then one again."""
    ended, folder = service.run("62", autoscaling=RANGE)
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)
    assert (report["status"], report["outage_s"]) == ("succeeded", None)
    assert {s["id"]: s["status"] for s in report["steps"]}["verify-plan-after-resize"] == "skipped"
    (first, second) = service.targets()
    assert (service.tasks(), first[0] == second[0], first[1] != second[1]) == (2, True, True)
    scaling = service.sandbox.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)
    ended, again = service.run("62", autoscaling=RANGE)
    assert (ended.exit_code, statuses(again)) == (0, {"skipped"}), ended.output
    for notebook in ("60", "61"):
        ended, _ = service.run(notebook, autoscaling=RANGE, image=digest("1.0"), ami_id=NEWEST)
        assert ended.exit_code == 3, ended.output
        assert "take target.autoscaling out of the parameters, run 62_resize, then this" in flat(ended)
    assert (service.tasks(), service.targets()) == (2, [first, second])
    _, look = service.run("64", autoscaling=RANGE)
    found = {one["id"] for one in json.loads((look / "evidence" / "drift.json").read_text("utf-8"))}
    assert not found & {"desired-count", "one-task-running", "scaling-registered", "plan-empty", "task-sees-volume"}
    ended, _ = service.run("62")
    assert ended.exit_code == 0, ended.output
    assert (service.tasks(), len(service.targets())) == (1, 1)
    assert scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
