"""A migration on real hosts without any plugin: a unit of the host attaches, mounts and lets go, in the kernel."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.migration.conftest import only_run, report_of
from tests.real.town import NOTEBOOKS, Town
from tests.report_alike import differences

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]
FOLDER = "/mnt/runbook"
MOUNT_POINT, UNIT = f"{FOLDER}/data", "runbook-volume.service"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a sandbox with real hosts and the parameters of the driver."""
    made = Town(tmp_path_factory.mktemp("real"), "host_mount")
    yield made
    made.down()


@pytest.fixture(scope="module")
def migrated(town):
    """Return how the migration ended, and the folder of its run."""
    return town.run(*NOTEBOOKS, reason="test-real"), only_run(town.runs)


def test_the_service_moves_with_its_volume(migrated, town):
    """Moved, restarted and its host replaced, with every byte and every acknowledged write there."""
    ended, folder = migrated
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)

    assert (report["status"], report["evidence_grade"]) == ("succeeded", "real host")
    assert report["data"]["identical"] is True
    assert town.has_everything()


def test_the_unit_has_mounted_this_very_volume(migrated, town):
    """The unit is active on the host that replaced the first; what is mounted there has the volume's serial."""
    volume_id = yaml.safe_load(town.file.read_text("utf-8"))["migration"]["volume"]["volume_id"]
    instance, container = town.serving()

    assert town.printed(instance, "systemctl", "is-active", UNIT) == "active"
    (mount,) = json.loads(town.printed(instance, "findmnt", "--json", MOUNT_POINT))["filesystems"]
    assert mount["fstype"] == "ext4"
    assert town.printed(instance, "lsblk", "-n", "-d", "-o", "SERIAL", mount["source"]) == volume_id.replace("-", "")
    binds = json.loads(town.printed(instance, "docker", "inspect", "-f", "{{json .Mounts}}", container))
    assert [(one["Type"], one["Source"]) for one in binds] == [("bind", MOUNT_POINT)]
    assert json.loads(town.printed(instance, "docker", "plugin", "ls", "--format", "{{json .}}") or "[]") == []


def test_nothing_can_be_written_beside_the_volume(migrated, town):
    """The folder above the mount point is immutable for root too: without the mount Docker has nothing to bind."""
    instance, _ = town.serving()

    refused = town.on_host(instance, "mkdir", f"{FOLDER}/beside")

    assert refused["exit_code"] != 0
    assert "Operation not permitted" in refused["stderr"]


def test_the_report_says_what_that_of_simulated_hosts_says(migrated, tmp_path):
    """The same estate, the same notebooks: the reports differ in evidence grade, ids and times only."""
    _, folder = migrated
    simulated = Town(tmp_path, "host_mount", hosts="simulated")
    try:
        ended = simulated.run(*NOTEBOOKS, reason="test-real")
        other = only_run(simulated.runs)
    finally:
        simulated.down()

    assert ended.exit_code == 0, ended.output
    assert report_of(other)["evidence_grade"] == "simulated host"
    assert differences(report_of(folder), report_of(other)) == {}


def test_nothing_is_left_when_the_sandbox_is_down(migrated, town):
    """Not even immutable folders: everything the unit made goes with the sandbox."""
    town.down()

    assert town.left() == ([], False, [], [])
