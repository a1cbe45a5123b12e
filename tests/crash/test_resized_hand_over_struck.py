"""A resize of hosts whose unit takes the volume, the hand-over struck in every way: it goes on, and goes back."""

from __future__ import annotations

import pytest

from tests.crash.day_two import UnitResizingTown
from tests.crash.matrix_of_changes import TIMEOUT_S, matrix
from tests.crash.strikes import STRIKES

__all__ = ["STRIKES"]

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
TOWN = UnitResizingTown
test_every_step_of_a_change_goes_on, test_what_was_before_can_be_had_again = matrix(UnitResizingTown)
