"""One problem of a parameters file: what a person reads, and which key it is about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


class Problem(str):
    """A problem as text, as `ParameterError` carries it.

    Args:
        text: File, key, value, rule and fix.
        path: The key it is about: keys and list indices from the top of the file, `migration` first.
    """

    __slots__ = ("path",)
    path: tuple[str | int, ...]

    def __new__(cls, text: str, path: Sequence[str | int]) -> Self:
        """Return the text with its key."""
        made = super().__new__(cls, text)
        made.path = tuple(path)
        return made


def of_rule(name: str, text: str) -> Problem:
    """Return a broken rule as a problem.

    Args:
        name: What to call the file.
        text: As `parameters_rules.broken_rules` returns it: the first word is the key.

    Returns:
        The problem.
    """
    return Problem(f"{name}: {text}", text.split(maxsplit=1)[0].split("."))
