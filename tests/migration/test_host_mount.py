"""The main job with storage driver host_mount: the tests of test_migration.py, killed on the way, and taken back."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.migration.conftest import RUNBOOK, only_run, report_of, run_command
from tests.migration.test_migration import (
    test_every_acknowledged_write_is_there,
    test_it_is_the_same_volume,
    test_running_again_skips_what_is_done,
    test_terraform_stays_empty,
    test_the_migration_succeeds,
    test_the_record_is_whole,
    test_the_report_has_the_fields_of_the_contract,
)
from tests.running_provider import RunningProvider

__all__ = [
    "test_every_acknowledged_write_is_there",
    "test_it_is_the_same_volume",
    "test_running_again_skips_what_is_done",
    "test_terraform_stays_empty",
    "test_the_migration_succeeds",
    "test_the_record_is_whole",
    "test_the_report_has_the_fields_of_the_contract",
]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def parameters(sandbox, tmp_path_factory):
    """Return the sandbox's parameters file for this driver, with an archive of its own and no bake time."""
    folder = tmp_path_factory.mktemp("migration")
    source = Path(sandbox.parameters_path).with_name("parameters-host-mount.yaml")
    document = yaml.safe_load(source.read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    document["migration"].setdefault("policy", {})["bake_time_s"] = 0
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


@pytest.fixture(scope="module", autouse=True)
def provider(sandbox, tmp_path_factory):
    """Let every command use a running provider."""
    kept = RunningProvider(tmp_path_factory.mktemp("provider"), sandbox)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in kept.environment.items():
            environment.setenv(name, value)
        yield
    kept.stop()


@pytest.fixture(scope="module")
def migrated(parameters, wait_until):
    """Migrate, killed while the volume is handed over and resumed; return how it ended and the run folder."""
    ended = run_command("run", "00", "10", "20", "-f", parameters, "--execute", "--reason", "CHG-1", timeout_s=500)
    assert ended.exit_code == 0, ended.output
    folder = only_run(parameters.parent / "runs")
    kill_in_hand_over(folder, parameters, wait_until)
    ended = run_command("resume", folder.name, "--directory", folder.parent)
    assert ended.exit_code == 0, ended.output
    return run_command("run", "40", "45", "-f", parameters, "--execute", "--run-id", folder.name), folder


def kill_in_hand_over(folder, parameters, wait_until):
    """Begin the cutover and kill the whole process group once the volume is being handed to the target."""
    journal = folder / "journal.jsonl"
    command = [str(RUNBOOK), "run", "30", "-f", str(parameters), "--execute", "--run-id", folder.name]
    cutover = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True
    )

    def is_handing_over():
        lines = journal.read_text("utf-8").splitlines()
        return any('"name-volume"' in line and '"running"' in line for line in lines)

    try:
        wait_until(lambda: cutover.poll() is not None or is_handing_over(), "the volume is handed over", 240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(cutover.pid, signal.SIGKILL)
        cutover.wait(timeout=30)


def test_the_kill_was_inside_the_hand_over(migrated):
    """The step was begun twice, and succeeded the second time or was found done."""
    _, folder = migrated
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    assert any('"name-volume"' in line and '"running"' in line for line in lines)
    statuses = {step["id"]: step["status"] for step in report_of(folder)["steps"]}
    assert statuses["name-volume"] in {"succeeded", "skipped"}
    assert statuses["detach-volume"] == "skipped"


def test_only_one_host_says_to_have_the_volume(migrated, sandbox, parameters):
    """After restart and replacement the attribute is on the host that holds the volume, and on no other."""
    volume_id = yaml.safe_load(parameters.read_text())["migration"]["volume"]["volume_id"]
    ecs = sandbox.client("ecs")
    arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
    found = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
    said = {one["ec2InstanceId"]: {a["name"]: a.get("value") for a in one["attributes"]} for one in found}
    marked = [host for host, attributes in said.items() if attributes.get("runbook.mounted") == volume_id]
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert marked == [a["InstanceId"] for a in volume["Attachments"]]


def test_the_way_back_leads_to_compose_on_the_same_volume(migrated, sandbox, parameters, wait_until):
    """Rolled back from the end: the unit lets go, the source serves, and every acknowledged write is there."""
    _, folder = migrated
    ended = run_command("roll-back", folder.name, "--directory", folder.parent, "--execute")
    assert ended.exit_code == 0, ended.output
    assert report_of(folder)["status"] == "rolled_back"
    facts = sandbox.control("GET", "/_sandbox/client")
    assert facts["missing"] == 0
    migration = yaml.safe_load(parameters.read_text())["migration"]
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[migration["volume"]["volume_id"]])["Volumes"]
    assert [a["InstanceId"] for a in volume["Attachments"]] == [migration["source"]["instance_id"]]
    tags = {tag["Key"]: tag["Value"] for tag in volume["Tags"]}
    assert tags["Name"] == "guestbook-legacy-data"
    assert "runbook:cut-over-utc" not in tags
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"],
        "the client writes through compose again",
    )
