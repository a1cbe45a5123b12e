"""The other half of the random sequences with fixed seeds: a file of its own, so that another worker may take it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_other_sequences_end_well(sequences):
    """As test_sequences.py, from another seed."""
    sequences(25, 3002)
