"""What the crash tests share: a sandbox with a provisioned target, and migrations in it that are struck."""

from __future__ import annotations

import pytest

from tests.crash.changes import Change, ChangingTown
from tests.crash.journey import Journey
from tests.crash.town import Town

COSTLY = "test_the_way_back_leads_back"  # each cell is a migration of its own


def pytest_generate_tests(metafunc):
    """Strike in each way that the module names."""
    if "strike" in metafunc.fixturenames and hasattr(metafunc.module, "STRIKES"):
        metafunc.parametrize("strike", metafunc.module.STRIKES, scope="module")


def pytest_itemcollected(item):
    """Leave the costly cells to `thorough`."""
    if item.originalname == COSTLY:
        item.add_marker(pytest.mark.thorough)


@pytest.fixture(scope="module")
def provisioned_town(request, tmp_path_factory):
    """Return a sandbox with a provisioned target of the module's storage driver, shared by its tests."""
    made = Town(tmp_path_factory.mktemp("town"), getattr(request.module, "DRIVER", "rexray"))
    try:
        made.provision()
        yield made
    finally:
        made.stop()


@pytest.fixture
def town(provisioned_town):
    """Return the module's sandbox, its service under compose as at first."""
    provisioned_town.reset()
    return provisioned_town


@pytest.fixture(scope="module")
def journey(strike, provisioned_town):
    """Return a migration in which every step was struck in the way that the test asks for."""
    provisioned_town.reset()
    made = Journey(provisioned_town, strike)
    made.drive()
    return made


@pytest.fixture(scope="module")
def changing_town(request, tmp_path_factory):
    """Return a sandbox whose service was migrated, of the kind that the module strikes."""
    made = getattr(request.module, "TOWN", ChangingTown)(tmp_path_factory.mktemp("town"))
    try:
        made.migrate()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def change(strike, changing_town):
    """Return a change there and back in which every step was struck in the way that the test asks for."""
    changing_town.take_lease_over()
    changing_town.bring_to(changing_town.back)
    made = Change(changing_town, strike)
    made.drive()
    return made
