"""Which command lines are simple commands: without a shell nothing may be taken literally by mistake."""

import pytest

from runbook_lib.sandbox.guest.words import Refused, split_chain, split_lines, split_simple


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("docker ps", ["docker", "ps"]),
        ("python3 -c 'print(\"a b\")' x=1", ["python3", "-c", 'print("a b")', "x=1"]),
        ('a "b \\" c" d\\ e', ["a", 'b " c', "d e"]),
        ("a 'two\nlines'", ["a", "two\nlines"]),
    ],
)
def test_simple_command_is_split_as_a_shell_would(line, words):
    """Quotes and backslashes mean what they mean in a shell."""
    assert split_simple(line) == words


@pytest.mark.parametrize(
    "line",
    [
        "a > b",
        "a | b",
        "a; b",
        "a && b",
        "a $HOME",
        'a "$(b)"',
        "a `b`",
        "a *",
        "a &",
        "X=1 a",
        "~/a",
        "a <b",
        "",
        "a 'b",
    ],
)
def test_what_needs_a_shell_is_refused(line):
    """A line that a shell would expand, redirect or chain is no simple command."""
    with pytest.raises(Refused):
        split_simple(line)


def test_chain_of_commands_is_split_at_its_signs():
    """Health checks join simple commands with && and ||."""
    assert split_chain("test -f /a && curl -f http://localhost/ || exit 1") == [
        ("", ["test", "-f", "/a"]),
        ("&&", ["curl", "-f", "http://localhost/"]),
        ("||", ["exit", "1"]),
    ]


def test_comments_and_empty_lines_are_no_commands():
    """A script's lines are its commands, quoted texts in one piece."""
    assert split_lines("# why\n\na b\nc 'd\ne'\n") == ["a b", "c 'd\ne'"]
