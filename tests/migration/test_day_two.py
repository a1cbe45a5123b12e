"""Patches and deployments that do not go well, or have nothing to do: each ends where it began, or says where it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from runbook_lib.sandbox.images import ImageRegistry
from tests.migration.conftest import report_of, run_command
from tests.running_provider import RunningProvider
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
FORMER, NEWEST = "ami-0ec52023d5f1e0a01", "ami-0ec52023d5f1e0b01"


class Service:
    """A migrated service in a sandbox, and one archive.

    Args:
        sandbox: The sandbox.
        folder: Where files may go.
        environment: What lets Terraform use a running provider.
    """

    def __init__(self, sandbox, folder, environment):
        self.sandbox, self._folder, self._environment = sandbox, folder, environment
        document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
        document["migration"]["archive"] = {"directory": str(folder / "runs")}
        self.migration = document["migration"]

    def run(self, *notebooks, execute=True, **target):
        """Run notebooks in a new run, with other values below `target`; return how it ended, and its folder."""
        archive, file = self._folder / "runs", self._folder / "parameters.yaml"
        migration = self.migration | {"target": self.migration["target"] | target}
        file.write_text(yaml.safe_dump({"migration": migration}), "utf-8")
        before = set(archive.glob("*/journal.jsonl"))
        words = ("--execute", "--reason", "CHG-1") if execute else ()
        ended = run_command("run", *notebooks, "-f", file, *words, timeout_s=900, **self._environment)
        (journal,) = set(archive.glob("*/journal.jsonl")) - before
        return ended, journal.parent

    def facts(self):
        """Return what runs: image of the task, machine images, who holds the volume, how many hosts are wanted."""
        ecs, ec2 = self.sandbox.client("ecs"), self.sandbox.client("ec2")
        (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        (volume,) = ec2.describe_volumes(VolumeIds=[self.migration["volume"]["volume_id"]])["Volumes"]
        (group,) = self.sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return {
            "revision": service["taskDefinition"],
            "image": definition["containerDefinitions"][0]["image"],
            "machines": {
                host["ec2InstanceId"]: {a["name"]: a.get("value") for a in host["attributes"]}["ecs.ami-id"]
                for host in hosts
            },
            "holder": [attachment["InstanceId"] for attachment in volume["Attachments"]],
            "wanted": group["DesiredCapacity"],
        }

    def resume(self, folder):
        """Go on with a run; return how it ended."""
        words = ("resume", folder.name, "--directory", folder.parent)
        return run_command(*words, timeout_s=900, **self._environment)

    def snapshots_of(self, folder):
        """Return the ids of the snapshots that a run took."""
        tags = [{"Name": "tag:runbook:run-id", "Values": [folder.name]}]
        return [one["SnapshotId"] for one in self.sandbox.client("ec2").describe_snapshots(Filters=tags)["Snapshots"]]

    def serves_every_write(self, wait_until):
        """Check that nothing acknowledged is missing, and that the client goes on writing."""
        seen = self.sandbox.control("GET", "/_sandbox/client")
        assert seen["missing"] == 0
        wait_until(
            lambda: self.sandbox.control("GET", "/_sandbox/client")["acknowledged"] > seen["acknowledged"],
            "the client writes",
        )

    def fault(self, kind, **options):
        """Switch a fault on."""
        self.sandbox.control("POST", "/_sandbox/faults", {"name": kind, **options})

    def mend(self):
        """Switch every fault off."""
        self.sandbox.control("DELETE", "/_sandbox/faults")


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory):
    """Return a migrated service on hosts of the former release, the next one being out."""
    folder = tmp_path_factory.mktemp("service")
    with RunningProvider(folder, sandbox) as provider:
        made = Service(sandbox, folder, provider.environment)
        ended, _ = made.run("00", "10", "20", "30")
        assert ended.exit_code == 0, ended.output
        sandbox.control("POST", "/_sandbox/machine-images/publish", {})
        yield made


def statuses(folder):
    """Return the states of a run's steps."""
    return {step["status"] for step in report_of(folder)["steps"]}


