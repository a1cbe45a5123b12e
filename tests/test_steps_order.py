"""Cells that are run one by one: which may run, and what the others are told."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest

import runbook_lib
from runbook_lib.errors import CheckError
from runbook_lib.journal import Journal
from runbook_lib.model import StepStatus
from runbook_lib.procedures import cut_over_volume, retire_source
from runbook_lib.steps import Step, verb
from runbook_lib.steps_order import refuse_out_of_order

EARLIER = ["look", "prepare"]
RUN_ID = "20261130T020456Z-wiki-55bd"


@pytest.fixture
def run(tmp_path):
    """Return a run that executes and has nothing but its journal."""
    journal = Journal(tmp_path / RUN_ID, lambda: dt.datetime.now(dt.UTC))
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    return SimpleNamespace(run_id=RUN_ID, journal=journal, execute=True, clock=clock, confirm_lease=lambda: None)


@pytest.fixture
def step():
    """Return a step that notes what was done with it."""
    done = []
    made = Step(
        "act", "30_cut_over_volume", "Act", observe=lambda _run: done.append("observed") or {}, plan=lambda _f: "x"
    )
    return made, done


def note(run, **states):
    for step_id, status in states.items():
        run.journal.append("step", step_id=step_id, status=status.value)


@pytest.mark.parametrize("state", [StepStatus.SUCCEEDED, StepStatus.SKIPPED])
def test_a_cell_runs_when_those_before_it_are_done(run, step, state):
    """Succeeded and skipped count as done; in which kernel it was makes no difference."""
    note(run, look=StepStatus.FAILED, prepare=StepStatus.SUCCEEDED)
    note(run, look=state)

    assert verb(step[0], EARLIER)(run).status is StepStatus.SUCCEEDED


@pytest.mark.parametrize("state", [StepStatus.FAILED, StepStatus.RUNNING, StepStatus.PLANNED])
def test_a_cell_says_which_cells_are_missing(run, step, state):
    """One that failed, was cut off or was only planned, and one that never ran, are named; nothing is looked at."""
    made, done = step
    note(run, prepare=state)

    with pytest.raises(CheckError) as refused:
        verb(made, EARLIER)(run)

    assert f"look (not run), prepare ({state.value}). Run these first, or 30_cut_over_volume" in str(refused.value)
    assert RUN_ID in str(refused.value)
    assert (refused.value.changed, done, run.journal.step_status("act")) == ("no", [], None)


def test_a_plan_counts_what_was_planned(run, step):
    """In a run that plans, a planned step is done."""
    run.execute = False
    note(run, look=StepStatus.PLANNED, prepare=StepStatus.SKIPPED)

    assert verb(step[0], EARLIER)(run).status is StepStatus.PLANNED


@pytest.mark.parametrize(
    ("name", "procedure"), [("stop_source_service", cut_over_volume), ("stop_source_instance", retire_source)]
)
def test_neither_an_outage_nor_the_end_begins_out_of_order(run, name, procedure):
    """The public verbs know their notebook: an outage or the point of no return needs every cell before it."""
    ids = [step.step_id for step in procedure.STEPS]
    before = ids[: ids.index(name.replace("_", "-"))]

    with pytest.raises(CheckError) as refused:
        getattr(runbook_lib, name)(run)

    assert before
    assert [step_id for step_id in before if f"{step_id} (not run)" not in str(refused.value)] == []


def test_the_first_cell_needs_nothing(run, step):
    """A notebook can always be begun."""
    refuse_out_of_order(step[0], [], run.journal, planned_counts=False)
