"""Read many run folders with every processor, for a command line that has nothing else to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from runbook_lib.archive_summary import RunSummary, summarize

_WORTH_IT = 400
"""So many small journals take longer to read than processes take to start."""


def summarize_all(folders: Sequence[Path], *, worth_it: int = _WORTH_IT) -> Iterable[RunSummary]:
    """Return runs in one line each.

    Args:
        folders: The run folders.
        worth_it: From how many folders on other processes help.

    Returns:
        The summaries, in the order of the folders.

    Changes:
        Nothing. It forks, so the process that calls it must have no threads; elsewhere `summarize` does the same.
    """
    workers = os.cpu_count() or 1
    if len(folders) < worth_it or workers < 2 or sys.platform != "linux":  # noqa: PLR2004 - alone is as quick
        return map(summarize, folders)
    import multiprocessing  # noqa: PLC0415 - both are slow to import, and seldom needed
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        return list(pool.map(summarize, folders, chunksize=max(1, min(200, len(folders) // (4 * workers)))))
