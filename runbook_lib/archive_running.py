"""Whether a run is under way at this moment: its journal records no end, and a process that it names lives here."""

from __future__ import annotations

from collections.abc import Iterable

from runbook_lib.lease_record import is_alive
from runbook_lib.report_running import Process


def living(processes: Iterable[Process]) -> list[Process]:
    """Return those processes that live on this machine.

    Args:
        processes: As `open_processes`.

    Returns:
        Some of them, in their order. Of a process of another machine nothing can be told, so it is left out.
    """
    return [one for one in processes if is_alive(one.machine, one.pid, one.process_start)]
