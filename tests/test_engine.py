"""The engine: how each cell ended, whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError

from runbook_lib import engine_client
from runbook_lib.engine_client import CellFailedError, KernelDiedError, NotebookInterruptedError
from runbook_lib.engine_stop import Stop
from runbook_lib.errors import NotebookError
from runbook_lib.journal import read_events

NOTE_PID = "import os, pathlib\npathlib.Path('kernel.pid').write_text(str(os.getpid()))"


def make_notebook(folder: Path, **cells: str) -> Path:
    """Write a notebook whose code cells have the given ids (`_` becomes `-`), after one markdown cell."""
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    title = nbformat.v4.new_markdown_cell("# A title")
    title["id"] = "title"
    notebook.cells = [title]
    for cell_id, source in cells.items():
        cell = nbformat.v4.new_code_cell(source)
        cell["id"] = cell_id.replace("_", "-")
        notebook.cells.append(cell)
    path = folder / "source.ipynb"
    nbformat.write(notebook, path)
    return path


def run(folder: Path, **options) -> None:
    """Execute the folder's notebook with the engine, in the folder."""
    papermill.execute_notebook(
        folder / "source.ipynb", folder / "out.ipynb", engine_name="runbook", progress_bar=False, cwd=folder, **options
    )


def statuses(folder: Path) -> dict[str, str]:
    """Return each cell's status as the saved notebook gives it."""
    return {c["id"]: c.metadata.papermill["status"] for c in nbformat.read(folder / "out.ipynb", 4).cells}


def notebook_metadata(folder: Path) -> dict:
    """Return Papermill's metadata of the saved notebook."""
    return nbformat.read(folder / "out.ipynb", 4).metadata.papermill


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until(condition, what: str, limit_s: float = 30) -> None:
    """Wait for a condition, or fail saying what did not happen."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s: {what}"
        time.sleep(0.05)


def kernel_pid(folder: Path) -> int:
    """Return the pid that the notebook's first cell noted."""
    return int((folder / "kernel.pid").read_text())


def test_success(tmp_path, monkeypatch):
    """Every cell is completed, the journal has one event per code cell, and the kernel is gone."""
    monkeypatch.setenv("JPY_SESSION_NAME", "a page in which somebody ran this as a command")
    two = "import os, sys; assert 'JPY_SESSION_NAME' not in os.environ; sys.executable"
    make_notebook(tmp_path, one=NOTE_PID, two=two)
    run(tmp_path, journal_folder=tmp_path / "run", notebook="00_x", attempt=3)
    assert statuses(tmp_path) == {"title": "completed", "one": "completed", "two": "completed"}
    assert notebook_metadata(tmp_path)["exception"] is None
    assert notebook_metadata(tmp_path)["end_time"]
    events = read_events(tmp_path / "run" / "journal.jsonl")
    assert [(e.kind, e.fields["cell_id"], e.fields["status"]) for e in events] == [
        ("cell", "one", "completed"),
        ("cell", "two", "completed"),
    ]
    assert events[0].fields["notebook"] == "00_x"
    assert events[0].fields["attempt"] == 3
    shown = nbformat.read(tmp_path / "out.ipynb", 4).cells[2].outputs[0].data["text/plain"]
    assert shown == repr(sys.executable), "kernel python3 is this interpreter"
    assert not is_alive(kernel_pid(tmp_path))


