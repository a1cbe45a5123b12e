"""What is read at once inside the outage: every answer, or the error of a reader."""

from __future__ import annotations

import threading

import pytest

from runbook_lib.procedures.together import together


def test_readers_run_at_the_same_time():
    """Each waits for the other: one after the other they would never end."""
    both = threading.Barrier(2, timeout=30)
    assert set(together(first=both.wait, second=both.wait)) == {"first", "second"}


def test_every_answer_comes_under_its_name():
    assert together(one=lambda: 1, two=lambda: [2]) == {"one": 1, "two": [2]}


def test_an_error_of_a_reader_is_the_caller_s():
    def refuse():
        raise LookupError("no such volume")

    with pytest.raises(LookupError, match="no such volume"):
        together(good=lambda: 1, bad=refuse)
