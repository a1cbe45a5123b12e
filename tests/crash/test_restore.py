"""A restore in which every step is struck, in each way: it goes on, and every state of it can be given up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib.adapters.clock import Clock
from runbook_lib.cli import main
from runbook_lib.journal import Journal
from tests.acknowledged import lost
from tests.crash.journey import Cell
from tests.crash.strikes import ADOPTION, BACKUP, RESTORE, RESTORES, STRIKES, changing_steps, names
from tests.crash.town import note
from tests.drift.conftest import Estate

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(3000)]
PLAN, COMPLETION = "provision-for-restore", "complete-restore"
ONLY = {
    "change-task-definition-for-restore": "host_mount",
    "release-gate-after-restore": "rexray",
    "forget-former-volume": "rexray",
    "adopt-restored-volume": "rexray",
}
"""Steps for one driver only: REX-Ray's task names no volume id, and only there Terraform owns the volume."""
GIVEN_UP_AFTER = (
    "create-restored-volume", "prove-restored-volume", PLAN, "launch-host-for-restore", "stop-service-for-restore",
    "put-volume-aside", "hand-restored-volume-over", "verify-before-restored-start", "start-restored-service",
)  # fmt: skip


class RestoringEstate(Estate):
    """A migrated service with one backup, whose volume is exchanged again and again.

    Args:
        folder: Where its files may go.
        driver: The storage driver.
    """

    def prepare(self):
        """Migrate, let Terraform own the volume where the driver is REX-Ray, and back up."""
        self.migrate()
        if self.storage_driver == "rexray":
            ended = self.drive_on(self.run_id, ADOPTION)
            assert ended.exit_code == 0, ended.output
        ended, run_id = self.begin(BACKUP)
        assert ended.exit_code == 0, ended.output
        self.first_volume_id = self.volume_id
        self.backup = [e for e in self.events(run_id, "backup") if e["phase"] == "taken"][-1]["snapshot_id"]

    def open_restore(self, source):
        """Open a run that was asked to restore something, the loss accepted; return its id."""
        known = set(self.archive.iterdir())
        self.drive("", RESTORE, until="check-restore")  # refused: nobody has said yet what to restore
        (folder,) = {path for path in set(self.archive.iterdir()) - known if (path / "journal.jsonl").exists()}
        asked = {"phase": "requested", "source": source, "accepts_since": "2020-01-01T00:00:00+00:00"}
        Journal(folder, Clock().now_utc).append("restore", operator="test", reason="test", **asked)
        return folder.name

    def use(self, run_id):
        """Go on with the parameters that a restore wrote."""
        document = yaml.safe_load((self.archive / run_id / "next-parameters.yaml").read_text("utf-8"))
        self.migration = document["migration"]
        self.parameters.write_text(yaml.safe_dump(document), "utf-8")
        self.volume_id = self.migration["volume"]["volume_id"]

    def take_lease_over(self):
        """Say on record that the run that was killed is gone, for the volume of the parameters in use."""
        words = ("lease", "take-over", "-f", str(self.parameters), "--reason", "its process was killed")
        ended = CliRunner().invoke(main, words)
        assert ended.exit_code == 0, ended.output

    def is_served_from(self, volume_id):
        """Check that one host, set up for a volume, has it, and that the service runs there."""
        where = self.where()
        assert (where["volume"], where["serving"], where["name"]) == ("target", "ECS", "guestbook-data"), where
        ecs = self.sandbox.client("ecs")
        arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        own = [{a["name"]: a.get("value") for a in host["attributes"]}["runbook.volume"] for host in hosts]
        assert (own, self.volume_id) == ([volume_id], volume_id)
        self.has_one_writer()

    def go_back(self):
        """Bring the first volume back, and check that it has every write that it ever had."""
        run_id = self.open_restore(self.first_volume_id)
        ended = self.drive_on(run_id, RESTORE)
        assert ended.exit_code == 0, ended.output
        self.use(run_id)
        self.is_served_from(self.first_volume_id)


