"""The service's name, typed by whoever sits at the kernel before a step that cannot be taken back.

A run that nobody watches has nobody to ask: there the command that a person typed, and approvals, stand for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from runbook_lib.errors import ConfirmationError, JournalError
from runbook_lib.journal import Journal
from runbook_lib.model import Event
from runbook_lib.run_folder import operator
from runbook_lib.run_keyboard import at_a_keyboard

VALID_FOR_S = 3600
"""How long a typed name counts, for its notebook: a notebook may be run again after a failure, not next week."""


def service_name(journal: Journal) -> str:
    """Return the name of the service that a run is about, as its parameters name it.

    Args:
        journal: The run's journal.
    """
    opened = journal.events()[0].fields
    return str(opened.get("targets", {}).get("service") or opened["name"])


def find_confirmation(journal: Journal, notebook: str) -> Event | None:
    """Return the newest confirmation of a notebook that still counts.

    Args:
        journal: The run's journal.
        notebook: The notebook.

    Returns:
        The `confirmation` event, or None.
    """
    event = journal.last("confirmation", notebook=notebook)
    if event is None:
        return None
    age = journal.now() - datetime.fromisoformat(event.at_utc)
    return event if age <= timedelta(seconds=VALID_FOR_S) else None


def confirm(journal: Journal, step_id: str, notebook: str, no_return: str) -> None:
    """Return when the name was typed, or nobody sits at this kernel; else stop.

    Args:
        journal: The run's journal.
        step_id: The step.
        notebook: Its notebook.
        no_return: What the step takes away for good.

    Raises:
        ConfirmationError: when the name was not typed; nothing was changed.
    """
    if not at_a_keyboard() or find_confirmation(journal, notebook) is not None:
        return
    raise ConfirmationError(
        step_id,
        f"{no_return}. Type the service's name, {service_name(journal)}, into the field of this cell, press Confirm, "
        "and run the cell again",
    )


def note_confirmation(journal: Journal, notebook: str, typed: str, *, how: str) -> Event:
    """Note that somebody typed the service's name.

    Args:
        journal: The run's journal.
        notebook: The notebook that may go on.
        typed: What was typed.
        how: Where.

    Returns:
        The event.

    Raises:
        JournalError: when it is not the service's name; nothing was written.

    Changes:
        A `confirmation` event.
    """
    service = service_name(journal)
    if typed.strip() != service:
        raise JournalError(f"expected the service's name, {service}, got {typed.strip()!r}; nothing was confirmed")
    return journal.append("confirmation", notebook=notebook, service=service, operator=operator(), how=how)
