"""A whole migration on real hosts: a Docker Engine each, ext4 on a loop device, a managed plugin, real compose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

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


def serving(sandbox):
    """Return the instance and the container that serve now, None when none does."""
    found = sandbox.control("GET", "/_sandbox/resolve?port=8080")["addresses"]
    return (found[0][3], found[0][2]) if found else None


def answers_with_everything(sandbox):
    """Return the client's facts when the service answers and has every acknowledged write."""
    facts = sandbox.control("GET", "/_sandbox/client")
    return facts if facts["missing"] == 0 else None


def on_host(sandbox, instance_id, *argv):
    """Run a command on a host; return its answer."""
    return sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", {"argv": list(argv)})


def printed(sandbox, instance_id, *argv):
    """Run a command that must succeed on a host; return what it printed."""
    answer = on_host(sandbox, instance_id, *argv)
    assert answer["exit_code"] == 0, answer
    return answer["stdout"].strip()


def test_a_power_cut_loses_no_acknowledged_write(migrated, sandbox, wait_until):
    """The serving host loses its power while its client writes: on the next host every acknowledged write is there."""
    former, _ = wait_until(lambda: serving(sandbox), "the service runs", 120)
    before = wait_until(lambda: answers_with_everything(sandbox), "it answers", 120)["acknowledged"]
    wait_until(lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > before, "the client writes", 60)

    sandbox.control("POST", "/_sandbox/faults", {"name": "kill-host", "target": former})

    place = wait_until(lambda: (found := serving(sandbox)) and found[0] != former and found, "another host serves", 300)
    facts = wait_until(lambda: answers_with_everything(sandbox), "every acknowledged write is there", 120)
    assert facts["acknowledged"] > before
    volume = printed(sandbox, place[0], "lsblk", "-n", "-o", "SERIAL,FSTYPE")
    assert "ext4" in volume


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
def disk(sandbox, wait_until):
    """Return the id of a new volume, a function that attaches it to a host, and where hosts show it."""
    ec2 = sandbox.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp3")["VolumeId"]
    path = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_" + volume_id.replace("-", "")

    def is_free():
        return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"] == "available"

    def attach(instance_id):
        wait_until(is_free, f"{volume_id} is free", 60)
        ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdm")
        wait_until(
            lambda: not on_host(sandbox, instance_id, "test", "-e", path)["exit_code"], "its device is there", 60
        )

    return volume_id, attach, path


def test_who_lost_a_volume_writes_to_it_no_more(migrated, sandbox, disk, wait_until):
    """Forced detach under a writer: it gets errors, and the filesystem stays sound in the hands of the next host."""
    volume_id, attach, path = disk
    source = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))["migration"]["source"]["instance_id"]
    other = wait_until(lambda: serving(sandbox), "the service runs", 120)[0]
    attach(source)
    printed(sandbox, source, "mkfs.ext4", "-q", path)
    printed(sandbox, source, "mkdir", "-p", "/mnt/taken")
    printed(sandbox, source, "mount", path, "/mnt/taken")
    options = ("-d", "--name", "late", "-v", "/mnt/taken:/data", "--entrypoint", "python3")
    printed(sandbox, source, "docker", "run", *options, "registry.sandbox/guestbook:1.0", "-c", WRITER)
    wait_until(lambda: "written" in printed(sandbox, source, "docker", "logs", "late"), "it writes", 60)

    sandbox.client("ec2").detach_volume(VolumeId=volume_id, InstanceId=source, Force=True)
    attach(other)
    wait_until(lambda: printed(sandbox, source, "docker", "logs", "late").endswith("errno 5"), "it gets errors", 60)
    printed(sandbox, other, "mkdir", "-p", "/mnt/taken")
    for number in range(20):
        printed(sandbox, other, "mount", path, "/mnt/taken")
        printed(sandbox, other, "cp", "-r", "/etc", f"/mnt/taken/{number}")
        printed(sandbox, other, "umount", "/mnt/taken")

    assert printed(sandbox, source, "docker", "logs", "late").endswith("errno 5")
    printed(sandbox, other, "e2fsck", "-f", "-n", path)


def test_a_killed_sandbox_leaves_what_down_removes(migrated, sandbox):
    """SIGKILL of the daemon: status tells what is left, `sandbox down` removes it, and nothing of it remains."""
    assert run_command("sandbox", "status", "--state", sandbox.state_dir).output.count("\nholds ") == 1
    os.kill(sandbox.info.pid, signal.SIGKILL)
    os.waitpid(sandbox.info.pid, 0)

    assert "left over" in run_command("sandbox", "status", "--state", sandbox.state_dir).output
    removed = run_command("sandbox", "down", "--state", sandbox.state_dir).output
    assert f"left by the sandbox of {sandbox.state_dir}" in removed
    assert on_this_machine(sandbox.state_dir) == ([], False, [], [])
