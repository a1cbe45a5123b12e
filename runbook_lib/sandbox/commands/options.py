"""Read the options of a command strictly: what is not listed is refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DOCKER_USAGE = 125


class UsageError(Exception):
    """The command line holds something that the simulated command does not know.

    Args:
        message: What.
        exit_code: What the real command ends with.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


@dataclass
class Options:
    """What was given.

    Args:
        flags: Long names of the flags that were set.
        values: Long name to every value given.
        words: The rest.
    """

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def value(self, name: str, default: str = "") -> str:
        """Return the last value of an option."""
        return self.values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """Return every value of an option."""
        return self.values.get(name, [])

    def has(self, name: str) -> bool:
        """Return whether a flag was set."""
        return name in self.flags


def read(
    arguments: Sequence[str], *, flags: Sequence[str] = (), values: Sequence[str] = (), stop_at_word: bool = False,
    exit_code: int = 1,
) -> Options:  # fmt: skip
    """Read a command line.

    Args:
        arguments: What follows the command's name.
        flags: Known flags, each ``--long`` or ``-s --long``.
        values: Known options with a value, in the same form.
        stop_at_word: Whether everything after the first word is left alone.
        exit_code: What a wrong option ends with.

    Raises:
        UsageError: An option is unknown or lacks its value.
    """
    known = _Known(
        {name: entry.split()[-1] for entry in flags for name in entry.split()},
        {name: entry.split()[-1] for entry in values for name in entry.split()},
        exit_code,
    )
    found = Options()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in {"--", "-"} or not word.startswith("-"):
            found.words += rest if word == "--" else [word]
            if word == "--":
                break
            if stop_at_word:
                found.words += rest
                break
            continue
        _read_option(word, rest, known, found)
    return found


@dataclass(frozen=True)
class _Known:
    """The options of one command, each short and long form to its long form."""

    flags: Mapping[str, str]
    values: Mapping[str, str]
    exit_code: int

    def unknown(self, word: str) -> UsageError:
        return UsageError(f"unknown flag: {word} (the simulated host refuses what it does not know)", self.exit_code)


def _read_option(word: str, rest: list[str], known: _Known, found: Options) -> None:
    name, sign, value = word.partition("=")
    if word in known.flags:
        found.flags.add(known.flags[word])
    elif name in known.flags and value in {"true", "false"}:
        (found.flags.add if value == "true" else found.flags.discard)(known.flags[name])
    elif name in known.values:
        if not sign:
            if not rest:
                raise UsageError(f"flag needs an argument: {name}", known.exit_code)
            value = rest.pop(0)
        found.values.setdefault(known.values[name], []).append(value)
    elif not word.startswith("--") and len(word) > 2:  # noqa: PLR2004 - several short options in one word
        _read_short(word, rest, known, found)
    else:
        raise known.unknown(word)


def _read_short(word: str, rest: list[str], known: _Known, found: Options) -> None:
    for position, letter in enumerate(word[1:], 2):
        if f"-{letter}" in known.flags:
            found.flags.add(known.flags[f"-{letter}"])
        elif f"-{letter}" in known.values:
            if word[position:]:
                rest.insert(0, word[position:])
            _read_option(f"-{letter}", rest, known, found)
            return
        else:
            raise known.unknown(word)
