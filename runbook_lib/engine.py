"""The Papermill engine `runbook`: it says truthfully how each cell ended.

Papermill 2.7.0 marks every cell `completed` when the kernel dies or a cell times out, and takes SystemExit(0) for
success. This engine marks a cell `completed`, `failed`, `interrupted` (SIGTERM, Ctrl-C) or `not run`, raises a
NotebookError for everything but success, leaves no kernel behind, and writes `cell` events when it is given a run
folder. It starts kernels and writes output notebooks and journal events; it knows nothing of runbooks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from queue import Empty
from typing import IO, Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager
from jupyter_core.utils import ensure_async, run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger

from runbook_lib.errors import NotebookError
from runbook_lib.journal import Journal
from runbook_lib.engine_stop import Stop

COMPLETED, FAILED, INTERRUPTED, NOT_RUN = "completed", "failed", "interrupted", "not run"

_IDLE_AFTER_INTERRUPT_S = 10.0
_OUTPUT_TIMEOUT_S = 60  # nbclient gives a busy machine 4 s, then fails a cell that succeeded
_LAST_WORDS_BYTES = 2000
# The kernel dies with the process that started it (PR_SET_PDEATHSIG is 1); the second expression sees whether that is
# gone already. ipykernel's own poller takes a second, and fails under a sub-reaper when the parent dies early.
_DIE_WITH_PARENT = (
    '__import__("ctypes").CDLL(None).prctl(1, 9); '
    '__import__("os").getppid() == int(__import__("os").environ["JPY_PARENT_PID"]) or __import__("os")._exit(1);'
)


class CellFailedError(NotebookError):
    """A cell raised an error, took too long, or ended the notebook with SystemExit.

    Args:
        cell_id: The cell.
        message: What happened and which cells never ran.
        ename: Class name of the error.
    """

    def __init__(self, cell_id: str, message: str, ename: str) -> None:
        self.ename = ename
        super().__init__(cell_id, message)


class KernelDiedError(NotebookError, DeadKernelError):  # type: ignore[misc] # papermill exits 138 for DeadKernelError
    """The kernel ended while a cell ran; what that cell did is unknown."""


class NotebookInterruptedError(NotebookError):
    """SIGTERM or Ctrl-C stopped the notebook.

    Args:
        cell_id: The cell that was interrupted, or "" between two cells.
        message: What happened and which cells never ran.
        signum: The signal.
    """

    def __init__(self, cell_id: str, message: str, signum: int) -> None:
        self.signum = signum
        super().__init__(cell_id, message)


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
        record = _CellRecord(
            nb_man,
            kwargs.pop("journal_folder", ""),
            kwargs.pop("notebook", "") or Path(str(input_path or "")).stem,
            kwargs.pop("attempt", 1),
        )
        stop = kwargs.pop("stop", None) or Stop()
        timeout_s = kwargs.pop("execution_timeout", None) or kwargs.pop("timeout", None)
        start_timeout_s = kwargs.pop("start_timeout", 60)
        with tempfile.TemporaryFile() as last_words:
            client = _Client(
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
                raise NotebookError("", f"{type(error).__name__}: {error}. {record.never_ran()}") from error
            finally:
                record.close()


class _CellRecord:
    """What the output notebook and the journal say of each cell."""

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


class _ThisInterpreter(KernelSpecManager):  # type: ignore[misc] # jupyter_client has no types here
    """Knows `python3` as the interpreter that runs this, whatever kernel specifications the machine has."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name == NATIVE_KERNEL_NAME:
            return KernelSpec(resource_dir="", **get_kernel_dict())
        return super().get_kernel_spec(kernel_name)


