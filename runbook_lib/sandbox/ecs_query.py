"""Read the cluster query language of Amazon ECS: placement constraints and instance filters.

Pure; touches nothing. Knows ``==``, ``!=``, ``in``, ``not_in``, ``exists``, ``!exists``, ``and``, ``or``, ``not``
and parentheses; refuses everything else, where Amazon ECS knows a little more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

TOKEN = re.compile(r"(?P<sign>==|!=|&&|\|\||[()\[\],])|(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<word>[^\s()\[\],'\"=]+)")
EQUALS = {"==", "equals"}
DIFFERS = {"!=", "not_equals"}
SUBJECTS = {"ec2InstanceId", "agentConnected", "agentVersion", "runningTasksCount"}


class QueryError(ValueError):
    """The expression is not one that the sandbox reads."""


def is_match(expression: str, facts: Mapping[str, str | None]) -> bool:
    """Return whether a container instance satisfies an expression.

    Args:
        expression: For example ``attribute:ecs.availability-zone == us-east-1a``.
        facts: ``attribute:NAME`` for every attribute, and ``ec2InstanceId``, ``agentConnected`` and so on.

    Raises:
        QueryError: The expression cannot be read.
    """
    return _Reader(expression, facts).read()


class _Reader:
    """Reads one expression from left to right and evaluates it on the way."""

    def __init__(self, expression: str, facts: Mapping[str, str | None]) -> None:
        self._expression = expression
        self._facts = facts
        self._tokens = _tokens(expression)

    def read(self) -> bool:
        result = self._either()
        if self._tokens:
            raise self._error()
        return result

    def _either(self) -> bool:
        result = self._both()
        while self._next_is("or", "||"):
            right = self._both()
            result = result or right
        return result

    def _both(self) -> bool:
        result = self._one()
        while self._next_is("and", "&&"):
            right = self._one()
            result = result and right
        return result

    def _one(self) -> bool:
        if self._next_is("not"):
            return not self._one()
        if self._next_is("("):
            result = self._either()
            self._expect(")")
            return result
        return self._comparison()

    def _comparison(self) -> bool:
        subject = self._take()
        if not subject.startswith("attribute:") and subject not in SUBJECTS:
            raise self._error()
        operator = self._take()
        value = self._facts.get(subject)
        if operator in {"exists", "!exists", "not_exists"}:
            return (subject in self._facts) == (operator == "exists")
        if operator in EQUALS | DIFFERS:
            wanted = self._take()
            return (subject in self._facts and value == wanted) == (operator in EQUALS)
        if operator in {"in", "not_in", "!in"}:
            choices = self._list()
            return (subject in self._facts and value in choices) == (operator == "in")
        raise self._error()

    def _list(self) -> list[str]:
        self._expect("[")
        values = [self._take()]
        while self._next_is(","):
            values.append(self._take())
        self._expect("]")
        return values

    def _take(self) -> str:
        if not self._tokens:
            raise self._error()
        return self._tokens.pop(0)

    def _next_is(self, *wanted: str) -> bool:
        if self._tokens and self._tokens[0] in wanted:
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, wanted: str) -> None:
        if not self._next_is(wanted):
            raise self._error()

    def _error(self) -> QueryError:
        return QueryError(f"Invalid expression: {self._expression}")


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    rest = expression.strip()
    while rest:
        found = TOKEN.match(rest)
        if found is None:
            raise QueryError(f"Invalid expression: {expression}")
        tokens.append(found["sign"] or (found["quoted"] or "")[1:-1] or found["word"] or "")
        rest = rest[found.end() :].strip()
    if not tokens:
        raise QueryError("Invalid expression: it is empty")
    return tokens
