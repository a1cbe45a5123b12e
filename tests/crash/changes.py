"""A service that changes its storage driver, every step of that struck: there, back, and taken back each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib.cli import main
from tests.crash.by_hand import Prepared
from tests.crash.journey import Cell
from tests.crash.source import wait_until
from tests.crash.strikes import CHANGE, CHANGES, CUTOVER, KILLED, PREPARATION, SNAPSHOT, STRIKES
from tests.crash.town import Town, note

THERE, BACK = "host_mount", "rexray"
PLANNED = ("provision-storage-driver",)
"""Not performed anew once it was seen done: its plan takes Terraform seconds, and is empty then."""
COMPLETION = "complete-storage-driver"
PLANNING = (*PLANNED, "withhold-volume")
"""Where these are struck, Terraform does its part of the way back; of the others it is done by hand."""
LAST_BEFORE_PLAN = "remove-former-hosts"
"""Before the plan that must be empty in the end, which is the same for every strike; one strike asks for it."""
FIRST_OF_CHANGE = next(case for case in CHANGES if case[0] == CHANGE)
AFTER_PLAN = [step_id for _, step_id in CHANGES[3:]]
ONLY = {"withhold-volume": THERE, "hand-volume-over": THERE, "complete-storage-driver": BACK}
"""Steps that have something to do in one direction only: REX-Ray heeds no tag, and its hosts need no permission."""
GATE = "release-gate-after-change"
SHOWN = ONLY | {GATE: BACK}
"""Steps that are shown, and taken back, in the other direction: a host of `host_mount` has no gate."""


class ChangingTown(Town):
    """A sandbox whose service was migrated with REX-Ray, and the parameters of both drivers.

    Args:
        folder: Where its files may go.
    """

    def __init__(self, folder):
        super().__init__(folder)
        self.prepared, self.made_by_hand = {}, False
        self.files = {BACK: self.parameters, THERE: folder / "host_mount.yaml"}
        other = Path(self.sandbox.parameters_path).with_name("parameters-host-mount.yaml")
        storage = yaml.safe_load(other.read_text("utf-8"))["migration"]["storage"]
        self.files[THERE].write_text(yaml.safe_dump({"migration": self.migration | {"storage": storage}}), "utf-8")

    def migrate(self):
        """Migrate, so that every case begins with a service on ECS.

        Terraform reads the volume only: where it owns it, each plan is validated twice.
        """
        self.provision()
        ended = self.drive_on(self.new_run(), SNAPSHOT, CUTOVER)
        assert ended.exit_code == 0, ended.output
        self.runs_on(BACK)

    def by_hand(self, driver, step_id=""):
        """Do Terraform's part of a change to a driver, unless a step of Terraform's is struck; return how to drive."""
        if step_id in PLANNING or THERE not in self.prepared:
            return {}
        self.made_by_hand = True
        return {"prepared": self.prepared[driver].again(with_permissions=driver == THERE)}

    def forget_completion(self):
        """Let a change there and back have just completed, but for the permissions that it takes from the hosts."""
        if self.made_by_hand:
            self.bring_to(BACK)
            self.there_and_back()
        self.prepared[THERE].permit()

    def goes_on_without(self, step_id):
        """Return whether a step goes on without the call that fails: without a gate, that only asks for a manifest."""
        no_gate = step_id == GATE and self.parameters == self.files[THERE]
        return no_gate or super().goes_on_without(step_id)

    def know_both(self):
        """Let Terraform prepare both drivers once, unless a change there and back has done so."""
        if THERE not in self.prepared:
            self.there_and_back()

    def there_and_back(self):
        """Change there and back by Terraform."""
        self.change(THERE, until=LAST_BEFORE_PLAN)
        self.change(BACK)
        self.made_by_hand = False

    def begin(self, driver):
        """Open a run that changes to a driver; return its id."""
        return self.open(driver, PREPARATION, until="check-storage-driver")

    def open(self, driver, *notebooks, **how):
        """Perform notebooks in a new run with the parameters of a driver; return its id."""
        known = set(self.archive.iterdir())
        self.parameters = self.files[driver]
        ended = self.drive_on("", *notebooks, **how)
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
        self.prepared[driver] = Prepared(self.sandbox)
        self.has_one_writer()
        return self.has_every_write()

    def change(self, driver, **how):
        """Change to a driver in a new run, unstruck, all of it or until a step; return its id."""
        run_id = self.begin(driver)
        ended = self.drive_on(run_id, PREPARATION, CHANGE, **how)
        assert ended.exit_code == 0, ended.output
        self.runs_on(driver)
        return run_id

    def take_lease_over(self):
        """Say on record that the run that was killed is gone: another run may act only then."""
        words = ("lease", "take-over", "-f", str(self.parameters), "--reason", "its process was killed")
        ended = CliRunner().invoke(main, words)
        assert ended.exit_code == 0, ended.output

    def remove_draining_hosts(self):
        """End the hosts that an interrupted change left draining, the group wanting as many fewer, as operators do."""
        ecs, group = self.sandbox.client("ecs"), self.sandbox.client("autoscaling")
        arns = ecs.list_container_instances(cluster="guestbook", status="DRAINING")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        for host in hosts:
            group.terminate_instance_in_auto_scaling_group(
                InstanceId=host["ec2InstanceId"], ShouldDecrementDesiredCapacity=True
            )
        wait_until(lambda: len(self.driver()[1]) == 1, "the drained host is gone")

    def bring_to(self, driver):
        """Bring the service to a driver where an earlier case left it elsewhere, or failed half-way."""
        if self.driver() != (driver, [driver]):
            self.change(driver, until=LAST_BEFORE_PLAN, **self.by_hand(driver))


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
    at: tuple = ()
    broken: str = ""

    def drive(self):
        """Drive it to its end, or until something is not as it must be; the cells show which."""
        try:
            for driver in (THERE, BACK):
                self._strike_all(driver)
            self.town.made_by_hand = False
        except Exception as error:  # noqa: BLE001 - every cell that was not reached tells it
            self.broken = f"at {self.at}: {type(error).__name__}: {error}"

    def _strike_all(self, driver):
        """Strike every step of the change to a driver, then run it to its end."""
        run_id, reached = self.town.begin(driver), {}
        for notebook, step_id in CHANGES:
            if ONLY.get(step_id, driver) != driver:
                continue
            self.at, planned = (driver, step_id), step_id in AFTER_PLAN
            if (notebook, step_id) == FIRST_OF_CHANGE:
                ended = self.town.drive_on(run_id, PREPARATION, passed_over=PLANNED)
                assert ended.exit_code == 0, ended.output
            left = self.town.strike(
                run_id, notebook, step_id=step_id, strike=self.strike, until=step_id,
                passed_over=PLANNED if planned else (), own_provider=dies_in_apply(step_id, self.strike),
            )  # fmt: skip
            reached[notebook, step_id] = Cell(left, len(self.town.steps(run_id)))
        last = LAST_BEFORE_PLAN if driver == THERE and self.strike != STRIKES[0] else ""
        ended = self.town.drive_on(run_id, CHANGE, until=last)
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
        if driver == SHOWN.get(step_id, THERE):
            note("resume", notebook, step_id, self.strike, left=cell.left, then=cell.resumed)


def dies_in_apply(step_id, strike):
    """Return whether Terraform is killed while it applies: then its provider must die with it."""
    return step_id in {*PLANNED, COMPLETION} and strike == "killed in the act"


def check_taken_back(town, notebook, step_id, strike):
    """Strike a step of a change, then change back with the former parameters; say what that did."""
    driver = SHOWN.get(step_id, THERE)
    former = BACK if driver == THERE else THERE
    town.take_lease_over()  # where an earlier case failed: it shall not take the others with it
    town.know_both()
    if step_id == COMPLETION:
        town.forget_completion()
        notebooks, how = (CHANGE,), {}
    else:
        town.bring_to(former)
        notebooks, how = (PREPARATION, CHANGE)[: 1 + (notebook == CHANGE)], town.by_hand(driver, step_id)
    run_id = town.begin(driver)
    left = town.strike(
        run_id, *notebooks, step_id=step_id, strike=strike, until=step_id,
        own_provider=dies_in_apply(step_id, strike), **how,
    )  # fmt: skip
    if strike in KILLED:
        town.take_lease_over()
    back = town.change(former, until="" if step_id in PLANNING else LAST_BEFORE_PLAN, **town.by_hand(former, step_id))
    acted = {step["step_id"] for step in town.steps(back) if step["status"] == "succeeded"}
    done = [one for _, one in CHANGES if one in acted]
    then = ", ".join(f"`{one}`" for one in done) or "finds nothing to take back"
    note("roll back", notebook, step_id, strike, left=left, then=f"the former parameters: {then}")
