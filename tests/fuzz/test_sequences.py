"""The random sequences with rexray and a fixed seed, the same each time; see machine.py for what they must keep."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_sequences_end_well(sequences):
    """Run, kill, resume, roll back, faults and a second operator in any order: nothing lost, nobody left alone."""
    sequences(25, 3001)
