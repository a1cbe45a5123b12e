"""Text from elsewhere as one line that is what it seems to be: no escape sequence, no reversing mark; pure."""

from __future__ import annotations

import unicodedata


def visible(text: object) -> str:
    r"""Return a value as one line of text in which nothing is hidden.

    Args:
        text: Anything; names, reasons and errors come from elsewhere.

    Returns:
        The text; spaces of every kind as spaces, and whatever does not print (control characters, marks that turn the
        direction of writing, halves of surrogate pairs) as its number, for example `\\\x1b` or `\\\u202e`.
    """
    whole = str(text)
    return whole if whole.isprintable() else "".join(map(_visible, whole))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return ascii(character)[1:-1]
