"""The way back: compose again on the same volume, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

import pytest
import yaml

from tests.migration.conftest import RUNBOOK, only_run, report_of
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KILLED_IN = {"rexray": "detach-volume", "host_mount": "name-volume"}
"""The last step that begins before the storage driver may take the volume, or in which the unit of host_mount does."""


def kill_in_cutover(folder, file, wait_until, step_id="detach-volume"):
    """Begin the cutover and kill the whole process group once a step has begun."""
    journal = folder / "journal.jsonl"
    command = [str(RUNBOOK), "run", "30", "-f", str(file), "--execute", "--run-id", folder.name]
    cutover = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until(
            lambda: (
                cutover.poll() is not None
                or any(
                    f'"{step_id}"' in line and '"running"' in line for line in journal.read_text("utf-8").splitlines()
                )
            ),
            f"{step_id} has begun",
            timeout_s=120,
        )
    finally:
        with suppress(ProcessLookupError):
            os.killpg(cutover.pid, signal.SIGKILL)
        cutover.wait(timeout=30)


def is_steady(sandbox):
    """Return whether ECS has seen the task healthy and has nothing left to do: what it tells changes no more."""
    ecs = sandbox.client("ecs")
    (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
    arns = ecs.list_tasks(cluster="guestbook")["taskArns"]
    tasks = ecs.describe_tasks(cluster="guestbook", tasks=arns)["tasks"] if arns else []
    healthy = [task["healthStatus"] for task in tasks] == ["HEALTHY"]
    return healthy and "has reached a steady state" in service["events"][0]["message"]


@pytest.mark.thorough  # the crash matrix kills the same step in `make test`, without the command line
def test_a_killed_cutover_resumes_and_rolls_back_without_loss(
    driver, start_sandbox, runbook, altered, keep_provider, wait_until
):
    """Killed inside the outage, resumed, adopted, rolled back: every acknowledged write is there each time."""
    sandbox = start_sandbox("fast")
    keep_provider(sandbox)
    file = altered(sandbox)
    ended = runbook("run", "00", "10", "20", "-f", file, "--execute")
    assert ended.exit_code == 0, ended.output
    folder = only_run(file.parent / "runs")

    kill_in_cutover(folder, file, wait_until, KILLED_IN[driver])
    assert runbook("status", folder.name, "--directory", folder.parent).output.count("interrupted") >= 1
    ended = runbook("resume", folder.name, "--directory", folder.parent)
    assert ended.exit_code == 0, ended.output
    statuses = {step["id"]: step["status"] for step in report_of(folder)["steps"]}
    assert statuses["stop-source-service"] == "skipped"
    assert statuses[KILLED_IN[driver]] in {"succeeded", "skipped"}
    assert statuses["start-target-service"] == "succeeded"
    assert report_of(folder)["outage_s"] > 0
    on_ecs = sandbox.control("GET", "/_sandbox/client")["acknowledged"]
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > on_ecs + 20, "the client writes on ECS"
    )

    wait_until(lambda: is_steady(sandbox), "the task is healthy and the service steady")
    with unchanged(sandbox):
        refused = runbook("run", "50", "-f", file, "--execute", "--run-id", folder.name)
    assert refused.exit_code == 3, refused.output
    assert "persistence-verified" in refused.output

    ended = runbook("run", "45", "-f", file, "--execute", "--run-id", folder.name)
    assert ended.exit_code == 0, ended.output
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
    assert "runbook:cut-over-utc" not in tags

    again = runbook("roll-back", folder.name, "--directory", folder.parent, "--execute")
    assert again.exit_code == 0, again.output
    wait_until(
        lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"],
        "the client writes through compose again",
    )
