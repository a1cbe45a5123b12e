# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Judge what is done in the sandbox by an IAM policy: `runbook sandbox iam`, and `--iam` of `up` and `exec`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib.errors import ParameterError

if TYPE_CHECKING:
    from runbook_lib.sandbox.lifecycle import SandboxInfo

_ROLES = ("operator", "requester", "approver", "auditor")
_POLICY = f"a file with an IAM policy, or {', '.join(_ROLES[:-1])} or {_ROLES[-1]} for that of `runbook permissions`"
option = click.option(
    "--iam",
    "policy",
    default="",
    metavar="POLICY",
    help=f"Judge every call from the first on by {_POLICY}.",
)


def policy_of(text: str, parameters_file: Path) -> Any:
    """Return the policy that a person named.

    Args:
        text: A file, or whose policy of `runbook permissions`.
        parameters_file: The migration for which that policy is.

    Returns:
        The policy, decoded.

    Raises:
        ParameterError: There is no such file, or no JSON in it.
    """
    if text in _ROLES:
        from runbook_lib import permissions
        from runbook_lib.parameters import load

        return permissions.policy_of(text, permissions.values_of(load(parameters_file)))
    try:
        return json.loads(Path(text).read_text("utf-8"))
    except OSError as error:
        found = f"found {text!r}, which cannot be read ({error.strerror})"
    except ValueError as error:
        found = f"found {text!r}, which is no JSON: {error}"
    raise ParameterError([f"IAM policy: expected {_POLICY}; {found}"])


def enforce(running: SandboxInfo, policy: str) -> None:
    """Judge every call by a policy from here on, and say so.

    Args:
        running: The sandbox.
        policy: As `policy_of`.

    Raises:
        ParameterError: As `policy_of`.
        SandboxError: The policy holds what the sandbox does not evaluate; what was in force stays so.
    """
    running.control("POST", "/_sandbox/iam", {"policy": policy_of(policy, running.parameters_path)})
    click.echo(f"iam         enforced: {policy}; `runbook sandbox iam` says what was refused, `--off` ends it")


@click.command("iam")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sandbox"),
    show_default=True,
    help="Directory of the sandbox.",
)
@click.argument("policy", required=False)
@click.option("--off", is_flag=True, help="Judge nothing any more.")
def iam(state: Path, policy: str | None, *, off: bool) -> None:
    """Judge every call by POLICY from here on; without one, say what was refused since.

    POLICY is a file with an IAM policy, or the word operator, requester, approver or auditor, for what `runbook
    permissions` prints for the sandbox's own migration.
    """
    from runbook_lib.errors import SandboxError
    from runbook_lib.sandbox import lifecycle

    running = lifecycle.status(state)
    if running is None:
        raise SandboxError(f"no sandbox runs in {state}; `runbook sandbox up` starts one. Nothing was changed.")
    if off:
        running.control("POST", "/_sandbox/iam", {"policy": None})
    elif policy:
        enforce(running, policy)
    facts = running.control("GET", "/_sandbox/iam")
    click.echo(f"iam         {'enforced' if facts['enforced'] else 'off'}, {len(facts['asked'])} different askings")
    for one in facts["asked"]:
        if one["decision"] != "allowed":
            click.echo(f"refused     {one['action']} on {one['resource']}")
