"""The random sequences of `make fuzz`: as many as asked for, from a seed that stands in each test's name."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.conftest import MORE_RULES, database

A_PART = 10
SEQUENCES = int(os.environ["RUNBOOK_FUZZ_SEQUENCES"])
SEED = int(os.environ["RUNBOOK_FUZZ_SEED"])
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("part", range((SEQUENCES + A_PART - 1) // A_PART), ids=lambda part: f"seed-{SEED + part}")
def test_many_sequences_end_well(sequences, part):
    """As test_sequences.py; what failed is kept in build/hypothesis and is tried first the next time."""
    number = min(A_PART, SEQUENCES - part * A_PART)
    rules = int(os.environ.get("RUNBOOK_FUZZ_RULES", MORE_RULES))
    sequences(number, SEED + part, rules=rules, database=database(), again=part == 0)
