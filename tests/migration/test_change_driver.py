"""A running service changes its storage driver and comes back, with the same volume and every acknowledged write."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import PARAMETERS
from tests.migration.conftest import mutating_calls, report_of, run_command
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
pytestmark.append(pytest.mark.drivers("rexray"))  # where it begins; it changes to the other and back
TAG = "runbook:cut-over-utc"


class Service:
    """A service in a sandbox, with a parameters file for each storage driver and one archive.

    Args:
        sandbox: The sandbox.
        folder: Where files may go.
    """

    def __init__(self, sandbox, folder):
        self.sandbox, self.archive = sandbox, folder / "runs"
        self.files = {}
        for driver, name in PARAMETERS.items():
            document = yaml.safe_load(Path(sandbox.parameters_path).with_name(name).read_text("utf-8"))
            document["migration"]["archive"] = {"directory": str(self.archive)}
            document["migration"].setdefault("policy", {})["bake_time_s"] = 0
            self.files[driver] = folder / f"{driver}.yaml"
            self.files[driver].write_text(yaml.safe_dump(document), "utf-8")
            self.migration = document["migration"]

    def run(self, driver, *notebooks, **environment):
        """Run notebooks in a new run; return how it ended and the run's folder."""
        before = set(self.archive.glob("*"))
        words = () if environment.pop("planned", False) else ("--execute", "--reason", "CHG-1")
        ended = run_command("run", *notebooks, "-f", self.files[driver], *words, timeout_s=900)
        new = [path for path in set(self.archive.glob("*")) - before if (path / "journal.jsonl").exists()]
        return ended, next(iter(new), None)

    def facts(self):
        """Return what AWS says of the volume, of the task definition's volume, and what the hosts are for."""
        ecs, ec2 = self.sandbox.client("ecs"), self.sandbox.client("ec2")
        (volume,) = ec2.describe_volumes(VolumeIds=[self.migration["volume"]["volume_id"]])["Volumes"]
        (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        storage = {
            host["ec2InstanceId"]: {a["name"]: a.get("value") for a in host["attributes"]}["runbook.storage"]
            for host in hosts
        }
        return {
            "holder": [attachment["InstanceId"] for attachment in volume["Attachments"]],
            "tags": {tag["Key"]: tag["Value"] for tag in volume["Tags"]},
            "volumes": definition["volumes"],
            "hosts": storage,
            "running": service["runningCount"],
        }

    def serves_every_write(self, wait_until):
        """Check that nothing acknowledged is missing, and that the client goes on writing."""
        facts = self.sandbox.control("GET", "/_sandbox/client")
        assert facts["missing"] == 0
        wait_until(
            lambda: self.sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"],
            "the client writes",
        )


def on(driver, facts):
    """Check that the service runs on a driver, on the one host there is, which holds the volume."""
    (host,) = facts["hosts"]
    (volume,) = facts["volumes"]
    assert facts["hosts"] == {host: driver}
    assert facts["holder"] == [host]
    assert ("dockerVolumeConfiguration" in volume) == (driver == "rexray")
    assert bool(volume.get("host", {}).get("sourcePath")) == (driver == "host_mount")
    assert (TAG in facts["tags"], facts["tags"]["Name"], facts["running"]) == (True, "guestbook-data", 1)


@pytest.fixture(scope="module")
def service(sandbox, tmp_path_factory):
    """Return a service that was migrated with REX-Ray."""
    made = Service(sandbox, tmp_path_factory.mktemp("service"))
    ended, made.first = made.run("rexray", "00", "10", "20", "30", "45")
    assert ended.exit_code == 0, ended.output
    on("rexray", made.facts())
    return made


@pytest.fixture(scope="module")
def there(service):
    """Change to host_mount and verify; return how it ended and the run's folder."""
    return service.run("host_mount", "65", "66", "40")


@pytest.fixture(scope="module")
def back(service, there):
    """Change back to REX-Ray; return how it ended and the run's folder."""
    assert there[0].exit_code == 0, there[0].output
    return service.run("rexray", "65", "66")


def test_another_driver_in_the_parameters_moves_no_running_task(service):
    """10 with the other driver is refused, says what to run instead, and leaves the world as it was."""
    with unchanged(service.sandbox):
        ended, _ = service.run("host_mount", "10")
    assert ended.exit_code == 3, ended.output
    assert "66_change_storage_driver" in ended.output


def test_a_plan_changes_nothing(service):
    """Without --execute the whole change is planned, and the world is as it was."""
    with unchanged(service.sandbox):
        ended, folder = service.run("host_mount", "65", "66", planned=True)
    assert ended.exit_code == 0, ended.output
    steps = report_of(folder)["steps"]
    assert {step["status"] for step in steps} == {"planned"}, [(s["id"], s["status"]) for s in steps]
    assert len(steps) == 20


def test_the_driver_that_runs_already_is_left_alone(service):
    """With the driver that runs, every step says that it is already so."""
    before = len(mutating_calls(service.sandbox))
    ended, folder = service.run("rexray", "65", "66")
    assert ended.exit_code == 0, ended.output
    assert {step["status"] for step in report_of(folder)["steps"]} == {"skipped"}
    calls = [call["operation"] for call in mutating_calls(service.sandbox)[before:]]
    assert set(calls) <= {"SendCommand"}, calls


def test_it_changes_to_host_mount_with_every_write(service, there, wait_until):
    """One short outage; the same volume on a host of the other driver; the data is what it was; an empty plan."""
    ended, folder = there
    assert ended.exit_code == 0, ended.output
    on("host_mount", service.facts())
    service.serves_every_write(wait_until)
    report = report_of(folder)
    assert (report["status"], report["data"]["identical"]) == ("succeeded", True)
    assert 0 < report["outage_s"] <= report["outage_budget_s"]
    assert report["rollback_point"]["id"].startswith(("snap-", "vol-"))
    assert report["terraform"]["destroy"] <= 1  # the task definition's revision is replaced, and stays registered


def test_it_changes_back_with_every_write(service, back, wait_until):
    """The reverse run, with the former parameters: REX-Ray again, nothing lost, the migration's own plan empty."""
    ended, folder = back
    assert ended.exit_code == 0, ended.output
    on("rexray", service.facts())
    service.serves_every_write(wait_until)
    assert report_of(folder)["outage_s"] > 0
    ended, provisioned = service.run("rexray", "10")
    assert ended.exit_code == 0, ended.output
    assert {s["id"]: s["status"] for s in report_of(provisioned)["steps"]}["provision-target"] == "skipped"


def test_the_migrations_own_way_back_still_leads_to_compose(service, back, wait_until):
    """After both changes the run of the migration rolls back: compose on the same volume, nothing lost."""
    assert back[0].exit_code == 0, back[0].output
    ended = run_command("roll-back", service.first.name, "--directory", service.archive, "--execute")
    assert ended.exit_code == 0, ended.output
    facts = service.facts()
    assert facts["holder"] == [service.migration["source"]["instance_id"]]
    assert TAG not in facts["tags"]
    service.serves_every_write(wait_until)
