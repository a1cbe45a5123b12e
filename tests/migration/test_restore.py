"""A backup brought back for good: the writes after it are lost, named, and kept; the way back has every one of them."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.acknowledged import acknowledged_and_present, lost
from tests.migration.conftest import mutating_calls, report_of, run_command
from tests.running_provider import RunningProvider

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]
NAME, SLACK_S = "guestbook-data", 2.0
"""The Name that a storage driver looks for; how far a clock's cut-off fraction may put a write on the wrong side."""


@contextmanager
def nothing_changes(sandbox):
    """Check that whatever happens inside makes no call that changes something, but for scripts that look."""
    before = len(mutating_calls(sandbox))
    yield
    calls = {call["operation"] for call in mutating_calls(sandbox)[before:]}
    assert calls <= {"SendCommand"}, calls


class Service:
    """A migrated service in a sandbox, its archive, and the parameters that name the volume in service.

    Args:
        sandbox: The sandbox.
        folder: Where files may go.
        environment: What lets Terraform use a running provider.
    """

    def __init__(self, sandbox, folder, environment):
        self.sandbox, self.archive, self._environment = sandbox, folder / "runs", environment
        document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
        document["migration"]["archive"] = {"directory": str(self.archive)}
        self.first_file = self.file = folder / "parameters.yaml"
        self.file.write_text(yaml.safe_dump(document), "utf-8")
        self.migrated = None

    def command(self, *words):
        """Run a command; return how it ended, and the folder of the run that it opened, if it did."""
        before = set(self.archive.glob("*/journal.jsonl"))
        ended = run_command(*words, timeout_s=900, **self._environment)
        new = sorted(path.parent for path in set(self.archive.glob("*/journal.jsonl")) - before)
        return ended, new[0] if new else None

    def run(self, *notebooks):
        """Run notebooks with the parameters in use; they must succeed."""
        ended, folder = self.command("run", *notebooks, "-f", self.file, "--execute", "--reason", "CHG-1")
        assert ended.exit_code == 0, ended.output
        return folder

    def restore(self, source, *words):
        """Restore something with the parameters in use."""
        return self.command("restore", source, "-f", self.file, *words)

    def execute(self, source, since):
        """Restore something for good, the loss accepted."""
        accepted = ("--accept-loss-of-writes-since", since) if since else ()
        return self.restore(source, "--execute", "--reason", "INC-1", *accepted)

    @property
    def volume_id(self):
        """The volume that the parameters in use name."""
        return yaml.safe_load(self.file.read_text("utf-8"))["migration"]["volume"]["volume_id"]

    def volume(self, volume_id):
        """Return state, tags and holders of a volume."""
        (volume,) = self.sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
        tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
        return volume["State"], tags, [attachment["InstanceId"] for attachment in volume["Attachments"]]

    def hosts(self):
        """Return the volume that each host is set up for, by its instance id."""
        ecs = self.sandbox.client("ecs")
        arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        return {
            host["ec2InstanceId"]: {a["name"]: a.get("value") for a in host["attributes"]}["runbook.volume"]
            for host in hosts
        }

    def serves_on(self, volume_id):
        """Check that one host, set up for a volume, holds it, that it has the Name, and that the group wants one."""
        ((host, own),) = self.hosts().items()
        state, tags, holders = self.volume(volume_id)
        assert (own, state, holders) == (volume_id, "in-use", [host])
        assert (tags["Name"], "runbook:cut-over-utc" in tags, "runbook:replaced-by" in tags) == (NAME, True, False)
        (group,) = self.sandbox.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        assert group["DesiredCapacity"] == 1

    def lost(self):
        """Return the acknowledged writes that the service has not, oldest first."""
        return lost(self.sandbox)


@pytest.fixture(scope="module")
def service(sandbox, driver, tmp_path_factory):
    """Return a service on ECS; Terraform owns its volume where the driver is REX-Ray."""
    folder = tmp_path_factory.mktemp("service")
    with RunningProvider(folder, sandbox) as provider:
        made = Service(sandbox, folder, provider.environment)
        made.migrated = made.run("00", "10", "20", "30", *(["45"] if driver == "rexray" else []))
        yield made


@pytest.fixture(scope="module")
def backup(service, sandbox):
    """Return a backup after which the service went on writing."""
    folder = service.run("63")
    events = (json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines())
    taken = [event for event in events if event["kind"] == "backup" and event["phase"] == "taken"][-1]
    (found,) = sandbox.client("ec2").describe_snapshots(SnapshotIds=[taken["snapshot_id"]])["Snapshots"]
    return {"id": taken["snapshot_id"], "at": found["StartTime"]}


