"""The output notebook of an execution, saved so that no kill leaves half of it.

Writes the output notebook and nothing else; the one place of the engine that does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from papermill.engines import NotebookExecutionManager
from papermill.iorw import write_ipynb

from runbook_lib.journal_notebook import write_notebook


class OutputNotebook(NotebookExecutionManager):  # type: ignore[misc] # papermill has no types
    """Papermill's record of an execution, with a file that is always whole."""

    def save(self, **_kwargs: Any) -> None:
        """Write the notebook as it is now, when there is a place for it."""
        if self.output_path:
            self._write(self.nb, str(self.output_path))
        self.last_save_time = self.now()

    @staticmethod
    def _write(notebook: Any, path: str) -> None:
        if "://" in path:  # Papermill knows such places
            write_ipynb(notebook, path)
        else:
            write_notebook(Path(path), nbformat.writes(notebook) + "\n")
