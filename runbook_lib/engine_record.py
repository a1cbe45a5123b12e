"""What the output notebook and the journal say of each cell: `completed`, `failed`, `interrupted` or `not run`.

Writes Papermill's cell metadata and, when there is a run folder, `cell` events. It runs nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbook_lib.journal import Journal

COMPLETED, FAILED, INTERRUPTED, NOT_RUN = "completed", "failed", "interrupted", "not run"


class CellRecord:
    """How the cells of one notebook ended.

    Args:
        nb_man: Papermill's record of the execution.
        journal_folder: Run folder for the events, or "".
        notebook: Name for the events.
        attempt: Number for the events.
    """

    def __init__(self, nb_man: Any, journal_folder: str | Path, notebook: str, attempt: int) -> None:
        self.nb_man = nb_man
        self._journal = Journal(Path(journal_folder), nb_man.now) if journal_folder else None
        self._names = {"notebook": notebook, "attempt": attempt}

    def cell_id(self, index: int) -> str:
        """Return a cell's id; notebooks older than format 4.5 have none."""
        return str(self.nb_man.nb.cells[index].get("id") or f"cell-{index + 1}")

    def never_ran(self) -> str:
        """Return in a sentence which code cells were never begun."""
        cells = self.nb_man.nb.cells
        waiting = [
            self.cell_id(index)
            for index, cell in enumerate(cells)
            if cell.cell_type == "code" and cell.metadata.papermill["status"] in {self.nb_man.PENDING, NOT_RUN}
        ]
        return f"Cells that never ran: {', '.join(waiting)}." if waiting else "No cell was left."

    def end(self, index: int, status: str) -> None:
        """Note how a cell ended."""
        cell = self.nb_man.nb.cells[index]
        if status != COMPLETED:
            self.nb_man.cell_exception(cell, cell_index=index)
        self.nb_man.cell_complete(cell, cell_index=index)
        if status != cell.metadata.papermill["status"]:
            cell.metadata.papermill["status"] = status
            self.nb_man.save()
        self._append(index, status)

    def close(self) -> None:
        """Note the cells that never ran; must come before Papermill turns `pending` into `completed`."""
        for index, cell in enumerate(self.nb_man.nb.cells):
            if cell.metadata.papermill["status"] == self.nb_man.PENDING:
                cell.metadata.papermill["status"] = NOT_RUN
                self.nb_man.nb.metadata.papermill["exception"] = True
                self._append(index, NOT_RUN)

    def _append(self, index: int, status: str) -> None:
        cell = self.nb_man.nb.cells[index]
        if self._journal is not None and cell.cell_type == "code":
            duration_s = round(cell.metadata.papermill["duration"] or 0.0, 3)
            self._journal.append(
                "cell", cell_id=self.cell_id(index), status=status, duration_s=duration_s, **self._names
            )
