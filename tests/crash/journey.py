"""One migration and its way back in which every step is struck once, in the same way.

The next strike's run is the former's resume: what was done is skipped, so a strike that hits shows that the one before
was mended. Before the outage begins, the way back is driven after every strike as well; then the migration goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.crash.source import revive_source
from tests.crash.strikes import (
    BEFORE_OUTAGE,
    CUTOVER,
    PERSISTENCE,
    REHEARSAL,
    RETIREMENT,
    STRIKES,
    going_on,
)

CLONE_TAG = "runbook-rehearsal"


@dataclass
class Cell:
    """What was seen of one step that was struck.

    Args:
        left: What the strike left behind, in words.
        since: How many steps the journal had then.
        resumed: What became of it when the notebook was run again.
        undone: What the way back did, where it was driven right after the strike.
        writes: How many acknowledged writes were all there in the end.
    """

    left: str
    since: int
    resumed: str = ""
    undone: str = ""
    writes: int = -1


@dataclass
class Journey:
    """A migration in which every step is struck in one way.

    Args:
        town: Where.
        strike: In which way.
    """

    town: object
    strike: str
    cells: dict = field(default_factory=dict)
    broken: str = ""

    def drive(self):
        """Drive it to its end, or until something is not as it must be; the cells show which."""
        self.run_id = self.town.new_run()
        at = None
        try:
            for at in dict.fromkeys(notebook for notebook, _ in self._cases()):
                self._strike_all(at)
            self.town.is_back()
        except Exception as error:  # noqa: BLE001 - every cell that was not reached tells it
            self.broken = f"{at} after {list(self.cells)[-1:]}: {type(error).__name__}: {error}"

    def _cases(self):
        """Return (notebook, step id) of every step that is struck."""
        return going_on(self.town.storage_driver)

    def _strike_all(self, notebook):
        """Strike every step of a notebook, then run it to its end."""
        steps = [step_id for name, step_id in self._cases() if name == notebook]
        for step_id in steps:
            left = self.town.strike(
                self.run_id,
                notebook,
                step_id=step_id,
                strike=self.strike,
                until=step_id,
                hold=(notebook, step_id) == (CUTOVER, steps[0]),
            )
            cell = Cell(left, len(self.town.steps(self.run_id)))
            if (notebook, step_id) in BEFORE_OUTAGE:
                cell.undone = self.town.roll_back(self.run_id)
            self.cells[notebook, step_id] = cell
        # the plan that must be empty at the end of 40 takes Terraform seconds and is the same for every strike
        ended = self.town.drive_on(
            self.run_id, notebook, until=steps[-1] if notebook == PERSISTENCE and self.strike != STRIKES[0] else ""
        )
        assert ended.exit_code == 0, ended.output
        if notebook == REHEARSAL:
            assert self._clones() == [], "the rehearsal left a clone behind"
        if notebook == RETIREMENT:
            revive_source(self.town)
        writes = self.town.has_every_write()
        for step_id in steps:
            cell = self.cells[notebook, step_id]
            cell.resumed = self.town.resumed(self.run_id, step_id, cell.since)
            cell.writes = writes

    def _clones(self):
        """Return the clones of rehearsals that are there."""
        found = self.town.sandbox.client("ec2").describe_volumes(Filters=[{"Name": "tag-key", "Values": [CLONE_TAG]}])
        return [v["VolumeId"] for v in found["Volumes"] if v["State"] not in {"deleting", "deleted"}]

    def check_resumed(self, notebook, step_id):
        """Check that a step was struck, that running its notebook again mended it, and that nothing was lost."""
        cell = self._cell(notebook, step_id)
        assert cell.resumed, self.broken
        assert cell.writes > 0
        self.town.note("resume", notebook, step_id, self.strike, left=cell.left, then=cell.resumed)

    def check_undone(self, notebook, step_id):
        """Check that after the strike the way back led back; the migration went on afterwards."""
        cell = self._cell(notebook, step_id)
        assert cell.undone, self.broken
        self.town.note("roll back", notebook, step_id, self.strike, left=cell.left, then=cell.undone)

    def _cell(self, notebook, step_id):
        if (notebook, step_id) not in self.cells:
            pytest.fail(f"not reached: {self.broken}")
        return self.cells[notebook, step_id]