class _Client(PapermillNotebookClient):  # type: ignore[misc] # papermill has no types
    """Runs cells one after the other until one does not complete."""

    def __init__(self, record: _CellRecord, stop: Stop, last_words: IO[bytes], **kwargs: Any) -> None:
        super().__init__(
            record.nb_man, log=logger, on_cell_executed=self._note_exit, iopub_timeout=_OUTPUT_TIMEOUT_S, **kwargs
        )
        self._record = record
        self._stop = stop
        self._last_words = last_words
        self._asked_to_exit = False

    def create_kernel_manager(self) -> Any:
        km = super().create_kernel_manager()
        km.kernel_spec_manager = _ThisInterpreter()
        if km.ipykernel and sys.platform == "linux":
            self.extra_arguments += [f"--IPKernelApp.exec_lines={_DIE_WITH_PARENT}"]
        return km

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if self._stop.requested:
                break
            self.nb_man.cell_start(cell, index)
            with self._stop.interrupting(self._signal_kernel):
                error = self._execute_one(cell, index)
            self._record.end(
                index, INTERRUPTED if isinstance(error, NotebookInterruptedError) else FAILED if error else COMPLETED
            )
            if error:
                raise error
        if self._stop.requested:
            text = f"stopped by {self._stop.name} between two cells. {self._record.never_ran()}"
            raise NotebookInterruptedError("", text, self._stop.signum)

    def _execute_one(self, cell: Any, index: int) -> NotebookError | None:
        """Execute one cell; return what went wrong."""
        self._asked_to_exit = False
        try:
            self.execute_cell(cell, index)
        except CellExecutionError as error:
            ename, text = error.ename, f"{error.ename}: {error.evalue}"
        except CellTimeoutError as error:
            self._end_cell()
            timeout_s = self._get_timeout(cell)
            text = f"the cell took longer than the {timeout_s} s allowed and was stopped" if timeout_s else str(error)
            ename = "CellTimeoutError"
        except DeadKernelError:
            ename, text = "DeadKernelError", f"the kernel died{self._cause_of_death()}; what this cell did is unknown"
        else:
            if not self._asked_to_exit:
                return None
            ename, text = "SystemExit", "exit() was called"
        return self._problem(self._record.cell_id(index), ename, text)

    def _problem(self, cell_id: str, ename: str, text: str) -> NotebookError:
        """Return the error that says what happened and which cells never ran."""
        if ename == "SystemExit":
            text = f"the notebook stopped itself ({text})"
        text = f"{text}. {self._record.never_ran()}"
        if self._stop.requested:
            return NotebookInterruptedError(cell_id, f"stopped by {self._stop.name}: {text}", self._stop.signum)
        if ename == "DeadKernelError":
            return KernelDiedError(cell_id, text)
        return CellFailedError(cell_id, text, ename)

    def _note_exit(self, **hook: Any) -> None:
        """Notice `exit()` and `quit()`, which IPython answers with success and an ended kernel."""
        payload = hook["execute_reply"]["content"].get("payload") or []
        self._asked_to_exit = any(item.get("source") == "ask_exit" for item in payload)

    def _signal_kernel(self, signum: int) -> None:
        """Send a signal to the kernel and its children; jupyter_client starts it in a session of its own."""
        with contextlib.suppress(AttributeError, ProcessLookupError):  # it ended already
            os.killpg(self.km.provisioner.pgid, signum)

    def _end_cell(self) -> None:
        """Interrupt the running cell, let it note how far it came, then make the kernel's end immediate."""
        self._signal_kernel(signal.SIGINT)
        with contextlib.suppress(Empty):
            run_sync(self._wait_for_any_reply)()
        self.shutdown_kernel = "immediate"

    async def _wait_for_any_reply(self) -> None:
        await ensure_async(self.kc.shell_channel.get_msg(timeout=_IDLE_AFTER_INTERRUPT_S))

    def _cause_of_death(self) -> str:
        """Return the signal or exit code the kernel ended with, and the end of what it wrote to standard error."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = process.poll() if process is not None else None
        text = "" if code is None else f" with exit code {code}" if code >= 0 else f" by {signal.Signals(-code).name}"
        size = self._last_words.seek(0, os.SEEK_END)
        self._last_words.seek(max(0, size - _LAST_WORDS_BYTES))
        words = self._last_words.read().decode("utf-8", "replace").strip()
        return f"{text}; its last words: {words}" if words else text
