"""A service that is changed, every step of that struck: there, back, and taken back each time.

The changes are those of the storage driver (65, 66), of the machine image of the hosts (60), and of the container image
(61). What differs between them is in the classes of towns below `ChangingTown`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

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
COMPLETION = "complete-storage-driver"
FIRST_OF_CHANGE = next(case for case in CHANGES if case[0] == CHANGE)
GATE = "release-gate-after-change"


class ChangingTown(Town):
    """A sandbox whose service was migrated with REX-Ray, and the parameters of both drivers.

    Args:
        folder: Where its files may go.
    """

    there, back = THERE, BACK
    notebooks, cases = (PREPARATION, CHANGE), CHANGES
    first = "check-storage-driver"
    """The step up to which a run is opened."""
    planned = ("provision-storage-driver",)
    """Not performed anew once it was seen done: its plan takes Terraform seconds, and is empty then."""
    planning = (*planned, "withhold-volume")
    """Where these are struck, Terraform does its part of the way back; of the others it is done by hand."""
    completion = COMPLETION
    last_before_plan = "remove-former-hosts"
    """Before the plan that must be empty in the end, which is the same for every strike; one strike asks for it."""
    only = MappingProxyType({"withhold-volume": THERE, "hand-volume-over": THERE, "complete-storage-driver": BACK})
    """Steps that have something to do in one direction only: REX-Ray heeds no tag, and its hosts need no permission."""
    shown = MappingProxyType({**only, GATE: BACK})
    """Steps that are shown, and taken back, in the other direction: a host of `host_mount` has no gate."""
    needs_permissions = THERE
    registers = True
    """Whether a change makes another revision of the task definition."""

    def __init__(self, folder, driver="rexray"):
        super().__init__(folder, driver)
        self.prepared, self.made_by_hand = {}, False
        self.files = {self.back: self.parameters, self.there: folder / "there.yaml"}
        self.files[self.there].write_text(yaml.safe_dump({"migration": self.migration_there()}), "utf-8")

    @classmethod
    def after_plan(cls):
        """Return the ids of the steps before which what Terraform prepared was seen done."""
        steps = [step_id for _, step_id in cls.cases]
        return steps[steps.index(cls.planned[0]) + 2 :]

    @classmethod
    def both_ways(cls):
        """Return (kind, notebook, step id) of every step that is struck, there and back."""
        return [
            (kind, *case) for kind in (cls.there, cls.back) for case in cls.cases if cls.only.get(case[1], kind) == kind
        ]

    def dies_in_apply(self, step_id, strike):
        """Return whether Terraform is killed while it applies: then its provider must die with it."""
        return step_id in {*self.planned, self.completion} and strike == "killed in the act"

    def migration_there(self):
        """Return the parameters that the service is changed to."""
        other = Path(self.sandbox.parameters_path).with_name("parameters-host-mount.yaml")
        return self.migration | {"storage": yaml.safe_load(other.read_text("utf-8"))["migration"]["storage"]}

    def migrate(self):
        """Migrate, so that every case begins with a service on ECS.

        Terraform reads the volume only: where it owns it, each plan is validated twice.
        """
        self.provision()
        ended = self.drive_on(self.new_run(), SNAPSHOT, CUTOVER)
        assert ended.exit_code == 0, ended.output
        self.runs_on(self.back)

    def by_hand(self, kind, step_id=""):
        """Do Terraform's part of a change, unless a step of Terraform's is struck; return how to drive."""
        if step_id in self.planning or self.there not in self.prepared:
            return {}
        self.made_by_hand = True
        permits = kind == self.needs_permissions
        made = self.prepared[kind].again(with_permissions=permits, with_revision=self.registers)
        return {"prepared": made}

    def forget_completion(self):
        """Let a change there and back have just completed, but for the permissions that it takes from the hosts."""
        if self.made_by_hand:
            self.bring_to(self.back)
            self.there_and_back()
        self.prepared[self.there].permit()

    def goes_on_without(self, step_id):
        """Return whether a step goes on without the call that fails: without a gate, that only asks for a manifest."""
        no_gate = step_id == GATE and self.parameters == self.files[self.there]
        return no_gate or super().goes_on_without(step_id)

    def know_both(self):
        """Let Terraform prepare both once, unless a change there and back has done so."""
        if self.there not in self.prepared:
            self.there_and_back()

    def there_and_back(self):
        """Change there and back by Terraform."""
        self.change(self.there, until=self.last_before_plan)
        self.change(self.back)
        self.made_by_hand = False

    def begin(self, kind):
        """Open a run that changes to a kind; return its id."""
        return self.open(kind, self.notebooks[0], until=self.first)

    def open(self, kind, *notebooks, **how):
        """Perform notebooks in a new run with the parameters of a kind; return its id."""
        known = set(self.archive.iterdir())
        self.parameters = self.files[kind]
        ended = self.drive_on("", *notebooks, **how)
        assert ended.exit_code == 0, ended.output
        (folder,) = {path for path in set(self.archive.iterdir()) - known if (path / "journal.jsonl").exists()}
        self.run_id = folder.name
        return folder.name

    def definition(self):
        """Return the task definition that the service uses."""
        ecs = self.sandbox.client("ecs")
        (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
        return ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]

    def hosts_have(self, attribute):
        """Return the value that each host has of an attribute."""
        ecs = self.sandbox.client("ecs")
        arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
        hosts = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
        return [{a["name"]: a.get("value") for a in host["attributes"]}[attribute] for host in hosts]

    def kinds(self):
        """Return what the service is, and what each of its hosts is."""
        own = BACK if "dockerVolumeConfiguration" in self.definition()["volumes"][0] else THERE
        return own, self.hosts_have("runbook.storage")

    def runs_on(self, kind):
        """Check that the service is of a kind, on one host, and no acknowledged write is lost; return how many."""
        assert self.kinds() == (kind, [kind])
        where = self.where()
        assert (where["volume"], where["serving"]) == ("target", "ECS"), where
        self.prepared[kind] = Prepared(self.sandbox)
        self.has_one_writer()
        return self.has_every_write()

    def change(self, kind, **how):
        """Change to a kind in a new run, unstruck, all of it or until a step; return its id."""
        run_id = self.begin(kind)
        ended = self.drive_on(run_id, *self.notebooks, **how)
        assert ended.exit_code == 0, ended.output
        self.runs_on(kind)
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
        wait_until(lambda: len(self.kinds()[1]) == 1, "the drained host is gone")

    def bring_to(self, kind):
        """Bring the service to a kind where an earlier case left it elsewhere, or failed half-way."""
        if self.kinds() != (kind, [kind]):
            self.change(kind, until=self.last_before_plan, **self.by_hand(kind))


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
            for kind in (self.town.there, self.town.back):
                self._strike_all(kind)
            self.town.made_by_hand = False
        except Exception as error:  # noqa: BLE001 - every cell that was not reached tells it
            self.broken = f"at {self.at}: {type(error).__name__}: {error}"

    def _strike_all(self, kind):
        """Strike every step of the change to a kind, then run it to its end."""
        town = self.town
        run_id, reached = town.begin(kind), {}
        for notebook, step_id in town.cases:
            if town.only.get(step_id, kind) != kind:
                continue
            self.at, passed_over = (kind, step_id), town.planned if step_id in town.after_plan() else ()
            if (notebook, step_id) == FIRST_OF_CHANGE:
                ended = town.drive_on(run_id, PREPARATION, passed_over=town.planned)
                assert ended.exit_code == 0, ended.output
            left = town.strike(
                run_id, notebook, step_id=step_id, strike=self.strike, until=step_id,
                passed_over=passed_over, own_provider=town.dies_in_apply(step_id, self.strike),
            )  # fmt: skip
            reached[notebook, step_id] = Cell(left, len(town.steps(run_id)))
        last = town.last_before_plan if kind == town.there and self.strike != STRIKES[0] else ""
        ended = town.drive_on(run_id, town.notebooks[-1], until=last)
        assert ended.exit_code == 0, ended.output
        writes = town.runs_on(kind)
        for case, cell in reached.items():
            cell.resumed = town.resumed(run_id, case[1], cell.since)
            cell.writes = writes
            self.cells[kind, *case] = cell

    def check_resumed(self, kind, notebook, step_id):
        """Check that a step was struck, that running its notebook again mended it, and that nothing was lost."""
        if (kind, notebook, step_id) not in self.cells:
            pytest.fail(f"not reached: {self.broken}")
        cell = self.cells[kind, notebook, step_id]
        assert (bool(cell.resumed), cell.writes > 0) == (True, True), self.broken
        if kind == self.town.shown.get(step_id, self.town.there):
            note("resume", notebook, step_id, self.strike, left=cell.left, then=cell.resumed)


def check_taken_back(town, notebook, step_id, strike):
    """Strike a step of a change, then change back with the former parameters; say what that did."""
    kind = town.shown.get(step_id, town.there)
    former = town.back if kind == town.there else town.there
    town.take_lease_over()  # where an earlier case failed: it shall not take the others with it
    town.know_both()
    if step_id == town.completion:
        town.forget_completion()
        notebooks, how = town.notebooks[-1:], {}
    else:
        town.bring_to(former)
        notebooks, how = town.notebooks[: 1 + town.notebooks.index(notebook)], town.by_hand(kind, step_id)
    run_id = town.begin(kind)
    left = town.strike(
        run_id, *notebooks, step_id=step_id, strike=strike, until=step_id,
        own_provider=town.dies_in_apply(step_id, strike), **how,
    )  # fmt: skip
    if strike in KILLED:
        town.take_lease_over()
    until = "" if step_id in town.planning else town.last_before_plan
    back = town.change(former, until=until, **town.by_hand(former, step_id))
    acted = {step["step_id"] for step in town.steps(back) if step["status"] == "succeeded"}
    done = [one for _, one in town.cases if one in acted]
    then = ", ".join(f"`{one}`" for one in done) or "finds nothing to take back"
    note("roll back", notebook, step_id, strike, left=left, then=f"the former parameters: {then}")
