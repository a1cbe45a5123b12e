"""IAM policies: whether their statements permit one request. Pure.

A condition key that a request does not have, or an operator that is not known here, permits nothing.
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
_LIKE = frozenset({"StringLike", "StringNotLike", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"})
_NO_CASE = frozenset({"StringEqualsIgnoreCase"})
_OPERATORS = _EQUAL | _LIKE | _NO_CASE | {"Null"}
_SETS = ("ForAllValues:", "ForAnyValue:")


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
            raise SandboxError(f"statement {statement.get('Sid', number)} of the IAM policy: {problem}")
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
    for operator in statement.get("Condition") or {}:
        if _bare(operator).removesuffix("IfExists") not in _OPERATORS:
            yield f"the sandbox does not evaluate the condition operator {operator}"


def _bare(operator: str) -> str:
    for prefix in _SETS:
        operator = operator.removeprefix(prefix)
    return operator


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
    if operator.startswith(_SETS[0]):
        return all(_matches(_bare(operator), one, wanted) for one in found)
    if operator.startswith(_SETS[1]):
        return any(_matches(_bare(operator), one, wanted) for one in found)
    name = operator.removesuffix("IfExists")
    if not found:
        return name != operator or "Not" in name
    return len(found) == 1 and _matches(name, found[0], wanted)


def _matches(name: str, actual: str, wanted: list[str]) -> bool:
    """Evaluate one operator; one that is not known here does not hold, which refuses rather than permits."""
    if name in _NO_CASE:
        return actual.lower() in [value.lower() for value in wanted]
    if name in _EQUAL:
        return (actual in wanted) != ("Not" in name)
    if name in _LIKE:
        return any(_like(value, actual) for value in wanted) != ("Not" in name)
    return False


def _like(pattern: str, value: str) -> bool:
    """Match ``*`` and ``?`` only; a bracket is an ordinary character in IAM."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