@pytest.fixture(scope="module")
def dry(service, backup):
    """Plan to restore the newest backup."""
    with nothing_changes(service.sandbox):
        return service.restore("latest")


@pytest.fixture(scope="module")
def restored(service, backup, dry):
    """Restore it; return how it ended, the run's folder, the volume of before, and what was lost."""
    former = service.volume_id
    ended, folder = service.execute("latest", accepted_by(dry))
    if folder is not None and (folder / "next-parameters.yaml").exists():
        service.file = folder / "next-parameters.yaml"
    return ended, folder, former, service.lost() if ended.exit_code == 0 else []


def accepted_by(planned):
    """Return the time that a plan wants to be accepted."""
    return re.search(r"after (\S+Z),", plan_of(planned[1], "check-restore"))[1]


def plan_of(folder, step_id):
    """Return what the newest event of a step says."""
    lines = (json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines())
    return [one for one in lines if one["kind"] == "step" and one["step_id"] == step_id][-1]["plan"]


def statuses(folder):
    """Return the states of a run's steps by their ids."""
    return {step["id"]: step["status"] for step in report_of(folder)["steps"]}


def test_a_plan_says_what_would_be_lost(driver, service, backup, dry):
    """Without --execute nothing changes, every step is planned, and the loss is named with its time."""
    ended, folder = dry
    assert ended.exit_code == 0, ended.output
    already = {step_id for step_id, status in statuses(folder).items() if status != "planned"}
    owned = set() if driver == "rexray" else {"forget-former-volume", "adopt-restored-volume"}
    assert (already, {statuses(folder)[one] for one in already} <= {"skipped"}) == (owned, True), statuses(folder)
    said = plan_of(folder, "check-restore")
    assert backup["id"] in said
    since = f"{backup['at'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert f"LOST: everything that the service acknowledged after {since}" in said
    assert said.partition("LOST: ")[2][:60] in ended.output, "the command itself says it"


@pytest.mark.parametrize("since", ["", "2100-01-01T00:00:00Z"], ids=["nothing accepted", "too little accepted"])
def test_without_the_acceptance_nothing_is_made(service, backup, dry, since):
    """Exit 3, the words to add, and the world as it was."""
    with nothing_changes(service.sandbox):
        ended, _ = service.execute("latest", since)
    assert ended.exit_code == 3, ended.output
    assert f"--accept-loss-of-writes-since {accepted_by(dry)}" in " ".join(ended.output.split())


@pytest.mark.parametrize(
    ("source", "exit_code", "word"),
    [("yesterday", 2, "snapshot"), ("snap-0123456789abcdef0", 3, "source-usable"), ("own", 3, "source-usable")],
)
def test_what_is_no_backup_of_it_is_refused(service, backup, source, exit_code, word):
    """A word, a snapshot that is not there, the volume in service itself."""
    with nothing_changes(service.sandbox):
        ended, _ = service.execute(service.volume_id if source == "own" else source, "2020-01-01T00:00:00Z")
    assert (ended.exit_code, word in ended.output) == (exit_code, True), ended.output


def test_a_restore_without_capacity_changes_nothing_of_the_service(service, backup, dry):
    """No host to be had: exit 4, the service runs on with every write; the volume that was made is left, unused."""
    service.sandbox.control("POST", "/_sandbox/faults", {"name": "capacity"})
    ended, folder = service.execute("latest", accepted_by(dry))
    service.sandbox.control("DELETE", "/_sandbox/faults")
    assert ended.exit_code == 4, ended.output
    assert report_of(folder)["failure"]["step_id"] == "launch-host-for-restore"
    service.serves_on(service.volume_id)
    assert service.lost() == []
    back, given_up = service.command(
        "restore", service.volume_id, "-f", folder / "next-parameters.yaml", "--execute", "--reason", "give it up"
    )
    assert back.exit_code == 0, back.output
    assert "No write was lost" in plan_of(given_up, "report-loss")
    service.serves_on(service.volume_id)
    assert service.lost() == []


