"""The secrets that a run's parameters refer to: resolved in memory, so that nothing that is written holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.secrets import SecretError, resolve
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal
from runbook_lib.parameters import Parameters
from runbook_lib.parameters_notifications import references
from runbook_lib.run_lease import open_session
from runbook_lib.scrub import SECRETS, SHORTEST, guard_kernel

_RESOLVED = "kept out"


def protect(parameters: Parameters, *, way_back: bool = False) -> dict[str, str]:
    """Keep the secrets behind a run's references out of whatever this process writes or shows from now on.

    Args:
        parameters: What to migrate.
        way_back: Whether only the way back is taken: it goes on also where a secret cannot be resolved.

    Returns:
        What became of each reference: `kept out`, or why not. Never a value.

    Raises:
        JournalError: when a reference of `archive.secrets` cannot be resolved, so that nobody could keep it out.

    Changes:
        The memory of this process, and what its kernel shows.
    """
    guard_kernel()
    of_target, of_hooks = sorted(parameters.target.secret_references.values()), references(parameters.notifications)
    wanted = dict.fromkeys((*parameters.archive.secrets, *of_target, *of_hooks))
    session = cache(lambda: open_session(parameters, "", attempts=2, read_timeout_s=5))
    outcomes = {reference: _keep_out(reference, session) for reference in wanted}
    left = [f"{name}: {outcomes[name]}" for name in parameters.archive.secrets if outcomes[name] != _RESOLVED]
    if left and not way_back:
        raise JournalError(
            f"archive.secrets: {'; '.join(left)}. What is not known cannot be kept out of the record; nothing was "
            "changed. Let the operator's role read it, set the variable, or take it out of archive.secrets"
        )
    return outcomes


def protect_words(parameters: Parameters, *words: str) -> None:
    """Keep the secrets behind a run's references out of what a person typed, as far as they can be read from here.

    Args:
        parameters: What to migrate.
        *words: What was typed; nothing is asked of anybody when there is nothing.

    Changes:
        As `protect`.
    """
    if any(word.strip() for word in words):
        protect(parameters, way_back=True)


def note(journal: Journal, outcomes: Mapping[str, str]) -> None:
    """Note in the record which secrets were kept out of it, and which nobody could.

    Args:
        journal: The run's journal.
        outcomes: As `protect` returned them.

    Changes:
        A `secrets` event, when there are references.
    """
    if outcomes:
        journal.append("secrets", references=[{"reference": name, "outcome": said} for name, said in outcomes.items()])


def _keep_out(reference: str, session: Callable[[], Aws]) -> str:
    try:
        value = resolve(reference, session)
    except SecretError as error:
        return error.reason
    return _RESOLVED if SECRETS.add(value, reference) else f"shorter than {SHORTEST} characters"
