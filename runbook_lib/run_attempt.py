"""The processes of a run's attempt: noted while they run, ended in order when somebody has to end them.

Sends signals to processes that the run's own journal names, and only after proving by machine and starting time that
they still are those processes. Ends nothing on other machines.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

from runbook_lib.adapters.clock import Clock
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal
from runbook_lib.lease_record import is_alive, process_start, this_machine
from runbook_lib.model import StepStatus

_POLL_S = 0.1
_STEP_ENDS_S = 30.0
"""A runner gives an interrupted step 20 s before it kills the kernel."""
_AFTER_KILL_S = 15.0


@dataclass(frozen=True)
class AttemptProcess:
    """One process that works on a run.

    Args:
        role: `runner` (runs notebooks) or `kernel` (holds the volume and acts).
        host: Name of its machine, for people.
        machine: As `lease_record.this_machine`.
        pid: Its id.
        process_start: As `lease_record.process_start`.
    """

    role: str
    host: str
    machine: str
    pid: int
    process_start: int

    @classmethod
    def of(cls, role: str, fields: dict[str, Any]) -> Self:
        """Return the process that an event's fields name."""
        return cls(role, fields["host"], fields["machine"], fields["pid"], fields["process_start"])

    @property
    def is_alive(self) -> bool:
        """Whether it runs on this machine."""
        return is_alive(self.machine, self.pid, self.process_start)


def note_runner(journal: Journal) -> None:
    """Note in the journal that this process runs the run's notebooks.

    Args:
        journal: The run's journal.

    Changes:
        A `runner` event.
    """
    journal.append("runner", **runner_fields(os.getpid()))


def runner_fields(pid: int) -> dict[str, Any]:
    """Return the fields of a `runner` event.

    Args:
        pid: A process of this machine.

    Returns:
        Keys `host, machine, pid, process_start`.
    """
    return {"host": socket.gethostname(), "machine": this_machine(), "pid": pid, "process_start": process_start(pid)}


def find_processes(journal: Journal) -> list[AttemptProcess]:
    """Return the living processes of a run's last attempt on this machine, the runner first.

    Args:
        journal: The run's journal.

    Returns:
        None, one or two processes.
    """
    runner, lease = journal.last("runner"), journal.last("lease", phase="acquired")
    found = [AttemptProcess.of("runner", runner.fields)] if runner else []
    found += [AttemptProcess.of("kernel", lease.fields["holder"])] if lease else []
    return [process for process in found if process.is_alive and process.pid != os.getpid()]


def end_attempt(journal: Journal, clock: Clock, *, operator: str, reason: str) -> list[AttemptProcess]:
    """End whatever still works on a run, in order where it lets itself be ended so.

    A runner is asked first: it interrupts the step, lets it note how far it came, and writes the record. Who does not
    end in its time is killed; the next attempt looks at the world, not at what the dead one remembered.

    Args:
        journal: The run's journal.
        clock: The clock.
        operator: Who wants it.
        reason: Why.

    Returns:
        The processes that were ended.

    Raises:
        JournalError: when one does not end at all.

    Changes:
        A `panic` event; the processes.
    """
    found = find_processes(journal)
    journal.append("panic", operator=operator, reason=reason, processes=[asdict(process) for process in found])
    for process in found:
        if process.role == "runner":
            _end(
                process, clock, ((signal.SIGTERM, _STEP_ENDS_S), (signal.SIGTERM, 10), (signal.SIGKILL, _AFTER_KILL_S))
            )
        else:
            _interrupt_kernel(process, journal, clock)
    return found


def _interrupt_kernel(process: AttemptProcess, journal: Journal, clock: Clock) -> None:
    """End a kernel that nobody runs notebooks in, as in JupyterLab: interrupt its step first."""
    if _wait(lambda: not process.is_alive, clock, 5.0):  # its runner's end is its own
        return
    _signal(process, signal.SIGINT)

    def rests() -> bool:
        last = journal.last("step")
        return not process.is_alive or last is None or last.fields["status"] != StepStatus.RUNNING

    _wait(rests, clock, _STEP_ENDS_S)
    _end(process, clock, ((signal.SIGTERM, 5), (signal.SIGKILL, _AFTER_KILL_S)))


def _end(process: AttemptProcess, clock: Clock, attempts: tuple[tuple[signal.Signals, float], ...]) -> None:
    for signum, patience_s in attempts:
        _signal(process, signum)
        if _wait(lambda: not process.is_alive, clock, patience_s):
            return
    raise JournalError(
        f"the {process.role} of the run, process {process.pid} on {process.host}, does not end even when it is killed. "
        "Nothing else was changed. It waits for the kernel, usually for a disk; end that, then run panic again"
    )


def _signal(process: AttemptProcess, signum: int) -> None:
    if process.is_alive:  # looked at again right before: ids are given out anew
        with suppress(ProcessLookupError):
            os.kill(process.pid, signum)


def _wait(until: Callable[[], bool], clock: Clock, patience_s: float) -> bool:
    deadline = clock.monotonic() + patience_s
    while not until():
        if clock.monotonic() > deadline:
            return False
        clock.sleep(_POLL_S)
    return True