def test_what_is_lost_is_what_was_written_after_the_backup(service, backup, restored):
    """Every write before it is there, and every one since the restore; the lost ones lie in between, without a gap."""
    ended, folder, former, gone = restored
    assert ended.exit_code == 0, ended.output
    acknowledged, _present = acknowledged_and_present(service.sandbox)
    ids = [one["id"] for one in acknowledged]
    first = ids.index(gone[0]["id"])
    assert [one["id"] for one in gone] == ids[first : first + len(gone)]
    assert gone[0]["at"] >= backup["at"].timestamp() - SLACK_S
    assert acknowledged[first - 1]["at"] <= gone[0]["at"]
    said = plan_of(folder, "report-loss")
    since, until = (datetime.fromisoformat(one) for one in re.search(r"after (\S+Z) until (\S+Z)", said).groups())
    assert since == backup["at"].replace(microsecond=0)
    assert gone[-1]["at"] <= until.timestamp() + SLACK_S
    assert former in said
    assert len(ids) > first + len(gone), "the client writes to the restored volume"


def test_the_restored_volume_serves_and_the_other_one_is_kept(service, restored):
    """New volume, new host, the Name; the former one is free, whole, under another Name; the outage was measured."""
    ended, folder, former, _lost = restored
    assert ended.exit_code == 0, ended.output
    assert service.volume_id != former
    service.serves_on(service.volume_id)
    state, tags, holders = service.volume(former)
    assert (state, holders, tags["Name"]) == ("available", [], f"{folder.name}-former")
    assert tags["runbook:replaced-by"] == service.volume_id
    report = report_of(folder)
    assert (report["status"], report["data"]["identical"]) == ("succeeded", True)
    assert 0 < report["outage_s"] <= report["outage_budget_s"]
    compared = [
        json.loads(line)
        for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()
        if '"compared"' in line and '"restore"' in line
    ][-1]
    assert (compared["identical"], compared["with_record"] > 0) == (True, True)
    assert sum(compared["lost"].values()) > 0, "the entries that differ from the volume in service are counted"


def test_nothing_drifts_afterwards(service, restored):
    """With the parameters that the run wrote, Terraform's plan is empty and 64 finds nothing but a missing backup."""
    assert restored[0].exit_code == 0, restored[0].output
    service.run("63")
    folder = service.run("64")
    assert set(statuses(folder).values()) <= {"succeeded", "skipped"}


def test_the_restore_run_again_has_nothing_to_do(service, restored):
    """Its run goes on from the top with nothing done a second time."""
    ended, folder, _former, gone = restored
    assert ended.exit_code == 0, ended.output
    again, _ = service.command("run", "70", "--run-id", folder.name, "-d", service.archive, "--execute")
    assert again.exit_code == 0, again.output
    assert service.lost() == gone
    service.serves_on(service.volume_id)


def test_the_former_parameters_no_longer_do(service, restored):
    """10, the roll back of the migration, and another restore refuse: they would leave the newer writes behind."""
    assert restored[0].exit_code == 0, restored[0].output
    old = ("-f", service.first_file, "--execute", "--reason", "CHG-2")
    with nothing_changes(service.sandbox):
        commands = (
            ("run", "00", "10", *old),
            ("restore", "latest", *old, "--accept-loss-of-writes-since", "2020-01-01T00:00:00Z"),
            ("roll-back", service.migrated.name, "-d", service.archive, "--execute"),
        )
        for words in commands:
            ended, _ = service.command(*words)
            assert ended.exit_code == 3, ended.output
            assert service.volume_id in ended.output, ended.output


def test_the_way_back_has_every_write_of_the_former_volume(service, restored):
    """The same command with the former volume: it is that very one; lost is what was written since the restore."""
    ended, _folder, former, gone = restored
    assert ended.exit_code == 0, ended.output
    other = service.volume_id
    planned = service.restore(former)
    back, folder = service.execute(former, accepted_by(planned))
    assert back.exit_code == 0, back.output
    service.file = folder / "next-parameters.yaml"
    assert service.volume_id == former
    service.serves_on(former)
    said = plan_of(folder, "report-loss")
    assert said.startswith("LOST to the service: what it acknowledged after "), said
    assert other in said
    now = service.lost()
    assert {one["id"] for one in gone} & {one["id"] for one in now} == set()
    assert now[0]["at"] > gone[-1]["at"]
    assert (service.volume(other)[0], service.volume(other)[2]) == ("available", [])
    service.run("63")
    folder = service.run("64")
    assert set(statuses(folder).values()) <= {"succeeded", "skipped"}
