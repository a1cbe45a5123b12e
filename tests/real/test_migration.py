"""A whole migration on real hosts: Docker Engines, ext4 on a loop device, a managed plugin, compose with PostgreSQL."""

from __future__ import annotations

import json
import os
import signal

import pytest
import yaml

from tests.migration.conftest import only_run, report_of, run_command
from tests.real.database import ALL_SEEDS, Database, Ledger
from tests.real.town import NOTEBOOKS, POWER_CUTS, Town, replays

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a sandbox with real hosts and PostgreSQL, shared by the tests of the module, in their order."""
    made = Town(tmp_path_factory.mktemp("real"), options=["postgres"])
    yield made
    made.down()


@pytest.fixture(scope="module")
def database(town):
    """Return the database of the sandbox."""
    return Database(town.sandbox)


@pytest.fixture(scope="module")
def seeds(database):
    """Return what the database has of the years before the migration."""
    found = database.ask(ALL_SEEDS)
    assert found is not None
    assert found.startswith("5000|")
    return found


@pytest.fixture(scope="module")
def ledger(database, seeds):
    """Return a client that writes to the database from before the migration on."""
    writing = Ledger(database)
    writing.start()
    yield writing
    writing.end()


@pytest.fixture(scope="module")
def migrated(town, ledger):
    """Return how the migration ended, and the folder of its run."""
    return town.run(*NOTEBOOKS, reason="test-real"), only_run(town.runs)


def test_the_service_moves_with_its_volume(migrated):
    """Everything goes through, and the report says that hosts were real and every byte is there."""
    ended, folder = migrated
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)

    assert (report["status"], report["evidence_grade"]) == ("succeeded", "real host")
    assert report["data"]["identical"] is True
    assert 0 < report["outage_s"] < report["outage_budget_s"]
    steps = {step["id"]: step["status"] for step in report["steps"]}
    assert {steps[one] for one in ("write-probe", "restart-task", "replace-instance")} == {"succeeded"}


def test_the_database_has_every_row_and_sound_pages(migrated, database, ledger, seeds, wait_until):
    """All rows of before, all that were committed on the way, and every page fits the checksum it was written with."""
    committed = len(ledger.committed)
    assert committed > 0
    wait_until(lambda: len(ledger.committed) > committed, "the client writes to the migrated database", 60)

    assert ledger.missing() == []
    assert database.ask(ALL_SEEDS) == seeds
    assert database.ask("SHOW data_checksums") == "on"
    assert database.verify() == []


def test_no_write_is_lost_and_one_host_writes_at_a_time(migrated, town):
    """What the service acknowledged to its client is there, and no two hosts could write on the volume at once."""
    client = town.client()
    assert client["acknowledged"] > 0
    assert client["missing"] == 0

    writing, hosts = {}, set()
    for line in (town.state_dir / "events.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line)
        may_write = any(one["volume_id"] and not one["read_only"] for one in event.get("mounts", ()))
        if event["kind"] == "container-ended":
            writing.pop(event["container"], None)
        if event["kind"] == "container-started" and may_write:
            writing[event["container"]] = event["instance_id"]
            hosts.add(event["instance_id"])
            assert len(set(writing.values())) == 1, event
    assert len(writing) == len(("guestbook", "database"))
    assert len(hosts) == len(("source", "first instance", "its replacement"))


@pytest.mark.parametrize("number", range(int(os.environ.get(POWER_CUTS, "2"))))
def test_a_power_cut_loses_no_acknowledged_write(number, migrated, town, database, ledger, seeds, wait_until):
    """The serving host loses its power under both clients: on the next host nothing that they were told is missing."""
    former, _ = wait_until(town.serving, "the service runs", 120)
    wait_until(town.has_everything, "it answers", 120)
    before, committed, replayed = town.client()["acknowledged"], len(ledger.committed), replays()
    wait_until(lambda: town.client()["acknowledged"] > before, "the client writes", 60)
    wait_until(lambda: len(ledger.committed) > committed, "the database's client writes", 60)

    town.cut_power(former)
    town.sandbox.client("ec2").terminate_instances(
        InstanceIds=[former]
    )  # an operator's: it waits to be drained for ever

    wait_until(lambda: (found := town.serving()) and found[0] != former, "another host serves", 300)
    wait_until(town.has_everything, "every acknowledged write is there", 120)
    wait_until(lambda: ledger.missing() == [], "every committed row is there", 120)
    assert database.ask(ALL_SEEDS) == seeds
    assert database.verify() == []
    assert "automatic recovery in progress" in database.printed()
    assert replays() != replayed


WRITER = """
import os, time
log = open("/data/log", "a")
while True:
    try:
        log.write("x\\n"), log.flush(), os.fsync(log.fileno())
        print("written", flush=True)
    except OSError as error:
        print("errno", error.errno, flush=True)
    time.sleep(0.05)
"""


@pytest.fixture
def disk(town, wait_until):
    """Return the id of a new volume, a function that attaches it to a host, and where hosts show it."""
    ec2 = town.sandbox.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp3")["VolumeId"]
    path = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + volume_id.replace("-", "")

    def is_free():
        return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"] == "available"

    def attach(instance_id):
        wait_until(is_free, f"{volume_id} is free", 60)
        ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdm")
        wait_until(lambda: not town.on_host(instance_id, "test", "-e", path)["exit_code"], "its device is there", 60)

    return volume_id, attach, path


def test_who_lost_a_volume_writes_to_it_no_more(migrated, town, disk, wait_until):
    """Forced detach under a writer: it gets errors, and the filesystem stays sound in the hands of the next host."""
    volume_id, attach, path = disk
    source = yaml.safe_load(town.sandbox.parameters_path.read_text("utf-8"))["migration"]["source"]["instance_id"]
    other = wait_until(town.serving, "the service runs", 120)[0]
    attach(source)
    town.printed(source, "mkfs.ext4", "-q", path)
    town.printed(source, "mkdir", "-p", "/mnt/taken")
    town.printed(source, "mount", path, "/mnt/taken")
    options = ("-d", "--name", "late", "-v", "/mnt/taken:/data", "--entrypoint", "python3")
    town.printed(source, "docker", "run", *options, "registry.sandbox/guestbook:1.0", "-c", WRITER)
    wait_until(lambda: "written" in town.printed(source, "docker", "logs", "late"), "it writes", 60)

    town.sandbox.client("ec2").detach_volume(VolumeId=volume_id, InstanceId=source, Force=True)
    attach(other)
    wait_until(lambda: town.printed(source, "docker", "logs", "late").endswith("errno 5"), "it gets errors", 60)
    town.printed(other, "mkdir", "-p", "/mnt/taken")
    for number in range(20):
        town.printed(other, "mount", path, "/mnt/taken")
        town.printed(other, "cp", "-r", "/etc", f"/mnt/taken/{number}")
        town.printed(other, "umount", "/mnt/taken")

    assert town.printed(source, "docker", "logs", "late").endswith("errno 5")
    town.printed(other, "e2fsck", "-f", "-n", path)


def test_a_killed_sandbox_leaves_what_down_removes(migrated, town):
    """SIGKILL of the daemon: status tells what is left, `sandbox down` removes it, and nothing of it remains."""
    assert run_command("sandbox", "status", "--state", town.state_dir).output.count("\nholds ") == 1
    os.kill(town.sandbox.info.pid, signal.SIGKILL)
    os.waitpid(town.sandbox.info.pid, 0)

    assert "left over" in run_command("sandbox", "status", "--state", town.state_dir).output
    assert f"left by the sandbox of {town.state_dir}" in town.down()
    assert town.left() == ([], False, [], [])
