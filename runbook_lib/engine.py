"""The Papermill engine `runbook`: it says truthfully how each cell ended.

Papermill 2.7.0 marks every cell `completed` when the kernel dies or a cell times out, and takes SystemExit(0) for
success. This engine marks a cell `completed`, `failed`, `interrupted` (by a signal or the kernel's death), `skipped` or
`not run`, raises a NotebookError for everything but success, leaves no kernel behind, and writes `cell` events when it
is given a run folder, or the notebook opens a run by itself. Should this process be killed, a witness puts the notebook
right. It starts kernels and writes output notebooks and journal events; it knows nothing of runbooks.
"""

from __future__ import annotations

import os
import signal
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from papermill.engines import NBClientEngine

from runbook_lib.engine_client import Client, NotebookInterruptedError
from runbook_lib.engine_notebook import OutputNotebook
from runbook_lib.engine_record import CellRecord, keep_attempt
from runbook_lib.engine_stop import Stop
from runbook_lib.engine_witness import witness
from runbook_lib.errors import NotebookError
from runbook_lib.journal_link import Link

_SESSION = "JPY_SESSION_NAME"
"""Jupyter's server gives it to the kernels of its pages; here nobody sits at one, whoever started this."""


def _unattended() -> dict[str, str]:
    """Return this process's environment for a kernel that nobody watches."""
    return {name: value for name, value in os.environ.items() if name != _SESSION}


class RunbookEngine(NBClientEngine):  # type: ignore[misc] # papermill has no types
    """Papermill engine whose record can be believed.

    Engine arguments beside Papermill's own: `journal_folder` (run folder for `cell` events), `notebook` and `attempt`
    (named in these events), `stop` (a `Stop` that the caller has entered).
    """

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **kwargs: Any) -> Any:
        """Execute a notebook.

        Args:
            nb: The parameterized notebook.
            kernel_name: Name of the kernel specification; `python3` is always this interpreter.
            **kwargs: Papermill's and the engine's arguments.

        Returns:
            The executed notebook.

        Raises:
            NotebookError: when a cell or the kernel failed, or a signal came while the caller's `stop` was entered.

        Changes:
            The output notebook; the journal, when there is one. Without a `stop` of the caller, a signal that came is
            delivered to this process again after the record is written.
        """
        if kwargs.get("stop") is not None:
            return cls._execute(nb, kernel_name, **kwargs)
        try:
            with Stop() as stop:
                return cls._execute(nb, kernel_name, **{**kwargs, "stop": stop})
        except NotebookInterruptedError as error:
            signal.raise_signal(error.signum)
            raise

    @classmethod
    def _execute(cls, nb: Any, kernel_name: str, **kwargs: Any) -> Any:
        """Execute a notebook; when it opened a run by itself, make that run's record whole."""
        links: list[Link] = []
        started, error = datetime.now(UTC), None
        try:
            with witness(kwargs.get("output_path")):
                return cls._save_and_execute(nb, kernel_name, **kwargs, on_link=links.append)
        except BaseException as caught:
            error = caught
            raise
        finally:
            for link in links:
                keep_attempt(link, nb, error, started)

    @classmethod
    def _save_and_execute(cls, nb: Any, kernel_name: str, **kwargs: Any) -> Any:
        """Execute a notebook with a file that is whole at every moment."""
        names = ("output_path", "progress_bar", "log_output", "autosave_cell_every")
        output = OutputNotebook(nb, **{name: kwargs.pop(name) for name in names if name in kwargs})
        output.notebook_start()
        try:
            cls.execute_managed_notebook(output, kernel_name, log_output=output.log_output, **kwargs)
        finally:
            output.notebook_complete()
        return output.nb

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
        """Execute the cells in a kernel; as `execute_notebook`, with Papermill's execution manager.

        Args:
            nb_man: Papermill's record of the execution.
            kernel_name: Name of the kernel specification.
            **kwargs: Papermill's and the engine's arguments.

        Returns:
            The executed notebook.

        Raises:
            NotebookError: when a cell or the kernel failed, or a signal came.
        """
        input_path = kwargs.pop("input_path", None)
        notebook = kwargs.pop("notebook", "") or Path(str(input_path or "")).stem or "notebook"
        record = CellRecord(nb_man, kwargs.pop("journal_folder", ""), notebook, kwargs.pop("attempt", 1))
        on_link = kwargs.pop("on_link", None)
        kwargs["timeout"] = kwargs.pop("execution_timeout", None) or kwargs.pop("timeout", None)
        kwargs["startup_timeout"] = kwargs.pop("start_timeout", 60)
        try:
            with record:
                return cls._run(record, kwargs.pop("stop", None) or Stop(), kernel_name=kernel_name, **kwargs)
        finally:
            if record.link is not None and on_link is not None:
                on_link(record.link)

    @staticmethod
    def _run(record: CellRecord, stop: Stop, **kwargs: Any) -> Any:
        """Run the cells; whatever jupyter_client raises while a kernel starts or ends becomes a NotebookError."""
        with tempfile.TemporaryFile() as last_words:
            client = Client(record, stop, last_words, **kwargs)
            try:
                # neither may reach the terminal: ipykernel writes through what children of a cell print, as it is
                files = {"stdout": last_words, "stderr": last_words}
                return client.execute(**files, env={**_unattended(), **record.environment()})
            except NotebookError:
                raise
            except Exception as error:
                record.nb_man.nb.metadata.papermill["exception"] = True
                raise NotebookError("", f"{type(error).__name__}: {error}. {record.never_ran()}") from error
