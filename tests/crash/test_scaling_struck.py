"""A reader that is scaled, struck in every way: it goes on, and goes back to one task."""

from __future__ import annotations

import pytest

from tests.crash import strikes
from tests.crash.matrix_of_changes import TIMEOUT_S, matrix
from tests.crash.readers import ScalingTown

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
STRIKES = strikes.STRIKES
TOWN = ScalingTown
test_every_step_of_a_change_goes_on, test_what_was_before_can_be_had_again = matrix(ScalingTown)
