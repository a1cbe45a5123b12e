"""A cutover that holds, is released, is given up: the service runs until somebody says so, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager, suppress

import pytest
import yaml

from tests.migration.conftest import RUNBOOK, only_run, report_of, run_command
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def prepared(sandbox, tmp_path_factory):
    """Return a run of which everything before the cutover is done."""
    folder = tmp_path_factory.mktemp("migration")
    document = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    ended = run_command("run", "00", "10", "20", "-f", file, "--execute")
    assert ended.exit_code == 0, ended.output
    return only_run(folder / "runs")


@contextmanager
def cutting_over(folder, *options):
    """Run the cutover's notebook beside the test; whatever is left of it is killed at the end."""
    command = [RUNBOOK, "run", "30", "--run-id", folder.name, "-d", folder.parent, "--execute", *options]
    with (folder.parent / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def events(folder):
    """Return the journal."""
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture
def wait_for_hold(prepared, wait_until):
    """Return a function that waits until the process that was just started holds."""

    def waits():
        return sum(e["kind"] == "wait" and e["step_id"] == "hold-cutover" for e in events(prepared))

    before = waits()

    def wait():
        wait_until(lambda: waits() > before, "the cutover holds", timeout_s=90)
        said = run_command("status", prepared.name, "-d", prepared.parent).output
        assert "Holding." in said
        assert "its process is gone" not in said

    return wait


def acknowledged(sandbox):
    return sandbox.control("GET", "/_sandbox/client")["acknowledged"]


def on_source(sandbox, folder):
    """Return whether the volume is attached to the source."""
    migration = yaml.safe_load((folder / "parameters.yaml").read_text("utf-8"))["migration"]
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[migration["volume"]["volume_id"]])["Volumes"]
    return [a["InstanceId"] for a in volume["Attachments"]] == [migration["source"]["instance_id"]]


def test_nothing_is_released_that_does_not_hold(sandbox, prepared):
    """`cut-over` of a run that does not hold is refused and changes nothing."""
    before = events(prepared)
    with unchanged(sandbox):
        ended = run_command("cut-over", prepared.name, "-d", prepared.parent)
    assert (ended.exit_code, "does not hold" in ended.output) == (3, True), ended.output
    assert events(prepared) == before


def test_panic_needs_a_word(sandbox, prepared):
    """Without --yes nothing is ended and nothing rolled back."""
    before = events(prepared)
    with unchanged(sandbox):
        ended = run_command("panic", prepared.name, "-d", prepared.parent)
    assert (ended.exit_code, "--yes" in ended.output) == (3, True), ended.output
    assert events(prepared) == before


def test_a_hold_that_was_killed_cannot_be_released_and_resumes(sandbox, prepared, wait_for_hold):
    """When the process that held is gone, the release says so; resumed, the run holds again, and panic ends it."""
    with cutting_over(prepared, "--hold-before-cutover"):
        wait_for_hold()
    said = run_command("status", prepared.name, "-d", prepared.parent).output
    assert "its process is gone" in said
    with unchanged(sandbox):
        refused = run_command("cut-over", prepared.name, "-d", prepared.parent)
    assert (refused.exit_code, "its process is gone" in refused.output) == (3, True), refused.output
    lease = run_command("lease", "-f", prepared / "parameters.yaml")
    assert (lease.exit_code, "held by a run whose process is gone" in lease.output) == (3, True), lease.output
    assert prepared.name in lease.output


def test_panic_ends_a_hold(sandbox, prepared, wait_until, wait_for_hold):
    """Panic interrupts the attempt, waits for its end, and finds nothing to take back: the service never stopped."""
    with cutting_over(prepared) as process:  # the hold was asked for before, and is still wanted
        wait_for_hold()
        held = run_command("lease", "-f", prepared / "parameters.yaml")
        assert (held.exit_code, "its process holds the lock" in held.output) == (3, True), held.output
        writes = acknowledged(sandbox)
        wait_until(lambda: acknowledged(sandbox) > writes, "the service serves while the cutover holds")
        ended = run_command("panic", prepared.name, "-d", prepared.parent, "--yes", "--reason", "CHG-1 called off")
        assert ended.exit_code == 0, ended.output
        assert process.poll() is not None
        assert "ended the runner" in ended.output
    report = report_of(prepared)
    assert (report["status"], report["outages"]) == ("rolled_back", [])
    panic = [e for e in events(prepared) if e["kind"] == "panic"][-1]
    assert (panic["reason"], panic["processes"][0]["role"]) == ("CHG-1 called off", "runner")
    assert run_command("lease", "-f", prepared / "parameters.yaml").exit_code == 0
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0


def test_panic_in_the_outage(sandbox, prepared, wait_until, wait_for_hold):
    """In the middle of the outage the step is interrupted, and compose gets the same volume back with every write."""
    with cutting_over(prepared) as process:
        wait_for_hold()
        released = run_command("cut-over", prepared.name, "-d", prepared.parent, "--reason", "go")
        assert released.exit_code == 0, released.output
        wait_until(lambda: any(e.get("step_id") == "stop-source-service" for e in events(prepared)), "stopping", 90)
        ended = run_command("panic", prepared.name, "-d", prepared.parent, "--yes")
        assert ended.exit_code == 0, ended.output
        assert process.poll() is not None
    again = run_command("panic", prepared.name, "-d", prepared.parent, "--yes")
    assert (again.exit_code, "ended the" in again.output) == (0, False), "with nobody to end it only rolls back"
    assert report_of(prepared)["status"] == "rolled_back"
    assert on_source(sandbox, prepared)
    writes = acknowledged(sandbox)
    wait_until(lambda: acknowledged(sandbox) > writes, "the service serves on the source again")
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0


def test_released_it_cuts_over(sandbox, prepared, wait_until, wait_for_hold):
    """Released by a flag file, the cutover goes through, once; a second release changes nothing."""
    with cutting_over(prepared) as process:
        wait_for_hold()
        (prepared / "cut-over").touch()
        assert process.wait(timeout=200) == 0, (prepared.parent / "output.txt").read_text()
    assert not (prepared / "cut-over").exists()
    assert "waiting" in (prepared.parent / "output.txt").read_text()
    again = run_command("cut-over", prepared.name, "-d", prepared.parent)
    assert (again.exit_code, "released already" in again.output) == (0, True), again.output
    statuses = {step["id"]: step["status"] for step in report_of(prepared)["steps"]}
    assert (statuses["hold-cutover"], statuses["start-target-service"]) == ("succeeded", "succeeded")
    assert not on_source(sandbox, prepared)
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0
