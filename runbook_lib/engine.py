"""The Papermill engine `runbook`: it says truthfully how each cell ended.

Papermill 2.7.0 marks every cell `completed` when the kernel dies or a cell times out, and takes SystemExit(0) for
success. This engine marks a cell `completed`, `failed`, `interrupted` (SIGTERM, Ctrl-C) or `not run`, raises a
NotebookError for everything but success, leaves no kernel behind, and writes `cell` events when it is given a run
folder. It starts kernels and writes output notebooks and journal events; it knows nothing of runbooks.
"""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import Any

from papermill.engines import NBClientEngine

from runbook_lib.engine_client import Client, NotebookInterruptedError
from runbook_lib.engine_record import CellRecord
from runbook_lib.engine_stop import Stop
from runbook_lib.errors import NotebookError


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
            return super().execute_notebook(nb, kernel_name, **kwargs)
        try:
            with Stop() as stop:
                return super().execute_notebook(nb, kernel_name, **{**kwargs, "stop": stop})
        except NotebookInterruptedError as error:
            signal.raise_signal(error.signum)
            raise

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
        record = CellRecord(
            nb_man,
            kwargs.pop("journal_folder", ""),
            kwargs.pop("notebook", "") or Path(str(input_path or "")).stem,
            kwargs.pop("attempt", 1),
        )
        stop = kwargs.pop("stop", None) or Stop()
        timeout_s = kwargs.pop("execution_timeout", None) or kwargs.pop("timeout", None)
        start_timeout_s = kwargs.pop("start_timeout", 60)
        with tempfile.TemporaryFile() as last_words:
            client = Client(
                record,
                stop,
                last_words,
                kernel_name=kernel_name,
                timeout=timeout_s,
                startup_timeout=start_timeout_s,
                **kwargs,
            )
            try:
                return client.execute(stderr=last_words)
            except NotebookError:
                raise
            except Exception as error:  # whatever jupyter_client raises while a kernel starts or ends
                nb_man.nb.metadata.papermill["exception"] = True
                raise NotebookError("", f"{type(error).__name__}: {error}. {record.never_ran()}") from error
            finally:
                record.close()
