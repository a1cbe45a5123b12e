"""Every changing step, struck when its act is done but not recorded: it goes on, and the way back leads back."""

from __future__ import annotations

import pytest

from tests.crash.matrix import (
    TIMEOUT_S,
    test_every_step_goes_on,
    test_the_way_back_before_the_outage_leads_back,
    test_the_way_back_leads_back,
)

__all__ = [
    "test_every_step_goes_on",
    "test_the_way_back_before_the_outage_leads_back",
    "test_the_way_back_leads_back",
]

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(TIMEOUT_S)]
STRIKES = ("killed after the act", "never verified")
