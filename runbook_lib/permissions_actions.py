"""Which statement of the operator's policy has an action, and what to do when AWS says that it is missing. Pure."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.permissions_scopes import SCOPES

ACTIONS_FILE = Path(__file__).with_name("templates") / "permissions.json"
_SAID = re.compile(
    r"(?:User: (?P<principal>\S+) is )?not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on resource: (?P<resource>[^\s,;]+))?(?P<why>[^\n]*)"
)


@dataclass(frozen=True)
class Denial:
    """What AWS did not permit.

    Args:
        action: For example `ec2:DetachVolume`.
        resource: What it would have been done to, "" when AWS does not say.
        principal: Who asked, "" when AWS does not say.
        explicit: Whether a statement denies it, rather than none allowing it.
    """

    action: str
    resource: str = ""
    principal: str = ""
    explicit: bool = False

    @property
    def advice(self) -> str:
        """What is missing, and what to do, as sentences."""
        about = f" on {self.resource}" if self.resource else ""
        who = f" for {self.principal}" if self.principal else ""
        missing = f"missing permission: {self.action}{about}{who}"
        if self.explicit:
            return (
                f"{missing}. A Deny refuses it, which no other policy can lift: find it in the policies of the caller"
            )
        held = statements_with(self.action, self.resource)
        if not held:
            return f"{missing}. The policy of `runbook permissions -f FILE` does not have it"
        names = " or ".join(held)
        return (
            f"{missing}. The policy of `runbook permissions -f FILE` has it in its statement {names}: attach that "
            "policy and run again; where it is attached, its resource or condition does not fit this object, or a "
            "permissions boundary or an organization's policy refuses"
        )


def denial_in(text: str) -> Denial | None:
    """Return what AWS did not permit, as its message says it; None for any other message.

    Args:
        text: An error's message.

    Source: IAM user guide, "Troubleshoot access denied error messages".
    """
    found = _SAID.search(text)
    if not found:
        return None
    resource = (found["resource"] or "").rstrip(".")
    return Denial(found["action"], resource, found["principal"] or "", "explicit deny" in found["why"])


def statements_with(action: str, resource: str = "") -> list[str]:
    """Return the Sids of the operator's statements that have an action on such a resource.

    Args:
        action: For example `ec2:DetachVolume`.
        resource: Its ARN; where no statement has the action on its like, or it is "", all with the action count.
    """
    having = [scope for scope in SCOPES if action in actions_by_statement().get(scope.sid, ())]
    alike = [scope for scope in having if any(_is_like(pattern, resource) for pattern in scope.resources)]
    return [scope.sid for scope in alike or having]


def _is_like(pattern: str, resource: str) -> bool:
    parts = re.split(r"\{\w+\}|\*", pattern)
    return re.fullmatch(".*".join(map(re.escape, parts)), resource) is not None


def actions_by_statement(role: str = "operator") -> dict[str, list[str]]:
    """Return the actions of each statement by its Sid, as `scripts/permissions` generated them.

    Args:
        role: Whose policy it is.
    """
    return _by_role()[role]


@functools.cache
def _by_role() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(ACTIONS_FILE.read_text("utf-8"))
    return found
