"""Which processes may still be at a run whose journal records no end; pure: whether they live is asked elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from runbook_lib.model import Event
from runbook_lib.report_attempts import attempts

RUNNING = "running"
"""What a run is called whose process lives: no state in its record, which nobody has finished."""

_AT_REST = {"run-closed", "notebook-finished", "notebooks-ended", "notification"}


class Process(NamedTuple):
    """A process that the journal names.

    Args:
        machine: Boot and PID namespace of its machine; "" where that could not be told.
        pid: Its id.
        process_start: When it began, in the kernel's ticks; a later process may get the same id.
        host: Name of the machine, for people.
    """

    machine: str
    pid: int
    process_start: int
    host: str


def open_processes(events: Sequence[Event]) -> tuple[Process, ...]:
    """Return the processes that the newest attempt of a run has, while the journal does not record its end.

    Args:
        events: The journal, oldest first.

    Returns:
        The runner, the kernel, both or none; none when the attempt's end is recorded.
    """
    return tuple(Process(*(e.fields[name] for name in Process._fields)) for e in _naming(events))


def _naming(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events that name them, each with the process as its fields."""
    at_rest = not events or events[-1].kind in _AT_REST
    newest = next((one for one in attempts(events)[-1:] if one.status == "open"), None) if not at_rest else None
    runner = next((event for event in reversed(events) if event.kind == "runner"), None)
    if runner is not None and ((newest is not None and "notebook" in newest.fields) or _has_more(events, runner.seq)):
        yield runner
    for event in reversed(events[newest.seq :] if newest is not None else ()):
        if event.kind == "lease" and event.fields.get("phase") == "acquired":
            yield Event(event.seq, event.at_utc, event.kind, event.fields["holder"], event.previous_sha256)
            return


def _has_more(events: Sequence[Event], since_seq: int) -> bool:
    """Return whether a runner was asked for notebooks that it did not come to, and nothing stopped it."""
    newer = [event for event in events if event.seq > since_seq]
    requested = [event.fields["notebooks"] for event in newer if event.kind == "notebooks-requested"]
    ended = {str(e.fields["notebook"]): e.fields["status"] for e in newer if e.kind == "notebook-finished"}
    if set(ended.values()) - {"completed"}:
        return False
    return not requested or bool({PurePath(name).stem for name in requested[-1]} - ended.keys())
