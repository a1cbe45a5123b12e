"""Running notebooks into a run folder: names, parameters, attempts, exit codes, and no kernel left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from runbook_lib.errors import ParameterError
from runbook_lib.execute import execute_notebooks
from runbook_lib.execute_names import MIGRATION, find_notebooks
from runbook_lib.journal import Journal
from tests.test_engine import NOTE_PID, is_alive, wait_until

PARAMETERS = 'parameters_file: str = ""  # file\nrun_id: str = ""\nreason: str = ""\nexecute: bool = False'
OPEN_JOURNAL = """\
from datetime import datetime, UTC
from pathlib import Path
from runbook_lib.journal import Journal
journal = Journal(Path(parameters_file).parent, lambda: datetime.now(UTC))
"""
FAIL_A_STEP = """\
journal.append("step", step_id="detach-volume", status="failed", error={"kind": "CheckError", "exit_code": 3})
raise RuntimeError("nothing changed")
"""
GO_BACK = """\
from runbook_lib.errors import RolledBackError
journal.append("step", step_id="detach-volume", status="failed", error={"kind": "CheckError", "exit_code": 3})
raise RolledBackError("detach-volume", "the service was taken back")
"""
SET_SUBREAPER = 36  # prctl(2): PR_SET_CHILD_SUBREAPER


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return an empty folder for notebooks."""
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


@pytest.fixture
def journal(tmp_path) -> Journal:
    """Return the journal of a new run, with a parameters file beside it."""
    journal = Journal(tmp_path / "runs" / "20260101T000000Z-x-0000", lambda: datetime.now(UTC))
    journal.write("parameters.yaml", "migration: {}\n")
    return journal


def write(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS) -> None:
    """Write a notebook with a parameters cell."""
    notebook = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    notebook.cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
    nbformat.write(notebook, folder / f"{name}.ipynb")


def run(folder: Path, journal: Journal, *names: str, **options):
    """Run notebooks of the folder with the run's parameters."""
    return execute_notebooks(
        names,
        parameters_file=journal.folder / "parameters.yaml",
        journal=journal,
        execute=False,
        folder=folder,
        **options,
    )


@pytest.mark.parametrize("name", ["10_b_thing", "10", "b_thing"])
def test_names(folder, name):
    """A notebook is found by its name, its number and its title."""
    write(folder, "00_a", "1")
    write(folder, "10_b_thing", "1")
    assert [path.name for path in find_notebooks([name], folder)] == ["10_b_thing.ipynb"]


def test_path_as_name(folder, tmp_path):
    """A notebook outside the folder is found by its path."""
    write(tmp_path, "mine", "1")
    assert find_notebooks([str(tmp_path / "mine.ipynb")], folder) == [tmp_path / "mine.ipynb"]


def test_all_means_the_migration_up_to_the_adoption():
    """`all` is the committed notebooks 00 to 45 in order; the point of no return and the way back are not in it."""
    assert [path.stem for path in find_notebooks(["all"])] == list(MIGRATION)
    assert not {name[:2] for name in MIGRATION} & {"50", "90"}


def test_unknown_name_is_refused_with_what_there_is(folder, journal):
    """A name that fits no notebook is a parameter error that offers the nearest one, and starts nothing."""
    write(folder, "30_cut_over_volume", "1")
    with pytest.raises(ParameterError, match="did you mean 30_cut_over_volume"):
        run(folder, journal, "30_cut_over_volum")
    assert not journal.path.exists()


def test_undeclared_parameter_is_refused(folder, journal):
    """A notebook that lacks one of the parameters is refused before any notebook starts; Papermill only warns."""
    write(folder, "00_fine", "1")
    write(folder, "10_odd", "1", parameters='parameters_file: str = ""\nrun_id: str = ""\nreason: str = ""')
    with pytest.raises(ParameterError, match=r"10_odd.*expected a parameter 'execute'"):
        run(folder, journal, "00", "10")
    assert not journal.path.exists()


