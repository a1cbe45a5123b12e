"""What a task may do before its containers run: with its execution role, else with its host's role.

Asks moto's IAM; changes nothing. Source: Amazon ECS developer guide, "Task execution IAM role".
"""

from __future__ import annotations

from typing import Any

from runbook_lib.sandbox.backends import ACCOUNT_ID
from runbook_lib.sandbox.patches.iam import is_permitted


def refusal(definition: Any, host_role: str, action: str, resource: str) -> str:
    """Return what AWS says when a task may not do something, "" when it may.

    Args:
        definition: The task definition's record.
        host_role: Name of the host's role, used when the definition names no execution role.
        action: For example ``logs:CreateLogStream``.
        resource: ARN of what it is done to.
    """
    execution_role = getattr(definition, "execution_role_arn", None) or ""
    role = execution_role.rsplit("/", maxsplit=1)[-1] or host_role
    if is_permitted(role, action, resource):
        return ""
    return (
        f"AccessDeniedException: User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role} is not authorized to perform: "
        f"{action} on resource: {resource} because no identity-based policy allows the {action} action"
    )
