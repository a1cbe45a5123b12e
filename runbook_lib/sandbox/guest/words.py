"""Split a command line into words when it is one simple command, or a chain of them; refuse everything else.

Pure. There is no shell behind it: what a shell would expand, redirect or run in the background is refused with
the reason, so that nothing is silently taken literally.
"""

from __future__ import annotations

import re

PLAIN = re.compile(r"[A-Za-z0-9_./:=@%+,-]+")
PLAIN_IN_QUOTES = re.compile(r'[^"\\`$]+')
SPECIAL = set("|&;<>()`$*?[]{}~#!\n")
IN_DOUBLE_QUOTES = set("`$")
LITERAL_ALONE = {"!", "[", "]", "{}", "-"}


class Refused(ValueError):  # noqa: N818 - it says what happened to the command line
    """The command line needs a shell, and a simulated host has none."""


class UnclosedQuote(Refused):
    """A quote goes on in the next line."""


def split_simple(line: str) -> list[str]:
    """Return the words of one simple command.

    Args:
        line: A command line as a shell would take it, quotes and backslashes included.

    Raises:
        Refused: It is empty, or a shell would do more than run one program.
    """
    words, rest = _words(line)
    if rest:
        raise Refused(_reason(line, rest[0]))
    if not words:
        raise Refused("the command is empty")
    if "=" in words[0].partition("/")[0]:
        raise Refused(f"{line!r} sets a variable, and a simulated host has no shell; use env or an argument list")
    return words


def split_lines(text: str) -> list[str]:
    """Return the command lines of a text without comments and empty lines; a quoted text may span lines."""
    lines: list[str] = []
    pending = ""
    for line in text.split("\n"):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending = f"{pending}\n{line}" if pending else line
        try:
            split_simple(pending)
        except UnclosedQuote:
            continue
        except Refused:
            pass
        lines.append(pending)
        pending = ""
    return [*lines, pending] if pending else lines


def split_chain(line: str) -> list[tuple[str, list[str]]]:
    """Return (sign, words) of simple commands joined by ``&&`` and ``||``; the first sign is "".

    Raises:
        Refused: There is anything else in it.
    """
    chain: list[tuple[str, list[str]]] = []
    sign = ""
    rest = line
    while True:
        words, rest = _words(rest)
        if not words:
            raise Refused("a command is missing")
        chain.append((sign, words))
        if not rest:
            return chain
        if rest[:2] not in {"&&", "||"}:
            raise Refused(_reason(line, rest[0]))
        sign, rest = rest[:2], rest[2:]


def _reason(line: str, sign: str) -> str:
    return (
        f"{line!r} needs a shell for {sign!r}, and a simulated host has none, so that nothing is ever written "
        "outside the sandbox. Give one simple command, an argument list, or a Python script"
    )


def _words(line: str) -> tuple[list[str], str]:
    """Return the words up to the first special sign, and the line from that sign on."""
    words: list[str] = []
    position = 0
    while position < len(line):
        if line[position] in " \t\n":
            position += 1
            continue
        alone = line[position:].split(maxsplit=1)[0]
        if alone in LITERAL_ALONE:
            words.append(alone)
            position += len(alone)
            continue
        if line[position] in SPECIAL:
            return words, line[position:]
        word, position = _word(line, position)
        words.append(word)
    return words, ""


def _word(line: str, position: int) -> tuple[str, int]:
    word = ""
    while position < len(line) and line[position] not in " \t" and line[position] not in "|&;<>()\n":
        letter = line[position]
        if plain := PLAIN.match(line, position):
            word += plain[0]
            position = plain.end()
        elif letter == "'":
            end = line.find("'", position + 1)
            if end < 0:
                raise UnclosedQuote(f"{line!r} has an unclosed quote")
            word += line[position + 1 : end]
            position = end + 1
        elif letter == '"':
            part, position = _double_quoted(line, position + 1)
            word += part
        elif letter == "\\" and position + 1 < len(line):
            word += line[position + 1]
            position += 2
        elif letter in "`$*?" or (letter in "~#" and not word):
            raise Refused(_reason(line, letter))
        else:
            word += letter
            position += 1
    return word, position


def _double_quoted(line: str, position: int) -> tuple[str, int]:
    part = ""
    while position < len(line) and line[position] != '"':
        if plain := PLAIN_IN_QUOTES.match(line, position):
            part += plain[0]
            position = plain.end()
            continue
        letter = line[position]
        if letter in IN_DOUBLE_QUOTES:
            raise Refused(_reason(line, letter))
        if letter == "\\" and line[position + 1 : position + 2] in {'"', "\\", "$", "`"}:
            position += 1
            letter = line[position]
        part += letter
        position += 1
    if position >= len(line):
        raise UnclosedQuote(f"{line!r} has an unclosed quote")
    return part, position + 1
