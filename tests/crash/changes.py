"""A service that changes its storage driver, every step of that struck: there, back, and taken back each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.crash.journey import Cell
from tests.crash.strikes import ADOPTION, CHANGE, CHANGES, CUTOVER, KILLED, PREPARATION, SNAPSHOT
from tests.crash.town import Town, note
from tests.migration.conftest import run_command

THERE, BACK = "host_mount", "rexray"
ONLY = {"withhold-volume": THERE, "hand-volume-over": THERE, "complete-storage-driver": BACK}
"""Steps that have something to do in one direction only: REX-Ray heeds no tag, and its hosts need no permission."""


class ChangingTown(Town):
    """A sandbox whose service was migrated with REX-Ray, and the parameters of both drivers.

    Args:
        folder: Where its files may go.
    """

    def __init__(self, folder):
        super().__init__(folder)
        self.files = {BACK: self.parameters, THERE: folder / "host_mount.yaml"}
        other = Path(self.sandbox.parameters_path).with_name("parameters-host-mount.yaml")
        storage = yaml.safe_load(other.read_text("utf-8"))["migration"]["storage"]
        self.files[THERE].write_text(yaml.safe_dump({"migration": self.migration | {"storage": storage}}), "utf-8")

    def migrate(self):
        """Migrate, so that every case begins with a service on ECS."""
        self.provision()
        ended = self.drive_on(self.new_run(), SNAPSHOT, CUTOVER, ADOPTION)
        assert ended.exit_code == 0, ended.output
        self.has_every_write()

    def begin(self, driver):
        """Open a run that changes to a driver; return its id."""
        known = set(self.archive.iterdir())
        self.parameters = self.files[driver]
        ended = self.drive_on("", PREPARATION, until="check-storage-driver")
        assert ended.exit_code == 0, ended.output
        (folder,) = {path for path in set(self.archive.iterdir()) - known if (path / "journal.jsonl").exists()}
        self.run_id = folder.name
        return folder.name

    def driver(self):
        """Return the driver of the task definition that the service uses, and those of its hosts."""
        ecs = self.sandbox.client("ecs")
        (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        storage = [{a["name"]: a.get("value") for a in host["attributes"]}["runbook.storage"] for host in hosts]
        return BACK if "dockerVolumeConfiguration" in definition["volumes"][0] else THERE, storage

    def runs_on(self, driver):
        """Check that the service runs on a driver, alone, and nothing acknowledged is lost; return how many writes."""
        assert self.driver() == (driver, [driver])
        where = self.where()
        assert (where["volume"], where["serving"]) == ("target", "ECS"), where
        self.has_one_writer()
        return self.has_every_write()

    def change(self, driver):
        """Change to a driver in a new run, unstruck; return its id."""
        run_id = self.begin(driver)
        ended = self.drive_on(run_id, PREPARATION, CHANGE)
        assert ended.exit_code == 0, ended.output
        self.runs_on(driver)
        return run_id


@dataclass
class Change:
    """A change there and back in which every step is struck in one way.

    Args:
        town: Where.
        strike: In which way.
    """

    town: ChangingTown
    strike: str
    cells: dict = field(default_factory=dict)
    broken: str = ""

    def drive(self):
        """Drive it to its end, or until something is not as it must be; the cells show which."""
        try:
            for driver in (THERE, BACK):
                self._strike_all(driver)
        except Exception as error:  # noqa: BLE001 - every cell that was not reached tells it
            self.broken = f"after {list(self.cells)[-1:]}: {type(error).__name__}: {error}"

    def _strike_all(self, driver):
        """Strike every step of the change to a driver, then run it to its end."""
        run_id, reached = self.town.begin(driver), {}
        for notebook, step_id in CHANGES:
            if ONLY.get(step_id, driver) != driver:
                continue
            if notebook == CHANGE and not any(case[0] == CHANGE for case in reached):
                ended = self.town.drive_on(run_id, PREPARATION)
                assert ended.exit_code == 0, ended.output
            left = self.town.strike(run_id, notebook, step_id=step_id, strike=self.strike, until=step_id)
            reached[notebook, step_id] = Cell(left, len(self.town.steps(run_id)))
        ended = self.town.drive_on(run_id, CHANGE)
        assert ended.exit_code == 0, ended.output
        writes = self.town.runs_on(driver)
        for case, cell in reached.items():
            cell.resumed = self.town.resumed(run_id, case[1], cell.since)
            cell.writes = writes
            self.cells[driver, *case] = cell

    def check_resumed(self, driver, notebook, step_id):
        """Check that a step was struck, that running its notebook again mended it, and that nothing was lost."""
        if (driver, notebook, step_id) not in self.cells:
            pytest.fail(f"not reached: {self.broken}")
        cell = self.cells[driver, notebook, step_id]
        assert (bool(cell.resumed), cell.writes > 0) == (True, True), self.broken
        if driver == ONLY.get(step_id, THERE):
            note("resume", notebook, step_id, self.strike, left=cell.left, then=cell.resumed)


def check_taken_back(town, notebook, step_id, strike):
    """Strike a step of a change, then change back with the former parameters; say what that did."""
    driver = ONLY.get(step_id, THERE)
    former = BACK if driver == THERE else THERE
    if town.driver()[0] != former:
        town.change(former)
    run_id = town.begin(driver)
    left = town.strike(run_id, PREPARATION, *((CHANGE,) if notebook == CHANGE else ()), step_id=step_id, strike=strike)
    if strike in KILLED:  # another run may act only when somebody says on record that the dead one is gone
        ended = run_command("lease", "take-over", "-f", town.files[former], "--reason", "its process was killed")
        assert ended.exit_code == 0, ended.output
    back = town.change(former)
    acted = {step["step_id"] for step in town.steps(back) if step["status"] == "succeeded"}
    done = [one for _, one in CHANGES if one in acted]
    then = ", ".join(f"`{one}`" for one in done) or "finds nothing to take back"
    note("roll back", notebook, step_id, strike, left=left, then=f"the former parameters: {then}")
