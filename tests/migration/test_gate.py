"""A volume that is not what the source left never gets the application: refused, and back without loss."""

from __future__ import annotations

import pytest
import yaml

from tests.migration.conftest import only_run, report_of
from tests.migration.test_way_back import kill_in_cutover

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_volume_that_changed_between_the_hosts_is_refused_before_the_application_starts(
    start_sandbox, runbook, altered, keep_provider, wait_until
):
    """One mode bit is enough: no task was ever started, the gate lets go on the way back, no write is lost."""
    sandbox = start_sandbox("fast")
    keep_provider(sandbox)
    file = altered(sandbox)
    ended = runbook("run", "00", "10", "20", "-f", file, "--execute")
    assert ended.exit_code == 0, ended.output
    folder = only_run(file.parent / "runs")
    migration = yaml.safe_load(file.read_text())["migration"]
    volume_id, source_id = migration["volume"]["volume_id"], migration["source"]["instance_id"]
    victim = sandbox.state_dir / "volumes" / volume_id / "fs" / "uploads" / "program"

    kill_in_cutover(folder, file, wait_until)
    mode = victim.stat().st_mode
    victim.chmod(0o700)
    refused = runbook("resume", folder.name, "--directory", folder.parent)

    assert refused.exit_code == 4, refused.output
    flat = " ".join(refused.output.split())
    assert "metadata-identical" in flat
    assert "runbook roll-back: compose starts on this volume as it is" in flat
    steps = {step["id"]: step["status"] for step in report_of(folder)["steps"]}
    assert steps["verify-before-start"] == "failed"
    assert steps.get("start-target-service") in {None, "planned"}
    target = migration["target"]
    (service,) = sandbox.client("ecs").describe_services(
        cluster=target["cluster_name"], services=[target["service_name"]]
    )["services"]
    assert (service["desiredCount"], service["runningCount"], service["pendingCount"]) == (0, 0, 0)
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert [a["InstanceId"] for a in volume["Attachments"]] not in ([], [source_id])  # the gate still holds it

    victim.chmod(mode)
    ended = runbook("roll-back", folder.name, "--directory", folder.parent, "--execute")

    assert ended.exit_code == 0, ended.output
    assert report_of(folder)["status"] == "rolled_back"
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert [a["InstanceId"] for a in volume["Attachments"]] == [source_id]
    seen = sandbox.control("GET", "/_sandbox/client")["acknowledged"]
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > seen, "the client writes through compose"
    )