@pytest.fixture(scope="module", params=["rexray", "host_mount"])
def estate(request, tmp_path_factory):
    """Return a migrated service with a backup."""
    made = RestoringEstate(tmp_path_factory.mktemp("estate"), request.param)
    try:
        made.prepare()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", params=STRIKES)
def restore(request, estate):
    """Return a restore in which every step was struck in one way, and which was taken back afterwards."""
    made = Restore(estate, request.param)
    made.drive()
    return made


@dataclass
class Restore:
    """A restore in which every step is struck in one way; each next strike's run is the former's resume.

    Args:
        town: Where.
        strike: In which way.
    """

    town: RestoringEstate
    strike: str
    cells: dict = field(default_factory=dict)
    broken: str = ""

    def drive(self):
        """Drive it to its end and back, or until something is not as it must be; the cells show which."""
        town, at = self.town, None
        try:
            run_id = town.open_restore(town.backup)
            for at in RESTORES:
                if ONLY.get(at[1], town.storage_driver) != town.storage_driver:
                    continue
                left = town.strike(
                    run_id, RESTORE, step_id=at[1], strike=self.strike, until=at[1],
                    passed_over=passed_over(at[1]), own_provider=dies_in_apply(at[1], self.strike),
                )  # fmt: skip
                self.cells[at] = Cell(left, len(town.steps(run_id)))
            ended = town.drive_on(run_id, RESTORE)
            assert ended.exit_code == 0, ended.output
            town.use(run_id)
            town.is_served_from(town.volume_id)
            at = "the way back"
            town.go_back()
            for (notebook, step_id), cell in self.cells.items():
                cell.resumed = town.resumed(run_id, step_id, cell.since)
                if ONLY.get(step_id, "rexray") == town.storage_driver:
                    note("resume", notebook, step_id, self.strike, left=cell.left, then=cell.resumed)
        except Exception as error:  # noqa: BLE001 - every cell that was not reached tells it
            self.broken = f"at {at}: {type(error).__name__}: {error}"


def passed_over(step_id):
    """Return what is not performed anew before a step: the plan, once it was seen done, takes Terraform seconds.

    Nor before the completion: once the hosts of the former volume are gone, the plan would complete the restore itself.
    """
    steps = changing_steps(RESTORE)
    return (PLAN,) if steps.index(PLAN) + 1 < steps.index(step_id) <= steps.index(COMPLETION) else ()


def dies_in_apply(step_id, strike):
    """Return whether Terraform is killed while it applies: then its provider must die with it."""
    return step_id in {PLAN, COMPLETION, "adopt-restored-volume"} and strike == "killed in the act"


@pytest.mark.parametrize(("notebook", "step_id"), RESTORES, ids=names(RESTORES))
def test_every_step_of_a_restore_goes_on(restore, notebook, step_id):
    """Struck, the notebook run again: one volume was restored, served from, and given back."""
    if ONLY.get(step_id, restore.town.storage_driver) != restore.town.storage_driver:
        pytest.skip("has nothing to do with this storage driver")
    assert (notebook, step_id) in restore.cells, restore.broken
    assert restore.cells[notebook, step_id].resumed, restore.broken


@pytest.mark.parametrize("step_id", GIVEN_UP_AFTER)
def test_a_restore_can_be_given_up_at_any_moment(estate, step_id):
    """Killed right after an act, then the former volume asked for: it serves again with every write that it had."""
    estate.is_served_from(estate.first_volume_id)
    known = {one["id"] for one in lost(estate.sandbox)}  # written to a volume of an earlier test
    run_id = estate.open_restore(estate.backup)
    estate.strike(run_id, RESTORE, step_id=step_id, strike="killed after the act", until=step_id)
    estate.take_lease_over()
    estate.use(run_id)
    estate.take_lease_over()
    estate.go_back()
    gone = {one["id"] for one in lost(estate.sandbox)} - known
    assert not gone or step_id == GIVEN_UP_AFTER[-1], gone  # a restored volume that served keeps what it got
