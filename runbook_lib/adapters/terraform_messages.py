"""What Terraform prints with ``-json``, as sentences.

Pure. Source: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from runbook_lib.errors import TerraformError
from runbook_lib.permissions_actions import denial_in

PLUGIN_DID_NOT_RESPOND = "Plugin did not respond"
"""Terraform's words for a provider that crashed."""

CRASHED = (
    "the provider crashed; what it was creating may exist without being in the state, "
    "so compare a new plan with the account before the next apply"
)
EXISTS = (
    "Terraform was to create what exists already: somebody else made it, or AWS's answer got lost when Terraform did; "
    "look at its tags, its age and who uses it: what this run made and nothing uses can be deleted, or brought into "
    "the state by `terraform import` in terraform/ of the run folder; beside what is another's, choose another name"
)
STATE_VERSION = 4
# Error codes of EC2, IAM, CloudWatch Logs and Auto Scaling; ECS has words only.
_ALREADY_THERE = re.compile(
    r"\b(InvalidPermission|InvalidGroup)\.Duplicate\b|\b\w*AlreadyExists(Exception)?\b"
    r"|Creation of service was not idempotent|capacity provider already exists"
)
_TAIL_LINES = 12
_OUTPUT_END = 2000


def read_message(line: str) -> dict[str, Any]:
    """Return one line of a JSON stream; a line that is none (a provider's panic) stays readable.

    Args:
        line: As Terraform printed it.

    Returns:
        The message; at least ``@message`` when the line is no JSON object.
    """
    try:
        message = json.loads(line)
    except ValueError:
        return {"@message": line.rstrip("\n")}
    return message if isinstance(message, dict) else {"@message": line.rstrip("\n")}


def describe(diagnostic: Mapping[str, Any]) -> str:
    """Return one error as a sentence: what, why, which resource, where, and what to do where that is known.

    Args:
        diagnostic: Terraform's, with ``summary``, ``detail`` and perhaps ``address`` and ``range``.

    Returns:
        One line.
    """
    summary = str(diagnostic.get("summary", "")).strip()
    parts = [f"{summary}: {CRASHED}" if summary == PLUGIN_DID_NOT_RESPOND else summary]
    if diagnostic.get("detail"):
        parts.append(" ".join(str(diagnostic["detail"]).split()))
    where = [str(diagnostic["address"])] if diagnostic.get("address") else []
    place = diagnostic.get("range")
    if place:
        where.append(f"{place['filename']}:{place['start']['line']}")
    text = ": ".join(parts)
    denial = denial_in(text)
    advice = denial.advice if denial else EXISTS if _ALREADY_THERE.search(text) else ""
    return text + (f" ({', '.join(where)})" if where else "") + (f". {advice}" if advice else "")


def validation_errors(output: str) -> list[str]:
    """Return the errors in what ``validate -json`` printed, which is one document instead of a stream.

    Args:
        output: Everything it printed.

    Returns:
        One text per error.
    """
    found = read_message(output).get("diagnostics", [])
    return [describe(diagnostic) for diagnostic in found if diagnostic.get("severity") == "error"]


def explain(exit_code: int, errors: Sequence[str], output: str, error_text: str) -> list[str]:
    """Return why a command failed, one text per error and never none.

    Args:
        exit_code: Below zero when a signal ended it.
        errors: What it said as diagnostics.
        output: What else it printed.
        error_text: Its standard error, where a crashed provider leaves its panic.

    Returns:
        The diagnostics, or the next best thing.
    """
    tail = " | ".join(line.strip() for line in error_text.strip().splitlines()[-_TAIL_LINES:])
    if errors:
        crashed = any(error.startswith(PLUGIN_DID_NOT_RESPOND) for error in errors)
        return [*errors, *([tail] if crashed and tail else [])]
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return [f"ended by {name}; a new plan shows what it had done before. {tail}".rstrip()]
    return [tail or output.strip()[-_OUTPUT_END:] or f"exit code {exit_code} without a message"]


def state_ids(text: str) -> dict[str, str]:
    """Return the id of every resource of a state, by its address.

    Args:
        text: As `terraform state pull` prints it; nothing before the first apply.

    Returns:
        Addresses as Terraform writes them, for example `module.ecs_cluster.data.aws_subnet.this["subnet-1"]`.

    Raises:
        TerraformError: When the state is of a format that nobody has read here yet.
    """
    document: dict[str, Any] = json.loads(text) if text.strip() else {"version": STATE_VERSION, "resources": []}
    if document["version"] != STATE_VERSION:
        read = f"expected a state of version {STATE_VERSION}, found {document['version']}"
        raise TerraformError("state", [f"{read}; use a Terraform that writes the former"])
    return {address: one for resource in document["resources"] for address, one in _ids(resource).items()}


def _ids(resource: Mapping[str, Any]) -> dict[str, str]:
    kind = "data." if resource["mode"] == "data" else ""
    module = f"{resource['module']}." if resource.get("module") else ""
    name = f"{module}{kind}{resource['type']}.{resource['name']}"
    found = {}
    for one in resource["instances"]:
        key = one.get("index_key")
        address = name if key is None else f"{name}[{json.dumps(key, ensure_ascii=False)}]"
        found[address] = str((one.get("attributes") or {}).get("id", ""))
    return found
