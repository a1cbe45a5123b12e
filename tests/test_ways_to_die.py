"""A runner that is killed: notebook, journal and report say what really ran, at the latest when the run is touched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from runbook_lib import journal_notebook
from runbook_lib.archive import verify
from runbook_lib.cli import main
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal, read_events
from runbook_lib.lease_record import process_start, this_machine
from runbook_lib.report import build_report, render_html, render_markdown, write_report
from runbook_lib.run_repair import repair_attempts
from tests.sample_run import Story
from tests.test_cli import parameters_file, write_notebook  # noqa: F401 - a fixture
from tests.test_engine import NOTE_PID, is_alive, make_notebook, wait_until

GONE = {"host": "here", "machine": this_machine(), "pid": 4_194_303, "process_start": 1}
HERE = {"host": "here", "machine": this_machine(), "pid": os.getpid(), "process_start": process_start(os.getpid())}
AWAY = {"host": "there", "machine": "another/pid:[1]", "pid": 1, "process_start": 1}
WAIT = "import time; pathlib.Path('waiting').touch(); time.sleep(300)"
OPEN = (
    "import runbook_lib as runbook\nrun = runbook.open_run(parameters_file, migration, run_id=run_id, execute=execute)"
)
ENVIRONMENT = os.environ | {"PYTHONWARNINGS": "ignore"}


def invoke(*arguments: object):
    """Call the command line in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def cells_of(path: Path) -> dict[str, str]:
    """Return the status of each code cell as a saved notebook gives it."""
    cells = nbformat.read(path, 4).cells
    return {c["id"]: c.metadata.papermill["status"] for c in cells if c.cell_type == "code"}


def witness_of(path: Path) -> int:
    """Return the process that watches over a notebook, 0 when there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[3:5] == [journal_notebook.__file__.encode(), bytes(path)]:
                return int(process.name)
    return 0


def papermill(folder: Path, *arguments: str) -> subprocess.Popen:
    """Start plain Papermill with our engine in a folder."""
    command = [sys.executable, "-m", "papermill", *arguments, "--engine", "runbook", "--no-progress-bar"]
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.DEVNULL)


def kill_when_waiting(folder: Path, process: subprocess.Popen, *, also: int = 0) -> None:
    """Kill a runner with SIGKILL once a cell of it waits, and its witness before, if one is given."""
    try:
        wait_until((folder / "waiting").exists, "the cell never began")
        if also:
            os.kill(also, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


class TestPlainPapermill:
    """`papermill --engine runbook`, which knows of no run."""

    def test_sigkill_without_any_run(self, tmp_path):
        """The witness puts the notebook right at once, and ends."""
        make_notebook(tmp_path, one=NOTE_PID, wait=WAIT, act="2", verify="3")
        kill_when_waiting(tmp_path, papermill(tmp_path, "source.ipynb", "out.ipynb"))
        out = tmp_path / "out.ipynb"
        wait_until(lambda: cells_of(out)["wait"] != "running", "nobody put the notebook right")
        assert cells_of(out) == {"one": "completed", "wait": "interrupted", "act": "not run", "verify": "not run"}
        metadata = nbformat.read(out, 4).metadata.papermill
        assert (metadata["exception"], bool(metadata["end_time"])) == (True, True)
        nbformat.validate(nbformat.read(out, 4))
        wait_until(lambda: not witness_of(out), "the witness never ended")
        assert not is_alive(int((tmp_path / "kernel.pid").read_text()))

    def test_a_run_that_the_notebook_opened(self, tmp_path, parameters_file):  # noqa: F811
        """The attempt is in the run's record as with `runbook run`, and the record is intact; nothing stays behind."""
        write_notebook(tmp_path / "mine.ipynb", OPEN, "runbook.close_run(run)")
        for number in (1, 2):
            run_id = ["-r", "run_id", self.folder(tmp_path).name] if number == 2 else []
            process = papermill(
                tmp_path, "mine.ipynb", "out.ipynb", "-r", "parameters_file", str(parameters_file), *run_id
            )
            assert process.wait(timeout=60) == 0
            folder = self.folder(tmp_path)
            assert cells_of(folder / f"notebooks/mine.{number}.ipynb") == cells_of(tmp_path / "out.ipynb")
        events = read_events(folder / "journal.jsonl")
        finished = [e.fields for e in events if e.kind == "notebook-finished"]
        assert [(f["notebook"], f["attempt"], f["status"]) for f in finished] == [
            ("mine", 1, "completed"),
            ("mine", 2, "completed"),
        ]
        assert len([e for e in events if e.kind == "cell"]) == 8
        assert verify(folder).problems == ()

    def test_sigkill_after_it_opened_a_run(self, tmp_path, parameters_file):  # noqa: F811
        """The next command on the run finds out, although the notebook lies elsewhere and its witness is dead too."""
        write_notebook(tmp_path / "mine.ipynb", OPEN, "import pathlib\n" + WAIT, "3")
        process = papermill(tmp_path, "mine.ipynb", "out.ipynb", "-r", "parameters_file", str(parameters_file))
        wait_until((tmp_path / "waiting").exists, "the cell never began")
        kill_when_waiting(tmp_path, process, also=witness_of(tmp_path / "out.ipynb"))
        folder = self.folder(tmp_path)
        said = invoke("status", folder.name, "-d", folder.parent)
        assert "mine attempt 1: its process is gone in cell" in said.output
        statuses = list(cells_of(folder / "notebooks/mine.1.ipynb").values())
        assert statuses == ["completed", "completed", "completed", "interrupted", "not run"]
        assert verify(folder).problems == ()

    @staticmethod
    def folder(tmp_path: Path) -> Path:
        """Return the only run's folder."""
        (journal,) = tmp_path.glob("runs/*/journal.jsonl")
        return journal.parent