def test_every_attempt_is_kept(folder, journal):
    """Running a notebook again makes a new file; events of the kernel reach `on_event` while it runs."""
    write(folder, "00_a", OPEN_JOURNAL + 'journal.append("note", cwd=str(Path.cwd()), execute=execute, run_id=run_id)')
    (journal.folder / "notebooks").mkdir()
    (journal.folder / "notebooks" / "00_a.1.ipynb").write_text("the first attempt")
    seen = []
    outcome = run(folder, journal, "00_a", on_event=seen.append)
    assert (journal.folder / "notebooks" / "00_a.1.ipynb").read_text() == "the first attempt"
    assert outcome.exit_code == 0
    assert [(n.attempt, n.output.name, n.status) for n in outcome.notebooks] == [(2, "00_a.2.ipynb", "completed")]
    assert [event.kind for event in seen] == [event.kind for event in journal.events()]
    note = journal.last("note")
    assert note.fields == {"cwd": str(folder), "execute": False, "run_id": journal.run_id}
    finished = journal.last("notebook-finished", notebook="00_a", attempt=2)
    assert finished.fields["status"] == "completed"
    assert journal.last("notebook-started").fields["output"] == "notebooks/00_a.2.ipynb"


@pytest.mark.parametrize(
    ("source", "exit_code"),
    [
        (OPEN_JOURNAL + FAIL_A_STEP, 3),
        ('from runbook_lib.errors import ParameterError\nraise ParameterError(["x"])', 2),
        (OPEN_JOURNAL + GO_BACK, 4),
        ("import os; os._exit(0)", 5),
    ],
    ids=["the step's", "the error's", "the answer's to a failed step", "5 for a dead kernel"],
)
def test_exit_code_and_stop_at_the_first_failure(folder, journal, source, exit_code):
    """The exit code is that of this package's error, else the failed step's, else 5; later notebooks never start."""
    write(folder, "00_a", source)
    write(folder, "10_b", "1")
    journal.append("step", step_id="earlier", status="failed", error={"kind": "ActionError", "exit_code": 4})
    outcome = run(folder, journal, "00", "10")
    assert outcome.exit_code == exit_code
    assert outcome.not_started == ("10_b",)
    finished = journal.last("notebook-finished")
    assert (finished.fields["status"], finished.fields["exit_code"]) == ("failed", exit_code)
    assert finished.fields["error"]["cell_id"] == "cell-1"
    assert not (journal.folder / "notebooks" / "10_b.1.ipynb").exists()


def test_interrupt(folder, journal):
    """Ctrl-C interrupts the running cell, is recorded, and is no success; the kernel is gone."""
    write(folder, "00_a", NOTE_PID, "import time\npathlib.Path('waiting').touch()\ntime.sleep(300)")

    def press() -> None:
        wait_until((folder / "waiting").exists, "the cell never began")
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    outcome = run(folder, journal, "00")
    presser.join()
    assert outcome.exit_code == 5
    assert outcome.notebooks[0].status == "interrupted"
    assert "SIGINT" in outcome.notebooks[0].error
    assert journal.last("cell", cell_id="cell-2").fields["status"] == "interrupted"
    assert not is_alive(int((folder / "kernel.pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_kernel_dies_with_the_runner(folder, journal):
    """SIGKILL to the runner ends its kernel too, also when the orphan goes to a sub-reaper instead of init."""
    write(folder, "00_a", NOTE_PID, "import time; time.sleep(300)")
    program = (
        "import sys; from pathlib import Path; from datetime import *; from runbook_lib.journal import Journal\n"
        "from runbook_lib.execute import execute_notebooks\n"
        "folder, run = map(Path, sys.argv[1:])\n"
        "execute_notebooks(['00'], parameters_file=run / 'parameters.yaml', execute=False, folder=folder,\n"
        "                  journal=Journal(run, lambda: datetime.now(UTC)))\n"
    )
    libc = ctypes.CDLL(None)
    libc.prctl(SET_SUBREAPER, 1)
    runner = subprocess.Popen([sys.executable, "-c", program, str(folder), str(journal.folder)])
    try:
        began = lambda: journal.last("cell", cell_id="cell-1") is not None or runner.poll() is not None  # noqa: E731
        wait_until(began, "the first cell never ended")
        pid = int((folder / "kernel.pid").read_text())
        runner.kill()
        wait_until(lambda: not is_alive(pid), "the kernel outlived its runner", limit_s=5)
        runner.wait()
        os.waitpid(pid, 0)
    finally:
        libc.prctl(SET_SUBREAPER, 0)
        runner.kill()
        runner.wait()
    assert journal.last("notebook-started") is not None
    assert journal.last("notebook-finished") is None, "a runner that is killed can note nothing"