def digest(tag):
    """Return an image of the sandbox's registry by digest."""
    image = ImageRegistry().find(f"registry.sandbox/guestbook:{tag}")
    return f"{image.repository}@{image.digest}"


@pytest.mark.parametrize("notebook", ["60", "61"])
def test_a_plan_changes_nothing(service, notebook):
    """Without --execute everything is planned, or has nothing to do, and the world is as it was."""
    with unchanged(service.sandbox):
        ended, folder = service.run(notebook, execute=False, image=digest("1.1"))
    assert ended.exit_code == 0, ended.output
    assert statuses(folder) <= {"planned", "skipped"}


def test_without_capacity_nothing_has_changed(service, wait_until):
    """The zone has no instance to give: exit 4, and service, host, volume and group are as they were."""
    before = service.facts()
    service.fault("capacity")
    ended, _ = service.run("60")
    service.mend()
    assert ended.exit_code == 4, ended.output
    flat = " ".join(ended.output.split())
    assert "InsufficientInstanceCapacity" in flat
    assert "Changed: no" in flat
    assert service.facts() == before
    service.serves_every_write(wait_until)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("boot-failure", {"times": 1}), "did not become ready: cloud-init says"),
        (("full-disk", {}), "no space left on device"),
    ],
    ids=["host never ready", "full disk of the next host"],
)
def test_a_host_that_cannot_take_the_task_leaves_everything_as_it_was(service, wait_until, fault, said):
    """The next host's boot fails, or its disk is full: exit 4, and the former one serves on; then it can be patched."""
    before = service.facts()
    name, options = fault
    service.fault(name, **options)
    ended, _ = service.run("60")
    service.mend()
    assert ended.exit_code == 4, ended.output
    assert said in " ".join(ended.output.split())
    after = service.facts()
    assert {key: after[key] for key in ("revision", "image", "holder")} == {
        key: before[key] for key in ("revision", "image", "holder")
    }
    if name == "boot-failure":
        assert "Changed: no" in " ".join(ended.output.split())
        assert after == before
    service.serves_every_write(wait_until)


def fail_a_snapshot(service, wait_until, notebook, steps):
    """Run a notebook whose snapshot EBS ends in `error`: exit 4 before anything stops, its id named, all serves on."""
    before = service.facts()
    service.fault("snapshot-error")
    ended, folder = service.run(notebook, image=digest("1.1"))
    service.mend()
    assert ended.exit_code == 4, ended.output
    report = report_of(folder)
    assert (report["status"], report["outage_s"] or 0) == ("failed", 0)
    assert report["failure"]["step_id"] in {f"create-{steps}", f"complete-{steps}"}
    (failed,) = service.snapshots_of(folder)
    assert f"{failed} in error; a resumed run takes another one" in " ".join(ended.output.split())
    after = service.facts()
    assert {key: after[key] for key in ("revision", "image", "holder")} == {
        key: before[key] for key in ("revision", "image", "holder")
    }
    service.serves_every_write(wait_until)
    return folder, after


def test_a_patch_whose_snapshot_fails_costs_nothing(service, wait_until):
    """The next host is up by then, and stays for the next attempt."""
    fail_a_snapshot(service, wait_until, "60", "snapshot-before-patch")


