"""What a person does to a run that is under way: hold its cutover, release it, give everything up.

The command line and the card in JupyterLab both end here, so that both do and record the same.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from runbook_lib import parameters
from runbook_lib.adapters.detached import Detached
from runbook_lib.errors import JournalError, ParameterError
from runbook_lib.journal import Journal
from runbook_lib.report_card import may_hold
from runbook_lib.report_status import find_hold
from runbook_lib.run_folder import operator
from runbook_lib.run_lease import lease_of
from runbook_lib.run_secrets import protect_words


def ask_to_hold(journal: Journal, *, how: str, reason: str = "") -> None:
    """Ask a run to hold before its cutover.

    Args:
        journal: The run's journal.
        how: Where that was asked.
        reason: Why.

    Raises:
        JournalError: when the cutover has begun, or was asked to hold already; nothing was changed.

    Changes:
        A `hold` event.
    """
    if not may_hold(journal.events()):
        raise JournalError(
            f"run {journal.run_id} cannot hold any more, or does already; nothing was changed. "
            f"`runbook status {journal.run_id}` shows where it is"
        )
    if reason.strip():
        protect_words(parameters.load(str(journal.folder / "parameters.yaml")), reason)
    journal.append("hold", phase="requested", how=how, operator=operator(), reason=reason)


def release_hold(journal: Journal, *, how: str, reason: str = "") -> str:
    """Release a cutover that holds: the outage begins once readiness was checked again.

    Args:
        journal: The run's journal.
        how: Where that was asked.
        reason: Why.

    Returns:
        What became of it, in one line.

    Raises:
        JournalError: when the run does not hold, or nobody is there any more to cut over; nothing was changed.

    Changes:
        A `hold` event.
    """
    run_id = journal.run_id
    last = journal.last("hold")
    if find_hold(journal.events()) is None:
        if last is not None and last.fields["phase"] == "released":
            return f"released already, by {last.fields['operator']} at {last.at_utc[:19]}Z; nothing was changed"
        ended = journal.last("notebook-finished")
        if ended is not None and ended.fields.get("repaired"):
            raise JournalError(
                f"run {run_id} does not hold: its process is gone, so nobody would cut over; nothing was changed. "
                f"`runbook resume {run_id}` goes on, and then can be released"
            )
        raise JournalError(
            f"run {run_id} does not hold, so there is nothing to release; nothing was changed. "
            f"`runbook run 30 --run-id {run_id} --execute --hold-before-cutover` holds before the outage"
        )
    own = parameters.load(str(journal.folder / "parameters.yaml"))
    seen = lease_of(own).look()
    if not seen.alive or seen.holder is None or seen.holder.run_id != run_id:
        raise JournalError(
            f"run {run_id} was holding, but its process is gone ({seen.why}), so nobody would cut over; nothing "
            f"was changed. `runbook resume {run_id}` holds again, and then can be released"
        )
    protect_words(own, reason)
    journal.append("hold", phase="released", operator=operator(), how=how, reason=reason)
    return f"released; readiness is checked again, then the outage begins. `runbook status {run_id}` shows it"


def start_panic(folder: Path, *, reason: str) -> Detached:
    """Start `runbook panic` beside this process, which it ends when the run is performed here.

    Args:
        folder: The run folder.
        reason: Why; goes into the record.

    Returns:
        The command, which outlives this process; its output is there when it refused.

    Changes:
        As `runbook panic`.
    """
    return Detached([find_program(), "panic", str(folder.resolve()), "--yes", "--reason", reason])


def find_program() -> str:
    """Return the command `runbook` of this Python environment.

    Raises:
        ParameterError: when there is none.
    """
    own = Path(sys.executable).with_name("runbook")
    found = str(own) if own.is_file() else shutil.which("runbook")
    if not found:
        raise ParameterError([f"runbook: expected the command beside {sys.executable}, or on PATH; found none"])
    return found
