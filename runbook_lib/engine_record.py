"""What the output notebook and the journal say of each cell and of the notebook as a whole.

A cell is `completed`, `failed`, `interrupted`, `not run`, or `skipped` (its step was already so). Writes Papermill's
cell metadata and, when there is a run, its events. It runs nothing.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat

from runbook_lib import errors, journal_link
from runbook_lib.errors import NotebookError, RunbookError
from runbook_lib.journal import Journal
from runbook_lib.journal_notebook import COMPLETED, FAILED, INTERRUPTED, NOT_RUN, SKIPPED, add_note, cell_id

__all__ = ["COMPLETED", "FAILED", "INTERRUPTED", "NOT_RUN", "SKIPPED", "CellRecord", "note_end"]
_SKIP_TAG = "skip-execution"


class CellRecord:
    """How the cells of one notebook ended.

    Args:
        nb_man: Papermill's record of the execution.
        journal_folder: Run folder for the events, or "" when nobody knows it yet.
        notebook: Name for the events.
        attempt: Number for the events.
    """

    def __init__(self, nb_man: Any, journal_folder: str | Path, notebook: str, attempt: int) -> None:
        self.nb_man = nb_man
        self.link: journal_link.Link | None = None
        self._journal = Journal(Path(journal_folder), nb_man.now) if journal_folder else None
        self._names = {"notebook": notebook, "attempt": attempt}
        self._told: list[tuple[int, str]] = []
        self._answer: Path | None = None
        self._seq = len(self._journal.events()) if self._journal is not None else 0

    def __enter__(self) -> Self:
        """Prepare for a run that the notebook may open by itself."""
        if self._journal is None:
            handle, name = tempfile.mkstemp(prefix="runbook-engine-")
            os.close(handle)
            self._answer = Path(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note the cells that never ran."""
        self.close()
        if self._answer is not None:
            self._answer.unlink(missing_ok=True)

    def environment(self) -> dict[str, str]:
        """Return what the kernel's environment has beside this process's."""
        if self._answer is None:
            return {}
        output = str(self.nb_man.output_path or "")
        where = output if "://" in output or not output else str(Path(output).resolve())
        return journal_link.offer(str(self._names["notebook"]), where, self._answer)

    def cell_id(self, index: int) -> str:
        """Return a cell's id; notebooks older than format 4.5 have none."""
        return cell_id(self.nb_man.nb.cells[index], index)

    def never_ran(self) -> str:
        """Return in a sentence which code cells were never begun."""
        cells = self.nb_man.nb.cells
        waiting = [
            self.cell_id(index)
            for index, cell in enumerate(cells)
            if cell.cell_type == "code" and cell.metadata.papermill["status"] in {self.nb_man.PENDING, NOT_RUN}
        ]
        return f"Cells that never ran: {', '.join(waiting)}." if waiting else "No cell was left."

    def end(self, index: int, status: str, why: str = "") -> None:
        """Note how a cell ended.

        Args:
            index: The cell.
            status: `completed`, `failed` or `interrupted`.
            why: What ended it, when it did not complete.
        """
        cell = self.nb_man.nb.cells[index]
        self._attach()
        if status == COMPLETED and self._is_skipped(index):
            status = SKIPPED
        if status not in {COMPLETED, SKIPPED}:
            self.nb_man.cell_exception(cell, cell_index=index)
        self.nb_man.cell_complete(cell, cell_index=index)
        if status != cell.metadata.papermill["status"] or why:
            cell.metadata.papermill["status"] = status
            shown = any(output.output_type == "error" for output in cell.get("outputs", ()))
            if cell.cell_type == "code" and why and not shown:
                add_note(cell, status, why)
                cell.outputs = [nbformat.from_dict(output) for output in cell.outputs]
            self.nb_man.save()
        self._tell(index, status)

    def _is_skipped(self, index: int) -> bool:
        """Return whether a cell was passed over, or its step came back with nothing to do."""
        cell = self.nb_man.nb.cells[index]
        if cell.cell_type != "code":
            return False
        if _SKIP_TAG in cell.metadata.get("tags", ()):
            return True
        step = self._journal.last("step", step_id=self.cell_id(index)) if self._journal is not None else None
        return step is not None and step.fields["status"] == SKIPPED and step.seq > self._seq

    def close(self) -> None:
        """Note the cells that never ran; must come before Papermill turns `pending` into `completed`."""
        self._attach()
        for index, cell in enumerate(self.nb_man.nb.cells):
            if cell.metadata.papermill["status"] == self.nb_man.PENDING:
                cell.metadata.papermill["status"] = NOT_RUN
                self.nb_man.nb.metadata.papermill["exception"] = True
                self._tell(index, NOT_RUN)

    def _attach(self) -> None:
        """Take up the run that the notebook opened by itself, and tell it of the cells before."""
        if self._journal is not None or self._answer is None:
            return
        self.link = journal_link.answered(self._answer)
        if self.link is None:
            return
        self._journal = Journal(self.link.folder, self.nb_man.now)
        self._names = {"notebook": self.link.notebook, "attempt": self.link.attempt}
        before, self._told = self._told, []
        for index, status in before:
            self._tell(index, status)

    def _tell(self, index: int, status: str) -> None:
        cell = self.nb_man.nb.cells[index]
        if cell.cell_type != "code":
            return
        if self._journal is None:
            self._told.append((index, status))
            return
        duration_s = round(cell.metadata.papermill["duration"] or 0.0, 3)
        event = self._journal.append(
            "cell", cell_id=self.cell_id(index), status=status, duration_s=duration_s, **self._names
        )
        self._seq = event.seq