@pytest.mark.parametrize("command", ["status", "resume"])
def test_sigkill_of_runbook_run(tmp_path, parameters_file, command):  # noqa: F811
    """Whatever command touches the run next puts notebook, journal, report and seal right, once."""
    wait = f"import pathlib\nif not pathlib.Path('{tmp_path}/waiting').exists():\n    {WAIT}"
    write_notebook(tmp_path / "mine.ipynb", "1", wait.replace("'waiting'", f"'{tmp_path}/waiting'"), "3")
    call = [sys.executable, "-m", "runbook_lib.cli", "run", str(tmp_path / "mine.ipynb"), "-f", str(parameters_file)]
    call[1:3] = ["-c", "from runbook_lib.cli import main; main()"]
    process = subprocess.Popen(call, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    wait_until((tmp_path / "waiting").exists, "the cell never began")
    (output,) = tmp_path.glob("runs/*/notebooks/mine.1.ipynb")
    kill_when_waiting(tmp_path, process, also=witness_of(output))
    assert list(cells_of(output).values())[-2:] == ["running", "pending"]
    folder = output.parents[1]
    assert "repaired" in invoke(command, folder.name, "-d", folder.parent).output
    assert list(cells_of(output).values()) == ["completed"] * 3 + ["interrupted", "not run"]
    first = json.loads((folder / "report.json").read_text())["notebooks"][0]
    assert (first["status"], [cell["status"] for cell in first["cells"]]) == (
        "interrupted",
        list(cells_of(output).values()),
    )
    assert verify(folder).problems == ()
    second = folder / "notebooks/mine.2.ipynb"
    assert second.exists() == (command == "resume"), "attempts are kept side by side"
    assert "repaired" not in invoke("status", folder.name, "-d", folder.parent).output


class TestRepair:
    """What follows from a journal and a notebook, without any process."""

    def killed(self, directory: Path, runner=GONE, *, step: str = "running", cells=("completed", "running", "pending")):
        """Return a run that was killed in its second cell."""
        story = Story(directory)
        story.journal.append("runner", **runner)
        story.start("30_cut_over_volume")
        self.notebook(story, 1, *cells)
        story.journal.append(
            "cell", notebook="30_cut_over_volume", attempt=1, cell_id="open-run", status="completed", duration_s=0.1
        )
        if step == "failed":
            error = {"kind": "CheckError", "message": "no", "changed": "no", "exit_code": 3}
            story.step("detach-volume", status="failed", error=error)
        elif step:
            story.step("detach-volume", status=step)
        return story.journal

    @staticmethod
    def notebook(story: Story, attempt: int, *statuses: str) -> None:
        names = ("open-run", "detach-volume", "start-target-service")
        cells = [
            {"cell_type": "code", "id": name, "metadata": {"papermill": {"status": status}}, "outputs": [],
             "source": "", "execution_count": None}
            for name, status in zip(names, statuses, strict=True)
        ]  # fmt: skip
        content = {"cells": cells, "metadata": {"papermill": {}}, "nbformat": 4, "nbformat_minor": 5}
        story.journal.write(f"notebooks/30_cut_over_volume.{attempt}.ipynb", json.dumps(content))

    def statuses(self, journal: Journal) -> list[str]:
        return list(cells_of(journal.folder / "notebooks/30_cut_over_volume.1.ipynb").values())

    @pytest.mark.parametrize(
        ("step", "cells", "notebook", "exit_code"),
        [
            ("running", ["completed", "interrupted", "not run"], "interrupted", 4),
            ("", ["completed", "interrupted", "not run"], "interrupted", 5),
            ("succeeded", ["completed", "completed", "not run"], "interrupted", 5),
            ("skipped", ["completed", "skipped", "not run"], "interrupted", 5),
            ("failed", ["completed", "failed", "not run"], "failed", 3),
        ],
        ids=["in a step", "before a step", "after a step", "after a step with nothing to do", "after a failure"],
    )
    def test_the_journal_says_how_far_it_came(self, tmp_path, step, cells, notebook, exit_code):
        """The cell that was cut off has the status that its step has, and the report agrees."""
        journal = self.killed(tmp_path, step=step)
        repair_attempts(journal)
        assert self.statuses(journal) == cells
        finished = journal.last("notebook-finished").fields
        assert (finished["status"], finished["exit_code"], finished["repaired"]) == (notebook, exit_code, True)
        report = build_report(journal.events(), journal.run_id)
        assert [cell["status"] for cell in report["notebooks"][0]["cells"]] == cells
        expected = {"running": ["interrupted"], "": []}.get(step, [step])
        assert [one["status"] for one in report["steps"]] == expected
        assert "start-target-service" in render_html(report)
        assert "start-target-service not run" in render_markdown(report).replace("\\", "")
        assert verify(journal.folder).problems == ()
        assert repair_attempts(journal) == [], "once is enough"

    def test_every_cell_had_run(self, tmp_path):
        """A runner that was killed when the notebook was through leaves a completed notebook."""
        journal = self.killed(tmp_path, step="succeeded", cells=("completed", "completed", "completed"))
        repair_attempts(journal)
        assert self.statuses(journal) == ["completed"] * 3
        assert journal.last("notebook-finished").fields["status"] == "completed"

    @pytest.mark.parametrize("runner", [HERE, AWAY], ids=["alive", "on another machine"])
    def test_what_may_still_run_is_left_alone(self, tmp_path, runner):
        """Nothing is written while the runner lives, or nobody can tell."""
        journal = self.killed(tmp_path, runner)
        before = journal.path.read_bytes()
        assert repair_attempts(journal) == []
        assert (journal.path.read_bytes(), self.statuses(journal)[1]) == (before, "running")

    def test_a_kernel_that_outlived_its_runner(self, tmp_path):
        """The attempt is not over while the process that holds the volume lives."""
        journal = self.killed(tmp_path)
        journal.append("lease", phase="acquired", holder=HERE)
        assert repair_attempts(journal) == []

    def test_a_later_attempt_proves_the_end_of_one_on_another_machine(self, tmp_path):
        """Two attempts stay side by side, each with its own truth."""
        journal = self.killed(tmp_path, AWAY)
        journal.append("runner", **HERE)
        journal.append("notebook-started", notebook="30_cut_over_volume", attempt=2, output="notebooks/x.2.ipynb")
        (repair,) = repair_attempts(journal)
        assert (repair.attempt, repair.cell_id, repair.not_run) == (1, "detach-volume", ("start-target-service",))

    def test_a_notebook_that_cannot_be_read(self, tmp_path):
        """The journal is put right all the same, and the file is left as it is."""
        journal = self.killed(tmp_path)
        path = journal.folder / "notebooks/30_cut_over_volume.1.ipynb"
        path.write_bytes(path.read_bytes()[:100])
        repair_attempts(journal)
        assert journal.last("notebook-finished").fields["status"] == "interrupted"
        assert path.stat().st_size == 100

    def test_killed_while_repairing(self, tmp_path, monkeypatch):
        """A repair that is cut off is done again from its beginning and ends the same."""
        journal = self.killed(tmp_path)
        append = journal.append

        def cut_off(kind, /, **fields):
            if kind == "notebook-finished":
                raise KeyboardInterrupt
            return append(kind, **fields)

        monkeypatch.setattr(journal, "append", cut_off)
        with pytest.raises(KeyboardInterrupt):
            repair_attempts(journal)
        monkeypatch.undo()
        repair_attempts(journal)
        told = [e.fields["cell_id"] for e in journal.events() if e.kind == "cell"]
        assert told == ["open-run", "detach-volume", "start-target-service"]
        assert self.statuses(journal) == ["completed", "interrupted", "not run"]

    def test_reading_never_repairs(self, tmp_path):
        """`verify`, `list` and a copy under another name change nothing; nor does `status` on a sealed record."""
        journal = self.killed(tmp_path)
        copy = shutil.copytree(journal.folder, tmp_path / "for-the-auditor")
        assert repair_attempts(Journal(copy, journal.now)) == []
        invoke("verify", journal.folder)
        invoke("list", "-d", tmp_path)
        assert self.statuses(journal)[1] == "running"
        write_report(journal)
        before = {p: p.read_bytes() for p in journal.folder.rglob("*") if p.is_file()}
        assert invoke("status", journal.run_id, "-d", tmp_path).exit_code == 0
        assert {p: p.read_bytes() for p in journal.folder.rglob("*") if p.is_file()} == before

    def test_an_altered_journal(self, tmp_path):
        """Nothing is made of a journal whose chain does not hold."""
        journal = self.killed(tmp_path)
        journal.path.write_bytes(journal.path.read_bytes().replace(b"guestbook", b"notebooks", 1))
        with pytest.raises(JournalError, match="altered"):
            repair_attempts(journal)
