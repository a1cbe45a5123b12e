# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""What `--if-missed` asks: whether a scheduled run is due that was missed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runbook_lib import cli_log
from runbook_lib.errors import ParameterError


def is_due(if_missed: str, notebooks: Sequence[str], parameters_file: Path, *, execute: bool) -> bool:
    """Return whether a run is due that a schedule missed, and say so when it is not.

    Args:
        if_missed: The schedule, as crontab(5) writes it.
        notebooks: As `find_notebooks`.
        parameters_file: The parameters.
        execute: Whether they were to act.

    Raises:
        ParameterError: when the schedule is none.
    """
    from runbook_lib import parameters as parameter_file
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.archive_due import begun_since
    from runbook_lib.execute_names import find_notebooks, name_of
    from runbook_lib.schedule_cron import parse

    try:
        cron = parse(if_missed)
    except ValueError as error:
        raise ParameterError([f"--if-missed: {error}"]) from None
    parameters = parameter_file.load(parameters_file)
    wanted = [name_of(path) for path in find_notebooks(notebooks)]
    due = cron.last_due(Clock().now_utc().astimezone().replace(tzinfo=None))
    if due is None:
        raise ParameterError([f"--if-missed: {if_missed!r} is never due"])
    directory = Path(parameters.archive.directory)
    run_id = begun_since(directory, parameters.name, wanted, Clock.utc_of_local(due), execute=execute)
    if run_id:
        cli_log.say(f"nothing was missed since {due:%Y-%m-%d %H:%M}: {run_id} was begun then", "not_missed", run_id)
    return not run_id
