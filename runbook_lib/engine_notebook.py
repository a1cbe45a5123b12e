"""The output notebook of an execution, saved without secrets and so that no kill leaves half of it.

Writes the output notebook and nothing else; the one place of the engine that does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from papermill.engines import NotebookExecutionManager
from papermill.iorw import write_ipynb

from runbook_lib.journal_notebook import write_notebook
from runbook_lib.scrub import SECRETS


class OutputNotebook(NotebookExecutionManager):  # type: ignore[misc] # papermill has no types
    """Papermill's record of an execution, with a file that is always whole."""

    def save(self, **_kwargs: Any) -> None:
        """Write the notebook as it is now, when there is a place for it."""
        if self.output_path:  # a copy: cells that did not run yet are executed as they are
            self._write(nbformat.from_dict(SECRETS.value(self.nb)), str(self.output_path))
        self.last_save_time = self.now()

    def notebook_complete(self, **kwargs: Any) -> None:
        """Note the end; Papermill writes the notebook once more, so from now on there is none with secrets."""
        self.nb.update(nbformat.from_dict(SECRETS.value(self.nb)))
        super().notebook_complete(**kwargs)

    @staticmethod
    def _write(notebook: Any, path: str) -> None:
        if "://" in path:  # Papermill knows such places
            write_ipynb(notebook, path)
        else:
            write_notebook(Path(path), nbformat.writes(notebook) + "\n")
