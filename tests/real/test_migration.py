"""A whole migration on real hosts: a Docker Engine each, ext4 on a loop device, a managed plugin, real compose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from runbook_lib.sandbox import lifecycle
from tests.conftest import RunningSandbox
from tests.migration.conftest import only_run, report_of, run_command

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]
NOTEBOOKS = ("00", "10", "20", "30", "40")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """Return a sandbox with real hosts, shared by the tests of the module, in their order."""
    running = RunningSandbox(lifecycle.start(tmp_path_factory.mktemp("real") / "sandbox", hosts="real"))
    yield running
    run_command("sandbox", "down", "--state", running.state_dir)


@pytest.fixture(scope="module")
def migrated(sandbox, tmp_path_factory):
    """Return how the migration ended, and the folder of its run."""
    runs = tmp_path_factory.mktemp("runs")
    text = Path(sandbox.parameters_path).read_text("utf-8")
    line = next(one for one in text.splitlines() if one.strip().startswith("directory:"))
    parameters = runs / "parameters.yaml"
    parameters.write_text(text.replace(line, f"    directory: {runs}"), "utf-8")
    options = ("-f", parameters, "--execute", "--reason", "test-real")
    return run_command("run", *NOTEBOOKS, *options, timeout_s=1500), only_run(runs)


def on_this_machine(state_dir):
    """Return whatever this machine shows that names a sandbox: mounts, loop devices, links, processes."""
    status = run_command("sandbox", "status", "--state", state_dir).output
    loops = subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True).stdout
    tables = Path("/proc").glob("[0-9]*/mountinfo")
    mounts = [path for path in tables if str(state_dir) in _text(path)]
    processes = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(state_dir) in _text(path)]
    shown = [line for line in status.splitlines() if line.startswith(("holds", "left over"))]
    return shown, str(state_dir) in loops, mounts, processes


def _text(path):
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


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


def test_no_write_is_lost_and_one_container_writes_at_a_time(migrated, sandbox):
    """What the service acknowledged to its client is there, and no two containers could write on the volume at once."""
    client = sandbox.control("GET", "/_sandbox/client")
    assert client["acknowledged"] > 0
    assert client["missing"] == 0

    writing = set()
    for line in (sandbox.state_dir / "events.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line)
        may_write = any(one["volume_id"] and not one["read_only"] for one in event.get("mounts", ()))
        if event["kind"] == "container-ended":
            writing.discard(event["container"])
        if event["kind"] == "container-started" and may_write:
            assert not writing, event
            writing.add(event["container"])
    assert writing


def test_a_killed_sandbox_leaves_what_down_removes(migrated, sandbox):
    """SIGKILL of the daemon: status tells what is left, `sandbox down` removes it, and nothing of it remains."""
    assert run_command("sandbox", "status", "--state", sandbox.state_dir).output.count("\nholds ") == 1
    os.kill(sandbox.info.pid, signal.SIGKILL)
    os.waitpid(sandbox.info.pid, 0)

    assert "left over" in run_command("sandbox", "status", "--state", sandbox.state_dir).output
    removed = run_command("sandbox", "down", "--state", sandbox.state_dir).output
    assert f"left by the sandbox of {sandbox.state_dir}" in removed
    assert on_this_machine(sandbox.state_dir) == ([], False, [], [])
