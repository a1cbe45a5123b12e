"""Facts as a check shows them to people; pure."""

from __future__ import annotations

from collections.abc import Mapping


def describe_fact(value: object) -> str:
    """Return a fact in words, so that no report shows how Python writes it.

    Args:
        value: Text, number, yes or no, None, or mappings and lists of these.

    Returns:
        For example `maximum percent 100, minimum healthy percent 0`; `none` for what is empty, `unknown` for None.
    """
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_nested(value[key])}" for key in sorted(value)) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_nested, value)) or "none"
    return str(value) or "none"


def _nested(value: object) -> str:
    words = describe_fact(value)
    return f"({words})" if isinstance(value, Mapping) and value else words
