"""IAM policies: whether their statements permit one request. Pure.

A policy that is to be enforced is read first (`read_policy`): what is not evaluated here, be it an element, operator,
condition key or policy variable, is refused with its name, and never passed over.
Source: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements", "Single-valued vs. multivalued context
keys".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.errors import SandboxError

ALLOWED, EXPLICIT_DENY, IMPLICIT_DENY = "allowed", "explicitDeny", "implicitDeny"
Statements = Sequence[Mapping[str, Any]]
_ELEMENTS = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})
_EQUAL = frozenset({"StringEquals", "StringNotEquals", "Bool"})
_LIKE = frozenset({"StringLike", "StringNotLike"})
_ARN = frozenset({"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"})
_NO_CASE = frozenset({"StringEqualsIgnoreCase"})
_OPERATORS = _EQUAL | _LIKE | _ARN | _NO_CASE | {"Null"}
_SETS = ("ForAllValues:", "ForAnyValue:")
_TAG_KEYS = frozenset(
    {"aws:resourcetag", "ec2:resourcetag", "ssm:resourcetag", "autoscaling:resourcetag", "aws:requesttag"}
)
_KEYS = frozenset(
    {
        "aws:requestedregion",
        "aws:tagkeys",
        "ec2:createaction",
        "ec2:launchtemplate",
        "ec2:parentvolume",
        "ec2:region",
        "ecs:cluster",
        "ecs:createaction",
        "elasticloadbalancing:createaction",
        "iam:awsservicename",
        "iam:passedtoservice",
        "iam:policyarn",
        "kms:grantisforawsresource",  # no request of the operator has it: it is of calls that EBS makes
        "s3:object-lock-mode",
        "s3:prefix",
        "sts:sourceidentity",
    }
)
"""What the readers in `access*.py` say of a request; a condition on anything else could hold by its absence."""
_ARN_PARTS = 6


@dataclass(frozen=True)
class Access:
    """One thing that a request wants to do to one resource.

    Args:
        action: For example ``ec2:AttachVolume``.
        resource: ARN of what it is done to; ``*`` for a call without a resource of its own.
        context: Condition keys, as ``canonical`` writes them, with their values; several in a tuple.
    """

    action: str
    resource: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def read_policy(document: Any) -> Statements:
    """Return the statements of an identity-based policy.

    Args:
        document: The decoded JSON.

    Raises:
        SandboxError: It is none, or holds what is not evaluated here: a policy is refused rather than half understood.
    """
    if not isinstance(document, dict) or document.get("Version") != "2012-10-17":
        raise SandboxError('expected an IAM policy: a JSON object with "Version": "2012-10-17" and "Statement"')
    statements = listed(document.get("Statement", []))
    if not statements:
        raise SandboxError("the IAM policy has no statement")
    for number, statement in enumerate(statements, 1):
        for problem in _problems(statement):
            name = statement.get("Sid", number) if isinstance(statement, dict) else number
            raise SandboxError(f"statement {name} of the IAM policy: {problem}")
    return statements


def decide(statements: Iterable[Mapping[str, Any]], access: Access) -> str:
    """Return ``allowed``, ``explicitDeny`` or ``implicitDeny``.

    Args:
        statements: Of every policy of whoever asks.
        access: What is wanted.
    """
    decision = IMPLICIT_DENY
    for statement in statements:
        if not applies(statement, access):
            continue
        if statement.get("Effect") == "Deny":
            return EXPLICIT_DENY
        decision = ALLOWED
    return decision


def applies(statement: Mapping[str, Any], access: Access) -> bool:
    """Say whether a statement is about a request.

    Args:
        statement: Of a policy.
        access: What is wanted.
    """
    return (
        covers(statement, "Action", access.action.lower(), str.lower)
        and covers(statement, "Resource", access.resource, str)
        and _conditions_hold(statement.get("Condition") or {}, access.context)
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
        patterns = listed(statement[element])
        # A call that has no resource of its own is made on "*", which only a pattern "*" covers.
        return any(_like(fold(pattern), value) for pattern in patterns)
    if f"Not{element}" in statement:
        return not any(_like(fold(pattern), value) for pattern in listed(statement[f"Not{element}"]))
    return element == "Resource"


def canonical(key: str) -> str:
    """Fold a condition key: its name knows no case, the tag name after the slash does."""
    name, slash, tag = key.partition("/")
    return name.lower() + slash + tag


def listed(value: Any) -> list[Any]:
    """Return what may stand alone or in a list, as a list."""
    return value if isinstance(value, list) else [value]


def _problems(statement: Any) -> Iterable[str]:
    if not isinstance(statement, dict):
        yield f"expected an object, found {type(statement).__name__}"
        return
    for element in sorted(set(statement) - _ELEMENTS):
        yield f"{element} is no element of an identity-based policy"
    if statement.get("Effect") not in {"Allow", "Deny"}:
        yield f"Effect is Allow or Deny, found {statement.get('Effect')!r}"
    for element in ("Action", "Resource"):
        if (element in statement) == (f"Not{element}" in statement):
            yield f"expected either {element} or Not{element}"
        for text in listed(statement.get(element, statement.get(f"Not{element}", []))):
            if not isinstance(text, str):
                yield f"{element}: expected a text or a list of texts, found {text!r}"
            elif "${" in text:
                yield f"the sandbox does not evaluate the policy variable in {text}"
    yield from _problems_of(statement.get("Condition") or {})


def _problems_of(conditions: Any) -> Iterable[str]:
    if not isinstance(conditions, dict) or not all(isinstance(one, dict) for one in conditions.values()):
        yield 'Condition: expected {"OPERATOR": {"KEY": VALUE}}'
        return
    for operator, wanted in conditions.items():
        if _bare(operator) not in _OPERATORS:
            yield f"the sandbox does not evaluate the condition operator {operator}"
        for key, values in wanted.items():
            name, slash, _ = canonical(key).partition("/")
            if name not in (_TAG_KEYS if slash else _KEYS):
                yield f"the sandbox does not know the condition key {key}"
            if any("${" in str(one) for one in listed(values)):
                yield f"the sandbox does not evaluate the policy variable in the condition on {key}"


def _bare(operator: str) -> str:
    """Return an operator without what is said of sets and of missing keys."""
    for prefix in _SETS:
        operator = operator.removeprefix(prefix)
    return operator.removesuffix("IfExists")


def _conditions_hold(conditions: Mapping[str, Any], context: Mapping[str, str | tuple[str, ...]]) -> bool:
    for operator, wanted in conditions.items():
        for key, values in wanted.items():
            if not _holds(operator, context.get(canonical(key)), [str(one) for one in listed(values)]):
                return False
    return True


def _holds(operator: str, actual: str | tuple[str, ...] | None, wanted: list[str]) -> bool:
    if operator == "Null":
        return (actual is None) == (wanted == ["true"])
    found = () if actual is None else (actual,) if isinstance(actual, str) else actual
    name = _bare(operator)
    if not found and operator.endswith("IfExists"):
        return True
    if operator.startswith(_SETS[0]):
        return all(_matches(name, one, wanted) for one in found)
    if operator.startswith(_SETS[1]):
        return any(_matches(name, one, wanted) for one in found)
    if not found:
        return "Not" in name
    return len(found) == 1 and _matches(name, found[0], wanted)


def _matches(name: str, actual: str, wanted: list[str]) -> bool:
    """Evaluate one operator; one that is not known here does not hold, which refuses rather than permits."""
    if name in _NO_CASE:
        return actual.lower() in [value.lower() for value in wanted]
    if name in _EQUAL:
        return (actual in wanted) != ("Not" in name)
    if name in _LIKE:
        return any(_like(value, actual) for value in wanted) != ("Not" in name)
    if name in _ARN:
        return any(_like_arn(value, actual) for value in wanted) != ("Not" in name)
    return False


def _like_arn(pattern: str, value: str) -> bool:
    """Match an ARN part by part: no wildcard reaches over a colon, but in the last part."""
    wanted, found = (text.split(":", _ARN_PARTS - 1) for text in (pattern, value))
    return len(wanted) == len(found) and all(map(_like, wanted, found))


def _like(pattern: str, value: str) -> bool:
    """Match ``*`` and ``?`` only; a bracket is an ordinary character in IAM."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
