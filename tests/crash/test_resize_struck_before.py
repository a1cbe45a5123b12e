"""A resize of volume and host, each step struck when its act has not begun: it goes on, and goes back."""

from __future__ import annotations

import pytest

from tests.crash.day_two import ResizingTown
from tests.crash.matrix_of_changes import TIMEOUT_S, matrix

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
STRIKES = ("killed before the act", "refused by AWS")
TOWN = ResizingTown
test_every_step_of_a_change_goes_on, test_what_was_before_can_be_had_again = matrix(ResizingTown)
