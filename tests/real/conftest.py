"""Real hosts: Linux, root, Docker Engine. `make test-real` runs it; elsewhere a skip says why it was not tested."""

from __future__ import annotations

import os

import pytest

from runbook_lib.sandbox.real import requirements

ASKED_FOR = "RUNBOOK_TEST_REAL"


@pytest.fixture(scope="session", autouse=True)
def _real_hosts():
    """Skip unless real hosts were asked for and can be had."""
    if not os.environ.get(ASKED_FOR):
        pytest.skip("NOT TESTED: real hosts; `make test-real` does it, as root on Linux with Docker Engine")
    if refusal := requirements.refusal():
        pytest.skip(f"NOT TESTED: {refusal}")
