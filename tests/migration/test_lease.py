"""The lease through the command line: shown, refused, taken over, recorded in the new run."""

from __future__ import annotations

import json

import pytest

from tests.lease_places import OtherProcess, write_parameters
from tests.migration.conftest import run_command
from tests.world_picture import unchanged

pytestmark = pytest.mark.slow
KILLED = "20260101T000000Z-guestbook-0001"


@pytest.fixture(params=["file", "s3"])
def file(request, sandbox, tmp_path):
    """Return a parameters file whose lease is a file, or an object of a bucket."""
    if request.param == "file":
        return write_parameters(sandbox, tmp_path)
    sandbox.client("s3").create_bucket(Bucket="lease-archive")
    return write_parameters(sandbox, tmp_path, bucket="lease-archive", prefix=f"runs/{tmp_path.name}")


def events_of_newest(file):
    """Return the journal of the newest run."""
    folders = [path.parent for path in (file.parent / "runs").glob("*/journal.jsonl")]
    newest = max(folders, key=lambda folder: (folder / "journal.jsonl").stat().st_mtime)
    return [json.loads(line) for line in (newest / "journal.jsonl").read_text("utf-8").splitlines()]


def test_shown_refused_and_taken_over(sandbox, file):
    """A dead holder is shown, refuses others until somebody says why, and the new run's journal has it."""
    free = run_command("lease", "-f", file)
    assert (free.exit_code, "nobody holds it" in free.output) == (0, True), free.output
    holder = OtherProcess(file, KILLED)
    held = run_command("lease", "-f", file)
    assert held.exit_code == 3, held.output
    for text in (KILLED, f"process    {holder.process.pid} on ", "operator ", "since ", "heartbeat ", " s ago"):
        assert text in held.output
    with unchanged(sandbox, but=("/api/s3/", "/inside/aws/s3/")):  # the living holder's heartbeats
        alive = run_command("run", "00", "-f", file, "--execute", "--take-over", "I want it")
    assert (alive.exit_code, "cannot be taken over" in alive.output) == (3, True), alive.output
    holder.kill()

    with unchanged(sandbox):
        refused = run_command("run", "00", "-f", file, "--execute")
    assert refused.exit_code == 3, refused.output
    assert "--take-over REASON" in refused.output
    assert f"runbook status {KILLED}" in refused.output

    ended = run_command("run", "00", "-f", file, "--execute", "--take-over", "its host burned, CHG-2")
    assert ended.exit_code == 0, ended.output
    leases = [event for event in events_of_newest(file) if event["kind"] == "lease"]
    assert [(event["phase"], event.get("how")) for event in leases] == [
        ("taken-over", None),
        ("acquired", "taken over"),
    ]
    assert (leases[0]["reason"], leases[0]["previous"]["run_id"]) == ("its host burned, CHG-2", KILLED)
    assert run_command("lease", "-f", file).exit_code == 0


def test_taken_over_beforehand(file):
    """`runbook lease take-over` frees a dead lease without a run, once; the next run records it."""
    OtherProcess(file, KILLED).kill()
    assert run_command("lease", "take-over", "-f", file).exit_code == 2, "a reason is needed"
    ended = run_command("lease", "take-over", "-f", file, "--reason", "its host burned")
    assert (ended.exit_code, KILLED in ended.output) == (0, True), ended.output
    again = run_command("lease", "take-over", "-f", file, "--reason", "its host burned")
    assert (again.exit_code, "nothing was changed" in again.output) == (0, True), again.output
    shown = run_command("lease", "-f", file).output
    assert "its host burned" in shown


def test_a_run_that_was_refused_gives_the_volume_back(sandbox, file):
    """A kernel that ends because a check failed leaves the volume free for the next run."""
    wrong = file.read_text("utf-8").replace("mount_path: /srv/guestbook", "mount_path: /srv/nowhere")
    file.write_text(wrong, "utf-8")
    ended = run_command("run", "00", "-f", file, "--execute")
    assert (ended.exit_code, "volume.mount_path" in ended.output) == (3, True), ended.output
    lease = run_command("lease", "-f", file)
    assert (lease.exit_code, "it was given back" in lease.output) == (0, True), lease.output
