"""What a role may do: its policies evaluated as IAM does, for hosts that act with their instance role.

moto checks actions of API calls only; the sandbox's hosts (volume plugin, boot scripts, agent) ask here.
Source: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements"; EC2 service authorization reference.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse

from runbook_lib.sandbox.backends import REGION, backend, operations

ALLOWED, EXPLICIT_DENY, IMPLICIT_DENY = "allowed", "explicitDeny", "implicitDeny"
_TAG_KEYS = ("aws:resourcetag/", "ec2:resourcetag/")


def apply() -> None:
    """Put SimulatePrincipalPolicy into moto, which lacks it.

    Changes:
        One method of moto's IAM response class.
    """
    operations(IamResponse, simulate_principal_policy=_simulate)


def is_permitted(role_name: str, action: str, resource_arn: str) -> bool:
    """Say whether a role may do something.

    Args:
        role_name: The role; "" or an unknown one may do nothing.
        action: For example ``ec2:AttachVolume``.
        resource_arn: What it is done to; ``*`` for calls without a resource.
    """
    return decide(role_name, action, resource_arn) == ALLOWED


def decide(role_name: str, action: str, resource_arn: str) -> str:
    """Return ``allowed``, ``explicitDeny`` or ``implicitDeny`` for a role, an action and a resource."""
    role = next((one for one in backend("iam").roles.values() if one.name == role_name), None)
    if role is None:
        return IMPLICIT_DENY
    context = _context(resource_arn)
    decision = IMPLICIT_DENY
    for statement in _statements(role):
        if not _applies(statement, action, resource_arn, context):
            continue
        if statement.get("Effect") == "Deny":
            return EXPLICIT_DENY
        decision = ALLOWED
    return decision


def _statements(role: Any) -> Iterable[Mapping[str, Any]]:
    """Yield the statements of a role's inline and attached policies."""
    attached = [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.version_id == policy.default_version_id
    ]
    texts = [*role.policies.values(), *attached]
    for text in texts:
        document = (
            text if isinstance(text, dict) else json.loads(text if text.lstrip().startswith("{") else unquote(text))
        )
        statements = document.get("Statement", [])
        yield from [statements] if isinstance(statements, dict) else statements


def _applies(statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        covers(statement, "Action", action.lower(), str.lower)
        and covers(statement, "Resource", resource, str)
        and _conditions_hold(statement.get("Condition") or {}, context)
    )


def covers(statement: Mapping[str, Any], element: str, value: str, fold: Any) -> bool:
    """Say whether an Action or Resource element, or its Not form, covers a value.

    Args:
        statement: Of a policy.
        element: ``Action`` or ``Resource``.
        value: What is done, or to what.
        fold: Makes of a pattern what the value was made of: action names know no case.
    """
    if element in statement:
        patterns = _listed(statement[element])
        # A call that has no resource of its own is made on "*", which only a pattern "*" covers.
        return any(_like(fold(pattern), value) for pattern in patterns)
    if f"Not{element}" in statement:
        return not any(_like(fold(pattern), value) for pattern in _listed(statement[f"Not{element}"]))
    return element == "Resource"


def _conditions_hold(conditions: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    for operator, wanted in conditions.items():
        for key, values in wanted.items():
            if not _condition_holds(operator, context.get(_canonical(key)), [str(one) for one in _listed(values)]):
                return False
    return True


def _condition_holds(operator: str, actual: str | None, values: list[str]) -> bool:
    """Evaluate one condition; an operator that is not known here does not hold, which refuses rather than permits."""
    name = operator.removesuffix("IfExists")
    if actual is None:
        return name != operator or name in {"StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike"}
    if name == "StringEqualsIgnoreCase":
        return actual.lower() in [value.lower() for value in values]
    if name in {"StringEquals", "ArnEquals", "StringNotEquals", "ArnNotEquals"}:
        return (actual in values) != ("Not" in name)
    if name in {"StringLike", "ArnLike", "StringNotLike", "ArnNotLike"}:
        return any(_like(value, actual) for value in values) != ("Not" in name)
    return False


def _context(resource_arn: str) -> dict[str, str]:
    """Return the condition keys of a request, with the tags of an EC2 resource under both of their names."""
    context = {"aws:requestedregion": REGION, "ec2:region": REGION}
    kind_and_id = resource_arn.rsplit(":", 1)[-1]
    head, _, place = resource_arn.partition(":container-instance/")
    if place:
        context["ecs:cluster"] = f"{head}:cluster/{place.split('/', 1)[0]}"
    if ":ec2:" in resource_arn and "/" in kind_and_id:
        for tag in backend("ec2").describe_tags(filters={"resource-id": [kind_and_id.split("/", 1)[1]]}):
            for prefix in _TAG_KEYS:
                context[prefix + tag["key"]] = tag["value"]
    return context


def _canonical(key: str) -> str:
    """Fold a condition key: its name knows no case, the tag name after the slash does."""
    name, slash, tag = key.partition("/")
    return name.lower() + slash + tag


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(pattern: str, value: str) -> bool:
    """Match ``*`` and ``?`` only; a bracket is an ordinary character in IAM."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _simulate(response: Any) -> Any:
    arn = response._get_param("PolicySourceArn")
    name = arn.rsplit("/", 1)[-1]
    if not any(role.name == name for role in backend("iam").roles.values()):
        raise NotFoundException(f"The role with name {name} cannot be found.")
    results = []
    for action in response._get_param("ActionNames", []):
        for resource in response._get_param("ResourceArns", []) or ["*"]:
            decision = decide(name, action, resource)
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": decision,
                    "MatchedStatements": [],
                    "MissingContextValues": [],
                }
            )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})
