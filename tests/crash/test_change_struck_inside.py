"""A change of the storage driver, each step struck when its act is half done: it goes on, and goes back."""

from __future__ import annotations

import pytest

from tests.crash.matrix_of_changes import (
    TIMEOUT_S,
    test_every_step_of_a_change_goes_on,
    test_the_former_driver_can_be_had_again,
)

__all__ = ["test_every_step_of_a_change_goes_on", "test_the_former_driver_can_be_had_again"]

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
STRIKES = ("killed in the act", "no answer from AWS")
