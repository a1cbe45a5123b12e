"""A run's folder: its id, who opened it, with which parameters."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import importlib.metadata
import platform
import re
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib import parameters as parameter_file
from runbook_lib.adapters.clock import Clock
from runbook_lib.errors import JournalError, ParameterError
from runbook_lib.journal import Journal
from runbook_lib.model import Event
from runbook_lib.parameters import Parameters
from runbook_lib.run_commit import git_commit
from runbook_lib.run_digests import Change, find_changes, library_digest, notebook_digests
from runbook_lib.run_repair import repair_attempts

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


def find_run(run_id: str, directory: str | Path = "") -> Journal:
    """Return the journal of a run as a cell names it.

    Args:
        run_id: The run.
        directory: The archive; "" is the checkout's, for a notebook of it and for a working copy.

    Returns:
        The journal.

    Raises:
        JournalError: when there is no such run.
    """
    usual = [Path("../runs"), Path("../../../runs")]
    folders = [Path(directory)] if directory else usual
    return open_journal(run_id, next((one for one in folders if (one / run_id).is_dir()), folders[0]))


@dataclass(frozen=True)
class Terms:
    """On which terms a run is continued when it is not what it was opened with.

    Args:
        accept_changes: Why the changes are accepted; "" accepts none.
        way_back: Whether only the way back is taken: it goes on with a changed library or notebook, and records it.
    """

    accept_changes: str = ""
    way_back: bool = False


def create_run(
    parameters: Parameters,
    *,
    reason: str,
    execute: bool,
    run_id: str = "",
    terms: Terms | None = None,
    notebooks: Iterable[Path] = (),
) -> Journal:
    """Make the run folder, or open the one that exists, and note that it was opened.

    Args:
        parameters: What to migrate.
        reason: Why, and the ticket.
        execute: Whether acts will be carried out.
        run_id: Continue this run; "" makes a new one.
        terms: What to do when library, notebooks or parameters changed since the run was last opened.
        notebooks: Notebooks outside of the checkout's folder that are going to run.

    Returns:
        The run's journal.

    Raises:
        JournalError: when the run does not exist, or changed and the terms do not cover that.

    Changes:
        The run folder.
    """
    clock = Clock()
    directory = Path(parameters.archive.directory)
    digest, notebook_sums = parameter_file.digest(parameters), notebook_digests(notebooks)
    if run_id:
        repair_attempts(journal := open_journal(run_id, directory))
        opened = journal.last("run-opened")
        if opened is not None:
            digest = _parameters_digest(journal, opened, parameters)
            _compare(journal, opened, parameters, find_changes(opened.fields, digest, notebook_sums), terms or Terms())
            notebook_sums = opened.fields.get("notebooks_sha256", {}) | notebook_sums
    else:
        journal = Journal(directory / new_run_id(parameters.name, clock), clock.now_utc)
        journal.write("parameters.yaml", parameter_file.dump(parameters))
    journal.append(
        "run-opened",
        run_id=journal.run_id,
        name=parameters.name,
        operator=operator(),
        reason=reason,
        execute=execute,
        parameters_sha256=digest,
        library_sha256=library_digest(),
        notebooks_sha256=notebook_sums,
        library_version=importlib.metadata.version("runbook-lib"),
        python=platform.python_version(),
        git_commit=git_commit(),
        **_about(parameters),
    )
    return journal


def _about(parameters: Parameters) -> dict[str, Any]:
    """Return what the run is about, for `run-opened`; `targets` is what an approval names."""
    ids = {
        "account": parameters.aws.account_id,
        "region": parameters.aws.region,
        "instance": parameters.source.instance_id,
        "volume": parameters.volume.volume_id,
        "cluster": parameters.target.cluster_name,
        "service": parameters.target.service_name,
    }
    return {
        "outage_budget_s": parameters.policy.outage_budget_s,
        "volume_id": ids["volume"],
        "account_id": ids["account"],
        "region": ids["region"],
        "targets": ids,
    }


def _file_digest(journal: Journal) -> str:
    return hashlib.sha256(journal.read("parameters.yaml")).hexdigest()


def _parameters_digest(journal: Journal, opened: Event, parameters: Parameters) -> str:
    """Return what identifies the parameters: as recorded while they are what the run's own, untouched file says.

    A release with a new key writes the same parameters otherwise; that is a changed library, and must not keep anybody
    from rolling back.
    """
    recorded = str(opened.fields["parameters_sha256"])
    if _file_digest(journal) == recorded:
        with contextlib.suppress(ParameterError):
            if parameter_file.load(journal.folder / "parameters.yaml") == parameters:
                return recorded
    return parameter_file.digest(parameters)


def _compare(journal: Journal, opened: Event, parameters: Parameters, changes: Sequence[Change], terms: Terms) -> None:
    """Refuse what changed, or record that it was accepted."""
    if not changes:
        return
    other_parameters = any(change.what == "parameters" for change in changes)
    if other_parameters:
        _refuse_another_migration(journal, opened, parameters)
    if not terms.accept_changes and (other_parameters or not terms.way_back):
        raise JournalError(_refusal(journal, opened, changes, other_parameters=other_parameters))
    journal.append(
        "changes",
        changes=[change.as_json() for change in changes],
        reason=terms.accept_changes,
        accepted="by a person" if terms.accept_changes else "because the way back is never blocked",
        operator=operator(),
        since_seq=opened.seq,
    )
    if other_parameters:
        journal.write(f"parameters.until-{opened.seq}.yaml", journal.read("parameters.yaml"))
        journal.write("parameters.yaml", parameter_file.dump(parameters))


def _refuse_another_migration(journal: Journal, opened: Event, parameters: Parameters) -> None:
    """Refuse parameters that are about something else; no reason makes that the same run."""
    now = {
        "name": parameters.name,
        "volume_id": parameters.volume.volume_id,
        "account_id": parameters.aws.account_id,
        "region": parameters.aws.region,
    }
    other = [f"{key} {opened.fields[key]!r}, now {now[key]!r}" for key in now if opened.fields.get(key) != now[key]]
    if other:
        raise JournalError(
            f"run {journal.run_id} was opened with other parameters, and they are about something else: "
            f"{'; '.join(other)}. Nothing was changed, and this cannot be accepted. Leave run_id empty for a new run."
        )


def _refusal(journal: Journal, opened: Event, changes: Sequence[Change], *, other_parameters: bool) -> str:
    lines = "".join(f"\n  - {change.sentence()}" for change in changes)
    again = (
        f" Or run again with the run's own parameters, {journal.folder / 'parameters.yaml'}."
        if other_parameters and _file_digest(journal) == changes[0].before
        else ""
    )
    with_what = "with other parameters" if other_parameters else "with other code"
    return (
        f"run {journal.run_id} was opened {with_what} than now ({opened.at_utc[:19]}Z):{lines}\nNothing was changed. "
        "Look at what changed. If the run may go on with it, say why: `runbook resume RUN_ID --accept-changes REASON` "
        f"(`run` and `roll-back` take it too); the report shows it.{again} "
        "Leave run_id empty to open a new run. A changed library never blocks `runbook roll-back RUN_ID`."
    ).replace("RUN_ID", journal.run_id)
