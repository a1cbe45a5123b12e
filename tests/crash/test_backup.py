"""A backup with its drill in which every step is struck, in each way: it goes on, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import dataclass, field

import pytest

from tests.crash.journey import Cell
from tests.crash.strikes import BACKUP, BACKUPS, STRIKES, names
from tests.crash.town import note
from tests.drift.conftest import Estate

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module", params=["rexray", "host_mount"])
def estate(request, tmp_path_factory):
    """Return a migrated service with a storage driver."""
    made = Estate(tmp_path_factory.mktemp("estate"), request.param)
    try:
        made.migrate()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", params=STRIKES)
def backup(request, estate):
    """Return a backup in which every step was struck in one way."""
    made = Backup(estate, request.param)
    made.drive()
    return made


@dataclass
class Backup:
    """A backup in which every step is struck in one way; each next strike's run is the former's resume.

    Args:
        town: Where.
        strike: In which way.
    """

    town: Estate
    strike: str
    cells: dict = field(default_factory=dict)
    broken: str = ""

    def drive(self):
        """Drive it to its end, or until something is not as it must be; the cells show which."""
        town, at = self.town, None
        try:
            run_id = town.new_run()
            for at in BACKUPS:
                left = town.strike(run_id, BACKUP, step_id=at[1], strike=self.strike, until=at[1])
                self.cells[at] = Cell(left, len(town.steps(run_id)))
            ended = town.drive_on(run_id, BACKUP)
            assert ended.exit_code == 0, ended.output
            assert remains(town) == {"copies": [], "tasks": 1, "definitions": []}
            assert proved(town, run_id)
            writes = town.has_every_write()
            for (notebook, step_id), cell in self.cells.items():
                cell.resumed = town.resumed(run_id, step_id, cell.since)
                cell.writes = writes
                if town.storage_driver == "rexray":
                    note("resume", notebook, step_id, self.strike, left=cell.left, then=cell.resumed)
        except Exception as error:  # noqa: BLE001 - every cell that was not reached tells it
            self.broken = f"at {at}: {type(error).__name__}: {error}"


def remains(town):
    """Return what a drill could have left: copies, tasks of the cluster, active definitions of drills."""
    volumes = town.ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": ["runbook:drill"]}])["Volumes"]
    active = town.ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    return {
        "copies": [one["VolumeId"] for one in volumes if one["State"] not in {"deleting", "deleted"}],
        "tasks": len(town.ecs.list_tasks(cluster="guestbook")["taskArns"]),
        "definitions": [arn for arn in active if "drill" in arn],
    }


def proved(town, run_id):
    """Return the backup of a run that carries the mark of a passed drill."""
    tags = {"runbook:run-id": run_id, "runbook:drill": "passed", "runbook:consistency": "freeze"}
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    return town.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]


@pytest.mark.parametrize(("notebook", "step_id"), BACKUPS, ids=names(BACKUPS))
def test_every_step_of_a_backup_goes_on(backup, notebook, step_id):
    """Struck, the notebook run again: the backup is taken and restored once, nothing is left, every write is there."""
    assert (notebook, step_id) in backup.cells, backup.broken
    cell = backup.cells[notebook, step_id]
    assert (bool(cell.resumed), cell.writes > 0) == (True, True), backup.broken


def test_what_is_backed_up_is_what_is_there(estate):
    """`stop` and `crash` as well: the drill passes, the outage is measured where there was one."""
    for mode in ("stop", "crash"):
        kept = estate.parameters.read_text("utf-8")
        estate.parameters.write_text(
            kept.replace("policy:", f"policy:\n    backup: {{consistency: {mode}}}", 1), "utf-8"
        )
        ended, run_id = estate.begin(BACKUP)
        estate.parameters.write_text(kept, "utf-8")
        assert ended.exit_code == 0, ended.output
        taken = [event for event in estate.events(run_id, "backup") if event["phase"] == "taken"][-1]
        assert taken["consistency"] == mode
        outages = [event["phase"] for event in estate.events(run_id, "outage")]
        assert outages[-2:] == (["started", "ended"] if mode == "stop" else outages[-2:])
        assert remains(estate)["copies"] == []
        estate.has_every_write()


def test_a_thaw_that_came_too_late_is_told(estate):
    """The watchdog came first: the snapshot says crash, the step fails, writes went on, and the run can be resumed."""
    slow = {"name": "slow-api", "operation": "CreateSnapshot", "seconds": 5, "times": 1}
    kept = estate.parameters.read_text("utf-8")
    estate.parameters.write_text(kept.replace("policy:", "policy:\n    backup: {freeze_limit_s: 3}", 1), "utf-8")
    with estate.fault(slow.pop("name"), **slow):
        ended, run_id = estate.begin(BACKUP)
    assert ended.exit_code == 4, ended.output
    assert "backup-consistency: expected freeze, observed crash" in ended.output
    estate.has_every_write()
    ended = estate.drive_on(run_id, BACKUP)
    estate.parameters.write_text(kept, "utf-8")
    assert ended.exit_code == 0, ended.output
    found = json.loads((estate.archive / run_id / "evidence" / "production-before-drill.json").read_text("utf-8"))
    assert found["desired_count"] == 1


def test_writes_go_on_although_whoever_froze_was_killed(estate, wait_until):
    """Killed between freeze and thaw: the watchdog on the host thaws, the client writes, and the run can go on."""
    known, limit = set(estate.archive.iterdir()), "policy:\n    backup: {freeze_limit_s: 4}"
    kept = estate.parameters.read_text("utf-8")
    estate.parameters.write_text(kept.replace("policy:", limit, 1), "utf-8")
    with estate.fault("slow-api", operation="CreateSnapshot", seconds=8, times=1):
        running = threading.Thread(target=estate.drive, args=("", BACKUP))
        running.start()
        new = lambda: [p.parent.name for p in estate.archive.glob("*/journal.jsonl") if p.parent not in known]  # noqa: E731
        (run_id,) = wait_until(new, "a run begins", 60)
        scripts = lambda: [event["script"] for event in estate.events(run_id, "host-command")]  # noqa: E731
        wait_until(lambda: "freeze_volume" in scripts(), "the filesystem is frozen", 60)
        os.killpg(estate.events(run_id, "lease")[-1]["holder"]["pid"], signal.SIGKILL)
        running.join()
    assert "thaw_volume" not in scripts()
    facts = estate.sandbox.control("GET", "/_sandbox/client")
    wait_until(
        lambda: estate.sandbox.control("GET", "/_sandbox/client")["acknowledged"] > facts["acknowledged"] + 5,
        "the client writes again",
    )
    estate.has_every_write()
    ended = estate.drive_on(run_id, BACKUP)
    estate.parameters.write_text(kept, "utf-8")
    assert ended.exit_code == 0, ended.output
    assert proved(estate, run_id)


def test_expired_backups_go_and_nothing_else(estate):
    """Of the backups only the newest stays; a snapshot that somebody else made of the volume is left alone."""
    foreign = estate.ec2.create_snapshot(VolumeId=estate.volume_id)["SnapshotId"]
    of_volume = [{"Name": "volume-id", "Values": [estate.volume_id]}]
    listed = lambda: estate.ec2.describe_snapshots(OwnerIds=["self"], Filters=of_volume)["Snapshots"]  # noqa: E731
    tagged = lambda: {s["SnapshotId"] for s in listed() if "runbook:backup" in {t["Key"] for t in s.get("Tags", [])}}  # noqa: E731
    before = {snapshot["SnapshotId"] for snapshot in listed()}
    backups = tagged()
    assert backups
    kept = estate.parameters.read_text("utf-8")
    policy = "policy:\n    backup: {keep_last: 1, keep_days: 0, delete_expired: true}"
    estate.parameters.write_text(kept.replace("policy:", policy, 1), "utf-8")
    ended, run_id = estate.begin(BACKUP)
    estate.parameters.write_text(kept, "utf-8")
    assert ended.exit_code == 0, ended.output
    (newest,) = proved(estate, run_id)
    assert tagged() == {newest["SnapshotId"]}
    assert {snapshot["SnapshotId"] for snapshot in listed()} == before - backups | {newest["SnapshotId"]}
    assert foreign in before - backups
