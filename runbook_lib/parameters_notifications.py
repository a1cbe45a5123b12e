"""The section `notifications` of the parameters: who is told of what happens in a run. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from runbook_lib import parameters_types as kind
from runbook_lib.parameters_section import Section
from runbook_lib.parameters_types import ListOf

Told = Literal[
    "started", "waiting_for_approval", "holding", "outage_begun", "cut_over", "outage_ended", "failed", "finished"
]
"""What happens in a run that somebody may want to hear of; `outage_ended` is the end of an outage outside 30."""

_SECRET_ADDRESS = re.compile(
    r"https://(hooks\.slack\.com/|[\w.-]+\.webhook\.office\.com/|(www\.)?discord(app)?\.com/api/webhooks/)\S"
)
"""Addresses of chat systems: whoever knows one may write there."""


class Hook(Section):
    """One who is told: a command gets the notice as JSON on its standard input, a webhook gets it by POST."""

    events: Annotated[tuple[Told, ...], ListOf] = ("waiting_for_approval", "failed")
    """What of."""
    command: Annotated[tuple[kind.Argument, ...], ListOf] = ()
    """Program and its arguments, as a list: no shell reads it. It runs where the runbook runs, with its environment."""
    url: kind.WebhookUrl | None = None
    """https address that takes a POST; as a reference, when the address is a secret, as those of chat systems are."""
    token: kind.KeptOut | None = None
    """Reference to a token that goes into the header `Authorization: Bearer`."""
    timeout_s: int = Field(default=10, ge=1, le=120)
    """Longest time for one notice, all attempts together; the run waits no longer for it, and only at its end."""
    attempts: int = Field(default=3, ge=1, le=5)
    """How often a webhook is tried that is busy or out of reach; what refuses, and a command, gets one attempt."""

    @property
    def references(self) -> tuple[str, ...]:
        """References to secrets that the hook needs."""
        return tuple(one for one in (self.url, self.token) if one and not one.startswith(("http://", "https://")))


def broken_hooks(hooks: Mapping[str, Hook]) -> Iterator[str]:
    """Yield what is wrong with hooks that are valid key by key.

    Args:
        hooks: The hooks by name.

    Yields:
        One text per broken rule: key, rule and fix.
    """
    for name, hook in sorted(hooks.items()):
        where = f"migration.notifications.{name}"
        if bool(hook.command) == bool(hook.url):
            yield f"{where} has {'both' if hook.url else 'neither'}; rule: a command or a url. Fix: name one of them"
        if hook.command and hook.token:
            yield f"{where}.token is given; rule: only a webhook takes a token. Fix: remove it"
        if hook.url and _SECRET_ADDRESS.match(hook.url):
            fix = "put it into SSM Parameter Store or Secrets Manager, or a variable, and name the reference"
            yield f"{where}.url (not shown) is itself a secret; rule: no parameter is a secret. Fix: {fix}"
        if not hook.events:
            yield f"{where}.events is empty; rule: at least one. Fix: name one, or remove the hook"


def references(hooks: Mapping[str, Hook]) -> tuple[str, ...]:
    """Return the references to secrets that hooks need.

    Args:
        hooks: The hooks by name.

    Returns:
        Each reference once.
    """
    return tuple(dict.fromkeys(reference for hook in hooks.values() for reference in hook.references))
