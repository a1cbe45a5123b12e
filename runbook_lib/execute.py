"""Run notebooks through Papermill, one after the other, into one run folder.

It finds notebooks, hands each its parameters, keeps every attempt, stops at the first failure and turns the journal's
last word into an exit code. It starts kernels (through the engine) and writes `notebook-*` events and output notebooks;
it makes no run and no report.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib import execute_imports  # noqa: F401 - before Papermill, which it makes quicker to import

# isort: split
import papermill

from runbook_lib.engine import RunbookEngine
from runbook_lib.engine_record import COMPLETED, note_end
from runbook_lib.engine_stop import Stop
from runbook_lib.errors import ApprovalError, ParameterError
from runbook_lib.execute_names import find_notebooks, name_of
from runbook_lib.journal import Journal, decode_event
from runbook_lib.journal_link import claim_attempt
from runbook_lib.model import Event

ENGINE = "runbook"
_FOLLOW_S = 0.1

logging.getLogger("papermill").addHandler(logging.NullHandler())  # else Python prints what the outcome says


@dataclass(frozen=True)
class NotebookOutcome:
    """How one notebook ended.

    Args:
        notebook: Its name without `.ipynb`.
        attempt: Number of this attempt in the run, from 1.
        status: `completed`, `failed` or `interrupted`.
        duration_s: From start to end, kernel included.
        output: The executed notebook.
        error: What went wrong, or "".
        exit_code: 0, or the exit code of what went wrong.
    """

    notebook: str
    attempt: int
    status: str
    duration_s: float
    output: Path
    error: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class RunOutcome:
    """How the notebooks of one command ended.

    Args:
        run_id: The run.
        exit_code: 0 when every notebook completed, else that of the one that did not.
        notebooks: One outcome per notebook that was started, in order.
        not_started: Names of the notebooks behind the one that did not complete.
    """

    run_id: str
    exit_code: int
    notebooks: tuple[NotebookOutcome, ...]
    not_started: tuple[str, ...] = ()


def execute_notebooks(
    names: Sequence[str],
    *,
    parameters_file: str | Path,
    journal: Journal,
    execute: bool,
    reason: str = "",
    on_event: Callable[[Event], None] | None = None,
    folder: Path | None = None,
    cell_timeout_s: int | None = None,
) -> RunOutcome:
    """Run notebooks one after the other until one does not complete.

    Args:
        names: As `find_notebooks`.
        parameters_file: YAML file of the migration; handed to every notebook as an absolute path.
        journal: The open run's journal.
        execute: False plans, True acts.
        reason: Why, and the ticket.
        on_event: Called in another thread with every journal event, soon after it is written.
        folder: Folder of the notebooks.
        cell_timeout_s: Seconds a cell may take; None for no limit, because each step has its own.

    Returns:
        How it ended. The exit code of a failure is that of the error the cell raised if it is one of this package's,
        else that of the last step that failed in that notebook, else 5. Ctrl-C and SIGTERM are no exception:
        4 when they interrupted a step, else 5.

    Raises:
        ParameterError: when a name fits no notebook, or a notebook does not declare what it would be given; nothing
            was started.

    Changes:
        Whatever the notebooks change; `notebooks/` and the journal of the run folder.
    """
    paths = find_notebooks(names, folder)
    values = {
        "parameters_file": str(Path(parameters_file).resolve()),
        "run_id": journal.run_id,
        "reason": reason,
        "execute": execute,
    }
    _refuse_unknown_parameters(paths, values)
    outcomes: list[NotebookOutcome] = []
    with Stop() as stop, _following(journal, on_event):
        journal.append("notebooks-requested", notebooks=[name_of(path, folder) for path in paths], execute=execute)
        for path in paths:
            outcomes.append(_execute_notebook(path, values, journal, stop, cell_timeout_s))
            if outcomes[-1].status != COMPLETED:
                break
        ended = outcomes[-1]
        not_started = tuple(path.stem for path in paths[len(outcomes) :])
        if ended.exit_code == ApprovalError.exit_code and _is_asked_anew(journal):
            outcomes.append(_plan_for_approval(paths[len(outcomes) - 1], values, journal, stop, cell_timeout_s))
    return RunOutcome(journal.run_id, ended.exit_code, tuple(outcomes), not_started)


def _refuse_unknown_parameters(paths: Sequence[Path], values: Mapping[str, Any]) -> None:
    """Refuse what Papermill only warns of: a value for a parameter that the notebook does not have."""
    problems = []
    for path in paths:
        declared = papermill.inspect_notebook(path)
        problems += [
            f"{path}: expected a parameter {name!r} in the cell tagged `parameters`, found: {', '.join(declared)}"
            for name in values
            if name not in declared
        ]
    if problems:
        raise ParameterError(problems)


def _is_asked_anew(journal: Journal) -> bool:
    """Return whether the attempt that just ended asked for an approval that nobody had asked for before."""
    request, started = journal.last("approval-request"), journal.last("notebook-started")
    return request is not None and started is not None and request.seq > started.seq


def _plan_for_approval(path: Path, values: Mapping[str, Any], *others: Any) -> NotebookOutcome:
    """Plan the whole notebook that stopped before its first act, so that whoever approves sees all of it."""
    return _execute_notebook(path, {**values, "execute": False}, *others, for_approval=True)


def _execute_notebook(
    path: Path, values: Mapping[str, Any], journal: Journal, stop: Stop, cell_timeout_s: int | None, **notes: bool
) -> NotebookOutcome:
    attempt, output = claim_attempt(journal.folder.resolve() / "notebooks", path.stem)
    names = {"notebook": path.stem, "attempt": attempt}
    notes = {"execute": values["execute"]} | notes
    begun = journal.append("notebook-started", **names, output=f"notebooks/{output.name}", **notes)
    started, error = journal.now(), None
    try:
        _run_papermill(
            path, output, values, stop=stop, journal_folder=journal.folder.resolve(), timeout=cell_timeout_s, **names
        )
    except Exception as caught:  # noqa: BLE001 - whatever ended it, the record must say so
        error = caught
    said = note_end(journal, path.stem, attempt, error, started=started, since_seq=begun.seq)
    text = str(said["error"]["message"]) if error else ""
    return NotebookOutcome(
        path.stem, attempt, said["status"], said["duration_s"], output, text, said.get("exit_code", 0)
    )


def _run_papermill(path: Path, output: Path, values: Mapping[str, Any], *, timeout: int | None, **engine: Any) -> None:
    """Execute one notebook in its own folder; the names of the engine are those of this package, not Papermill's."""
    papermill.engines.papermill_engines.register(ENGINE, RunbookEngine)  # also when the entry point is not installed
    papermill.execute_notebook(
        path,
        output,
        dict(values),
        engine_name=ENGINE,
        kernel_name="python3",
        progress_bar=False,
        log_output=False,
        report_mode=False,
        cwd=path.parent,
        execution_timeout=timeout,
        **engine,
    )


@contextlib.contextmanager
def _following(journal: Journal, on_event: Callable[[Event], None] | None) -> Iterator[None]:
    """Call `on_event` for what is appended to the journal, by whatever process, until the block ends."""
    if on_event is None:
        yield
        return
    path, ended = journal.path.resolve(), threading.Event()
    offset = path.stat().st_size if path.exists() else 0
    follower = threading.Thread(
        target=_follow, args=(path, offset, ended, on_event), name="journal-follower", daemon=True
    )
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _follow(path: Path, offset: int, ended: threading.Event, on_event: Callable[[Event], None]) -> None:
    last_look = False
    while not last_look:
        last_look = ended.wait(_FOLLOW_S)
        if not path.exists():
            continue
        with path.open("rb") as stream:
            stream.seek(offset)
            whole, newline, _ = stream.read().rpartition(b"\n")
        offset += len(whole) + len(newline)
        for line in whole.splitlines():
            on_event(decode_event(line))