def test_error(tmp_path):
    """A raising cell is failed, the cells behind it are not run, and the error names both."""
    make_notebook(tmp_path, one="1", boom="1 / 0", never="2", nor_this="3")
    with pytest.raises(CellFailedError) as caught:
        run(tmp_path, journal_folder=tmp_path / "run")
    assert statuses(tmp_path) == {
        "title": "completed",
        "one": "completed",
        "boom": "failed",
        "never": "not run",
        "nor-this": "not run",
    }
    assert notebook_metadata(tmp_path)["exception"] is True
    assert caught.value.cell_id == "boom"
    assert caught.value.ename == "ZeroDivisionError"
    assert "never, nor-this" in str(caught.value)
    assert [(e.fields["cell_id"], e.fields["status"]) for e in read_events(tmp_path / "run" / "journal.jsonl")] == [
        ("one", "completed"),
        ("boom", "failed"),
        ("never", "not run"),
        ("nor-this", "not run"),
    ]
    cells = {c["id"]: c.metadata.papermill for c in nbformat.read(tmp_path / "out.ipynb", 4).cells}
    assert cells["boom"]["end_time"]
    assert cells["never"]["end_time"] is None


@pytest.mark.parametrize("source", ["raise SystemExit(0)", "exit()"])
def test_a_notebook_cannot_end_itself(tmp_path, source):
    """SystemExit(0) and exit() are failures: the cells behind them never ran."""
    make_notebook(tmp_path, leave=source, never="2")
    with pytest.raises(NotebookError, match="the notebook stopped itself") as caught:
        run(tmp_path)
    assert statuses(tmp_path) == {"title": "completed", "leave": "failed", "never": "not run"}
    assert caught.value.cell_id == "leave"
    assert notebook_metadata(tmp_path)["exception"] is True


@pytest.mark.parametrize(
    ("death", "said"),
    [("os._exit(0)", "with exit code 0"), ("os.kill(os.getpid(), 9)", "by SIGKILL")],
    ids=["exit", "kill"],
)
def test_killed_kernel(tmp_path, death, said):
    """A kernel that dies leaves its cell interrupted, which shows why, and nothing after it counts as completed."""
    make_notebook(tmp_path, one="1", die=f"import os; {death}", act="2", verify="3")
    with pytest.raises(KernelDiedError, match=said) as caught:
        run(tmp_path)
    assert statuses(tmp_path) == {
        "title": "completed",
        "one": "completed",
        "die": "interrupted",
        "act": "not run",
        "verify": "not run",
    }
    (shown,) = nbformat.read(tmp_path / "out.ipynb", 4).cells[2].outputs
    assert shown.data["text/plain"].startswith(f"interrupted: the kernel died {said}; ")
    assert shown.data["text/plain"].endswith("what this cell did is unknown")
    assert notebook_metadata(tmp_path)["exception"] is True
    assert notebook_metadata(tmp_path)["end_time"]
    assert isinstance(caught.value, DeadKernelError), "papermill's command line exits 138 for it"


def test_cell_timeout(tmp_path):
    """A cell over its time limit is interrupted, so that it can note how far it came, and is failed."""
    slow = "try:\n    time.sleep(300)\nexcept KeyboardInterrupt:\n    pathlib.Path('noted').touch()\n    raise"
    make_notebook(tmp_path, one=NOTE_PID + "\nimport time", slow=slow, never="2")
    with pytest.raises(CellFailedError, match="longer than the 1 s allowed"):
        run(tmp_path, execution_timeout=1)
    assert statuses(tmp_path) == {"title": "completed", "one": "completed", "slow": "failed", "never": "not run"}
    assert (tmp_path / "noted").exists()
    assert not is_alive(kernel_pid(tmp_path))


def test_out_of_memory(tmp_path, monkeypatch):
    """A cell that gets no memory fails; a kernel that the machine kills for want of it is interrupted, and says so."""
    counter = tmp_path / "vmstat"
    counter.write_text("nr_free_pages 7\noom_kill 3\n")
    monkeypatch.setattr(engine_client, "_VMSTAT", counter)
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))\nbytearray(1 << 40)"
    make_notebook(tmp_path, huge=limit, never="2")
    with pytest.raises(CellFailedError, match="MemoryError"):
        run(tmp_path)
    assert statuses(tmp_path) == {"title": "completed", "huge": "failed", "never": "not run"}
    killed = f"import os, pathlib\npathlib.Path({str(counter)!r}).write_text('oom_kill 4')\nos.kill(os.getpid(), 9)"
    make_notebook(tmp_path, huge=killed, never="2")
    with pytest.raises(KernelDiedError, match="memory ran out"):
        run(tmp_path)
    assert statuses(tmp_path) == {"title": "completed", "huge": "interrupted", "never": "not run"}


