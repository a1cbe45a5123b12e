"""Run a notebook's cells in a kernel until one does not complete, and say why it did not.

Starts one kernel and ends it; sends it signals. It writes nothing but through the record it is given.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from queue import Empty
from typing import IO, Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager
from jupyter_core.utils import ensure_async, run_sync
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.log import logger

from runbook_lib.engine_record import COMPLETED, FAILED, INTERRUPTED, CellRecord
from runbook_lib.engine_stop import Stop
from runbook_lib.errors import NotebookError
from runbook_lib.scrub import SECRETS

_IDLE_AFTER_INTERRUPT_S = 10.0
_OUTPUT_TIMEOUT_S = 60  # nbclient gives a busy machine 4 s, then fails a cell that succeeded
_LAST_WORDS_BYTES = 2000
_VMSTAT = Path("/proc/vmstat")
# The kernel dies with the process that started it (PR_SET_PDEATHSIG is 1); the second expression sees whether that is
# gone already. ipykernel's own poller takes a second, and fails under a sub-reaper when the parent dies early.
_DIE_WITH_PARENT = (
    '__import__("ctypes").CDLL(None).prctl(1, 9); '
    '__import__("os").getppid() == int(__import__("os").environ["JPY_PARENT_PID"]) or __import__("os")._exit(1);'
)


def _out_of_memory_kills() -> int:
    """Return how many processes this machine has killed because memory ran out; 0 where it does not tell.

    Source: proc_vmstat(5), since Linux 4.13.
    """
    try:
        words = _VMSTAT.read_text("ascii").split()
    except OSError:
        return 0
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


class CellEndedError(NotebookError):
    """A cell did not complete.

    Args:
        cell_id: The cell, or "" between two cells.
        why: What ended it.
        never_ran: Which cells never ran, in a sentence.
    """

    def __init__(self, cell_id: str, why: str, never_ran: str = "") -> None:
        self.why = why
        super().__init__(cell_id, f"{why.rstrip('.')}. {never_ran}" if never_ran else why)


class CellFailedError(CellEndedError):
    """A cell raised an error, took too long, or ended the notebook with SystemExit.

    Args:
        cell_id: The cell.
        why: What ended it.
        ename: Class name of the error.
        never_ran: Which cells never ran, in a sentence.
    """

    def __init__(self, cell_id: str, why: str, ename: str, never_ran: str = "") -> None:
        self.ename = ename
        super().__init__(cell_id, why, never_ran)


class KernelDiedError(CellEndedError, DeadKernelError):  # type: ignore[misc] # papermill exits 138 for DeadKernelError
    """The kernel ended while a cell ran; what that cell did is unknown."""


class NotebookInterruptedError(CellEndedError):
    """SIGTERM or Ctrl-C stopped the notebook.

    Args:
        cell_id: The cell that was interrupted, or "" between two cells.
        why: What happened.
        signum: The signal.
        never_ran: Which cells never ran, in a sentence.
    """

    def __init__(self, cell_id: str, why: str, signum: int, never_ran: str) -> None:
        self.signum = signum
        super().__init__(cell_id, why, never_ran)


class _ThisInterpreter(KernelSpecManager):  # type: ignore[misc] # jupyter_client has no types here
    """Knows `python3` as the interpreter that runs this, whatever kernel specifications the machine has."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name == NATIVE_KERNEL_NAME:
            return KernelSpec(resource_dir="", **get_kernel_dict())
        return super().get_kernel_spec(kernel_name)


class Client(PapermillNotebookClient):  # type: ignore[misc] # papermill has no types
    """Runs cells one after the other until one does not complete.

    Args:
        record: Where to note how each cell ended.
        stop: Notices signals.
        last_words: File that the kernel's standard output and error go to.
        **kwargs: As nbclient's NotebookClient.
    """

    def __init__(self, record: CellRecord, stop: Stop, last_words: IO[bytes], **kwargs: Any) -> None:
        super().__init__(
            record.nb_man,
            log=logger,
            on_cell_executed=self._note_exit,
            iopub_timeout=_OUTPUT_TIMEOUT_S,
            coalesce_streams=True,  # what was printed in two pieces is looked at as one
            **kwargs,
        )
        self._record = record
        self._stop = stop
        self._last_words = last_words
        self._asked_to_exit = False
        self._out_of_memory = _out_of_memory_kills()

    def create_kernel_manager(self) -> Any:
        """Return a kernel manager for this interpreter, whose kernel cannot outlive this process."""
        km = super().create_kernel_manager()
        km.kernel_spec_manager = _ThisInterpreter()
        if km.ipykernel and sys.platform == "linux":
            self.extra_arguments += [f"--IPKernelApp.exec_lines={_DIE_WITH_PARENT}"]
        return km

    def process_message(self, msg: dict[str, Any], *arguments: Any, **kwargs: Any) -> Any:
        """Take what a cell shows without secrets, before Papermill logs it or writes it to a file."""
        return super().process_message({**msg, "content": SECRETS.value(msg["content"])}, *arguments, **kwargs)

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: dict[str, Any] | None) -> None:
        """Raise what a cell raised, its text and traceback without secrets."""
        clean = exec_reply and {**exec_reply, "content": SECRETS.value(exec_reply["content"])}
        await super()._check_raise_for_error(cell, cell_index, clean)

    def papermill_execute_cells(self) -> None:
        """Execute the cells in order.

        Raises:
            NotebookError: when a cell did not complete, or a signal came.
        """
        for index, cell in enumerate(self.nb.cells):
            if self._stop.requested:
                break
            self.nb_man.cell_start(cell, index)
            with self._stop.interrupting(self._signal_kernel):
                error = self._execute_one(cell, index)
            if error is None:
                self._record.end(index, COMPLETED)
                continue
            is_cut_short = isinstance(error, NotebookInterruptedError | KernelDiedError)
            self._record.end(index, INTERRUPTED if is_cut_short else FAILED, error.why)
            raise error
        if self._stop.requested:
            why = f"stopped by {self._stop.name} between two cells"
            raise NotebookInterruptedError("", why, self._stop.signum, self._record.never_ran())

    def _execute_one(self, cell: Any, index: int) -> CellEndedError | None:
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

    def _problem(self, cell_id: str, ename: str, text: str) -> CellEndedError:
        """Return the error that says what happened and which cells never ran."""
        if ename == "SystemExit":
            text = f"the notebook stopped itself ({text})"
        never_ran = self._record.never_ran()
        if self._stop.requested:
            why = f"stopped by {self._stop.name}: {text}"
            return NotebookInterruptedError(cell_id, why, self._stop.signum, never_ran)
        if ename == "DeadKernelError":
            return KernelDiedError(cell_id, text, never_ran)
        return CellFailedError(cell_id, text, ename, never_ran)

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
        """Return the signal or exit code the kernel ended with, and the end of what it wrote past its messages."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = process.poll() if process is not None else None
        text = "" if code is None else f" with exit code {code}" if code >= 0 else f" by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL and _out_of_memory_kills() > self._out_of_memory:
            text += ", and the machine killed a process because memory ran out"
        size = self._last_words.seek(0, os.SEEK_END)
        self._last_words.seek(max(0, size - _LAST_WORDS_BYTES))
        words = SECRETS.text(self._last_words.read().decode("utf-8", "replace").strip())
        return f"{text}; its last words: {words}" if words else text
