"""The way back: compose again on the same volume, nothing lost."""

from __future__ import annotations

import pytest
import yaml

from tests.migration.conftest import only_run, report_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_rolling_back_after_the_cutover_loses_nothing(start_sandbox, runbook, altered, wait_until):
    """After 30, roll-back brings compose up on the same volume with every acknowledged write, those on ECS included."""
    sandbox = start_sandbox("fast")
    file = altered(sandbox)
    ended = runbook("run", "00", "10", "20", "30", "-f", file, "--execute")
    assert ended.exit_code == 0, ended.output
    folder = only_run(file.parent / "runs")
    on_ecs = sandbox.control("GET", "/_sandbox/client")["acknowledged"]
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > on_ecs + 20, "the client writes on ECS"
    )

    refused = runbook("run", "50", "-f", file, "--execute", "--run-id", folder.name)
    assert refused.exit_code == 3, refused.output
    assert "persistence-verified" in refused.output

    planned = runbook("roll-back", folder.name, "--directory", folder.parent)
    assert planned.exit_code == 0, planned.output
    still = sandbox.control("GET", "/_sandbox/client")["acknowledged"]
    wait_until(lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > still, "ECS serves on")

    ended = runbook("roll-back", folder.name, "--directory", folder.parent, "--execute")
    assert ended.exit_code == 0, ended.output
    report = report_of(folder)
    assert report["status"] == "rolled_back"
    facts = sandbox.control("GET", "/_sandbox/client")
    assert facts["missing"] == 0
    migration = yaml.safe_load(file.read_text())["migration"]
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[migration["volume"]["volume_id"]])["Volumes"]
    assert [a["InstanceId"] for a in volume["Attachments"]] == [migration["source"]["instance_id"]]
    tags = {tag["Key"]: tag["Value"] for tag in volume["Tags"]}
    assert tags["Name"] == "guestbook-legacy-data"

    again = runbook("roll-back", folder.name, "--directory", folder.parent, "--execute")
    assert again.exit_code == 0, again.output
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"],
        "the client writes through compose again",
    )