def test_skipped_cells(tmp_path):
    """A cell that is passed over by its tag, or whose step was already so, is skipped."""
    again = (
        "from datetime import *; from pathlib import Path; from runbook_lib.journal import Journal\n"
        "Journal(Path('run'), lambda: datetime.now(UTC)).append('step', step_id='again', status='skipped')"
    )
    path = make_notebook(tmp_path, passed="1", again=again, last="2")
    notebook = nbformat.read(path, 4)
    notebook.cells[1].metadata.tags = ["skip-execution"]
    nbformat.write(notebook, path)
    run(tmp_path, journal_folder=tmp_path / "run")
    expected = {"passed": "skipped", "again": "skipped", "last": "completed"}
    assert statuses(tmp_path) == {"title": "completed"} | expected
    events = read_events(tmp_path / "run" / "journal.jsonl")
    assert {e.fields["cell_id"]: e.fields["status"] for e in events if e.kind == "cell"} == expected


def test_unknown_kernel(tmp_path):
    """A kernel that cannot start leaves every cell not run."""
    make_notebook(tmp_path, one="1")
    with pytest.raises(NotebookError, match=r"no-such-kernel.*Cells that never ran: one") as caught:
        run(tmp_path, kernel_name="no-such-kernel")
    assert statuses(tmp_path) == {"title": "not run", "one": "not run"}
    assert caught.value.cell_id == ""
    assert notebook_metadata(tmp_path)["exception"] is True


def test_sigterm_to_papermill(tmp_path):
    """SIGTERM to `papermill --engine runbook` leaves a record that says interrupted, and no kernel."""
    make_notebook(
        tmp_path, one=NOTE_PID, wait="import time; pathlib.Path('waiting').touch(); time.sleep(300)", never="2"
    )
    command = [
        sys.executable,
        "-m",
        "papermill",
        "source.ipynb",
        "out.ipynb",
        "--engine",
        "runbook",
        "--no-progress-bar",
    ]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    try:
        wait_until((tmp_path / "kernel.pid").exists, "the first cell never ran")
        wait_until((tmp_path / "waiting").exists, "the second cell never began")
        process.terminate()
        assert process.wait(timeout=60) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()
    assert statuses(tmp_path) == {"title": "completed", "one": "completed", "wait": "interrupted", "never": "not run"}
    assert notebook_metadata(tmp_path)["exception"] is True
    assert notebook_metadata(tmp_path)["end_time"]
    assert not is_alive(kernel_pid(tmp_path))


def test_cell_that_ignores_the_interrupt(tmp_path):
    """After SIGTERM a cell that does not end within the grace time is ended with its kernel, and is interrupted."""
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    deaf += "pathlib.Path('waiting').touch()\ntime.sleep(300)"
    make_notebook(tmp_path, one=NOTE_PID, deaf=deaf, never="2")

    def ask_to_stop() -> None:
        wait_until((tmp_path / "waiting").exists, "the cell never began")
        os.kill(os.getpid(), signal.SIGTERM)

    asker = threading.Thread(target=ask_to_stop)
    asker.start()
    with (
        Stop(grace_s=0.5) as stop,
        pytest.raises(NotebookInterruptedError, match=r"stopped by SIGTERM.*SIGKILL") as caught,
    ):
        run(tmp_path, stop=stop)
    asker.join()
    assert caught.value.cell_id == "deaf"
    assert statuses(tmp_path) == {"title": "completed", "one": "completed", "deaf": "interrupted", "never": "not run"}
    assert not is_alive(kernel_pid(tmp_path))