def note_end(
    journal: Journal, notebook: str, attempt: int, error: BaseException | None, *, started: datetime, since_seq: int
) -> dict[str, Any]:
    """Note how a notebook ended.

    Args:
        journal: The run's journal.
        notebook: Its name.
        attempt: Which attempt.
        error: What ended it, or None when every cell completed.
        started: When it began.
        since_seq: Number of its `notebook-started` event.

    Returns:
        The fields of the event; `exit_code` is that of the error the cell raised if it is one of this package's, else
        that of the last step that failed in the notebook, else 5.

    Changes:
        A `notebook-finished` event.
    """
    fields: dict[str, Any] = {"notebook": notebook, "attempt": attempt, "status": COMPLETED}
    fields["duration_s"] = round((journal.now() - started).total_seconds(), 3)
    if error is not None:
        fields["status"] = INTERRUPTED if hasattr(error, "signum") else FAILED
        fields["error"] = {
            "kind": type(error).__name__,
            "message": str(error),
            "cell_id": getattr(error, "cell_id", ""),
        }
        fields["exit_code"] = _exit_code(error, journal, since_seq)
    fields |= journal_link.digest_of_attempt(journal.folder, notebook, attempt)
    return journal.append("notebook-finished", **fields).fields


def keep_attempt(link: journal_link.Link, nb: Any, error: BaseException | None, started: datetime) -> None:
    """Make the record of a run whole that a notebook opened by itself under plain Papermill.

    Args:
        link: The attempt that the notebook is in that run.
        nb: The executed notebook.
        error: What ended it, or None.
        started: When it began.

    Changes:
        The attempt's notebook, a `notebook-finished` event, the report and the seal.
    """
    from runbook_lib.report import write_report  # noqa: PLC0415 - only here; the runner writes the report otherwise

    journal = Journal(link.folder, lambda: datetime.now(UTC))
    journal.write(f"notebooks/{link.notebook}.{link.attempt}.ipynb", nbformat.writes(nb) + "\n")
    note_end(journal, link.notebook, link.attempt, error, started=started, since_seq=link.seq)
    write_report(journal)


def _exit_code(error: BaseException, journal: Journal, since_seq: int) -> int:
    """Return the code of what the cell raised; of the failed step when that is no error of this package."""
    kind = getattr(errors, getattr(error, "ename", ""), None)
    if isinstance(kind, type) and issubclass(kind, RunbookError):
        return int(kind.exit_code)  # not the step's: a failure that was answered by going back has its own
    failed = next(journal.find("step", status="failed"), None)
    if failed is not None and failed.seq > since_seq:
        return int(failed.fields["error"]["exit_code"])
    return int(NotebookError.exit_code)
