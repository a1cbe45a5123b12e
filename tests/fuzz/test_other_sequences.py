"""The random sequences with host_mount and a fixed seed: a file of its own, so that another worker may take it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_other_sequences_end_well(sequences):
    """As test_sequences.py, from an even seed, which stands for the other storage driver."""
    sequences(25, 3002)
