"""A run's folder: its id, who opened it, with which parameters."""

from __future__ import annotations

import getpass
import importlib.metadata
import platform
import re
import secrets
import socket
from pathlib import Path

from runbook_lib import parameters as parameter_file
from runbook_lib.adapters.clock import Clock
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal
from runbook_lib.parameters import Parameters

_RUN_ID = re.compile(r"^\d{8}T\d{6}Z-[a-z][a-z0-9-]*-[0-9a-f]{4}$")


def operator() -> str:
    """Return who runs this, as the machine knows it.

    Returns:
        `user@host`.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the password file, as in some containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def new_run_id(name: str, clock: Clock) -> str:
    """Return a fresh run id.

    Args:
        name: The migration's name.
        clock: The clock.

    Returns:
        `<UTC yyyymmddThhmmssZ>-<name>-<4 hex>`.
    """
    return f"{clock.now_utc():%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(2)}"


def open_journal(run_id: str, directory: Path) -> Journal:
    """Return the journal of a run that exists.

    Args:
        run_id: The run.
        directory: The archive directory, usually `runs`.

    Returns:
        The journal.

    Raises:
        JournalError: when there is no such run.
    """
    if not _RUN_ID.match(run_id) or not (directory / run_id / "journal.jsonl").exists():
        raise JournalError(f"no run {run_id!r} in {directory}; `runbook list` shows what is there")
    return Journal(directory / run_id, Clock().now_utc)


def create_run(parameters: Parameters, *, reason: str, execute: bool, run_id: str = "") -> Journal:
    """Make the run folder, or open the one that exists, and note that it was opened.

    Args:
        parameters: What to migrate.
        reason: Why, and the ticket.
        execute: Whether acts will be carried out.
        run_id: Continue this run; "" makes a new one.

    Returns:
        The run's journal.

    Raises:
        JournalError: when the run does not exist, or was opened with other parameters.

    Changes:
        The run folder.
    """
    clock = Clock()
    directory = Path(parameters.archive.directory)
    digest = parameter_file.digest(parameters)
    if run_id:
        journal = open_journal(run_id, directory)
        _refuse_other_parameters(journal, digest)
    else:
        journal = Journal(directory / new_run_id(parameters.name, clock), clock.now_utc)
        journal.write("parameters.yaml", parameter_file.dump(parameters))
    journal.append(
        "run-opened",
        name=parameters.name,
        operator=operator(),
        reason=reason,
        execute=execute,
        parameters_sha256=digest,
        library_version=importlib.metadata.version("runbook-lib"),
        python=platform.python_version(),
        outage_budget_s=parameters.policy.outage_budget_s,
        volume_id=parameters.volume.volume_id,
        account_id=parameters.aws.account_id,
        region=parameters.aws.region,
    )
    return journal


def _refuse_other_parameters(journal: Journal, digest: str) -> None:
    opened = journal.last("run-opened")
    if opened is not None and opened.fields["parameters_sha256"] != digest:
        raise JournalError(
            f"run {journal.run_id} was opened with other parameters "
            f"(digest {opened.fields['parameters_sha256'][:12]}…, now {digest[:12]}…). Nothing was changed. "
            f"Run again with {journal.folder / 'parameters.yaml'}, "
            "or leave run_id empty to open a new run."
        )
