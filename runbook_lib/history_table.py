"""Every run of an archive as a table, for a notebook. The only home of pandas, which is slow to import."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from runbook_lib.archive_index import list_runs
from runbook_lib.archive_summary import RunSummary
from runbook_lib.errors import JournalError

_TIMES = ("started_utc", "finished_utc")
_SECONDS = ("runtime_s", "outage_s", "outage_budget_s")


def history(directory: str | Path = "../runs") -> pd.DataFrame:
    """Return every run of an archive, for a notebook to look at and to plot.

    Args:
        directory: The archive; the default is right for notebooks of this checkout.

    Returns:
        One row per run, oldest first, indexed by `run_id`; columns as RunSummary. Times are times, and seconds are
        numbers, NaN where there are none. `runbook.plot_history` draws it.

    Raises:
        JournalError: when there is no such folder.

    Changes:
        The archive's index file.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise JournalError(f"no archive in {folder.resolve()}; expected the folder that holds the run folders")
    runs = [run._asdict() for run in reversed(list_runs(folder))]
    table = pd.DataFrame(runs, columns=list(RunSummary._fields)).set_index("run_id")
    for column in _TIMES:
        table[column] = pd.to_datetime(table[column], utc=True, format="ISO8601", errors="coerce")
    table["execute"] = table["execute"].astype(bool)
    for column in _SECONDS:
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table