def test_hosts_are_patched_and_patched_back(service, wait_until):
    """To the newest image; again: nothing to do; back by the former id: the host of before is not the one of after."""
    before = service.facts()
    ended, there = service.run("60")
    assert ended.exit_code == 0, ended.output
    assert set(service.facts()["machines"].values()) == {NEWEST}
    ended, again = service.run("60")
    assert (ended.exit_code, statuses(again)) == (0, {"skipped"})
    former = json.loads((there / "evidence" / "host-image.json").read_text("utf-8"))["former_ami_id"]
    assert former == FORMER
    ended, back = service.run("60", ami_id=former)
    assert ended.exit_code == 0, ended.output
    after = service.facts()
    assert set(after["machines"].values()) == {FORMER}
    assert after["holder"] == list(after["machines"])
    assert (after["wanted"], after["revision"]) == (1, before["revision"]), "whatever an attempt that failed has left"
    assert [report_of(one)["data"]["identical"] for one in (there, back)] == [True, True]
    service.serves_every_write(wait_until)


@pytest.mark.parametrize(
    ("way", "why"),
    [("blue_green", "runs both revisions at once"), ("overlap", "while the running one writes to the volume")],
)
def test_what_would_run_two_writers_is_refused(service, way, why):
    """Blue/green and overlap end with exit 3 and the reason; nothing was changed."""
    with unchanged(service.sandbox):
        ended, _ = service.run("61", image=digest("1.1"), deployment=way)
    assert ended.exit_code == 3, ended.output
    assert why in " ".join(ended.output.split())


def test_a_full_disk_is_met_before_the_service_stops(service, wait_until):
    """There is no room for the next image: exit 4 at the pull, no outage, everything as it was."""
    before = service.facts()
    service.fault("full-disk")
    ended, folder = service.run("61", image=digest("1.1"))
    service.mend()
    assert ended.exit_code == 4, ended.output
    report = report_of(folder)
    assert (report["failure"]["step_id"], report["outage_s"] or 0) == ("pull-new-image", 0)
    said = " ".join(ended.output.split())
    assert "no space left on device" in said
    assert "The service and the volume are as they were" in said
    assert service.facts() == before
    service.serves_every_write(wait_until)


def test_a_deployment_whose_snapshot_fails_costs_nothing(service, wait_until):
    """The former image serves on."""
    fail_a_snapshot(service, wait_until, "61", "snapshot-before-deployment")


def test_a_backup_that_fails_is_taken_again(service, wait_until):
    """A resumed run takes another snapshot, and restores that one."""
    folder, after = fail_a_snapshot(service, wait_until, "63", "backup")
    ended = service.resume(folder)
    assert ended.exit_code == 0, ended.output
    assert len(service.snapshots_of(folder)) == 2
    assert service.facts() == after
    service.serves_every_write(wait_until)


def test_an_image_that_is_not_healthy_is_taken_back(service, wait_until):
    """Its health check fails: exit 4, the former revision serves again, nothing is lost, the outage was measured."""
    before = service.facts()
    service.fault("unhealthy-app", target=digest("1.1"))
    ended, folder = service.run("61", image=digest("1.1"))
    service.mend()
    assert ended.exit_code == 4, ended.output
    assert f"The service is back on {before['revision']}" in " ".join(ended.output.split())
    assert service.facts() == before
    report = report_of(folder)
    assert (report["status"], report["failure"]["step_id"]) == ("failed", "deploy-image")
    assert report["outage_s"] > 0
    service.serves_every_write(wait_until)


def test_an_image_is_deployed_and_the_former_one_again(service, wait_until):
    """By digest; again: nothing to do; back by the digest that the run kept."""
    ended, there = service.run("61", image=digest("1.1"))
    assert ended.exit_code == 0, ended.output
    assert service.facts()["image"] == digest("1.1")
    ended, again = service.run("61", image=digest("1.1"))
    assert (ended.exit_code, statuses(again)) == (0, {"skipped"})
    former = json.loads((there / "evidence" / "deployment.json").read_text("utf-8"))["image"]
    assert former == digest("1.0")
    ended, back = service.run("61", image=former)
    assert ended.exit_code == 0, ended.output
    assert service.facts()["image"] == former
    assert [report_of(one)["data"]["identical"] for one in (there, back)] == [True, True]
    service.serves_every_write(wait_until)
