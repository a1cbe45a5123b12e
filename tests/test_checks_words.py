"""Facts in words: what a check shows to people."""

from __future__ import annotations

import pytest

from runbook_lib.checks_words import describe_fact


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"maximum_percent": 100, "availability": None}, "availability unknown, maximum percent 100"),
        ({"host": {"image": "sha256:1"}, "is_on": True}, "host (image sha256:1), is on yes"),
        ([0, 0, 1], "0, 0, 1"),
        ([{"a": 1}, {}], "(a 1), none"),
        ([], "none"),
        ({}, "none"),
        ("", "none"),
        ("text", "text"),
        (False, "no"),
        (0, "0"),
    ],
)
def test_a_fact_in_words(value, words):
    """Mappings in the order of their keys, lists by commas, nothing as Python writes it."""
    assert describe_fact(value) == words
