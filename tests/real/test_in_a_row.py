"""Migrations and ways back, one after the other: the last leaves no more on the machine than the first."""

from __future__ import annotations

import os

import pytest

from runbook_lib.sandbox.real import janitor
from tests.migration.conftest import report_of, run_command
from tests.real.town import NOTEBOOKS, Town

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(7200)]
ROUNDS = int(os.environ.get("RUNBOOK_TEST_MIGRATIONS", "2"))


def there_and_back(town):
    """Migrate and roll back; return the run's folder."""
    before = set(town.runs.glob("*/journal.jsonl"))
    ended = town.run(*NOTEBOOKS, reason="test-real")
    assert ended.exit_code == 0, ended.output
    (journal,) = set(town.runs.glob("*/journal.jsonl")) - before
    assert report_of(journal.parent)["data"]["identical"] is True
    ended = run_command("roll-back", journal.parent.name, "-d", town.runs, "--execute", timeout_s=600)
    assert ended.exit_code == 0, ended.output
    return journal.parent


def lasting(town):
    """Return how many links and loop devices the sandbox has on this machine, and which hosts."""
    found = janitor.holdings(janitor.key_of(town.state_dir), town.state_dir)
    hosts = town.sandbox.control("GET", "/_sandbox/status")["hosts"]
    return len(found.links), len(found.loop_devices), len(hosts)


def test_migrations_and_ways_back_leave_nothing_behind(tmp_path, wait_until):
    """Every round moves the same volume and brings it back, with every acknowledged write; `down` leaves nothing."""
    town, seen = Town(tmp_path), []
    try:
        for _ in range(ROUNDS):
            wait_until(town.has_everything, "the source serves every acknowledged write", 120)
            source, _ = town.serving()
            folder = there_and_back(town)
            wait_until(town.has_everything, "the source serves them again", 120)
            assert report_of(folder)["status"] == "rolled_back"
            assert town.serving()[0] == source
            seen.append(lasting(town))
    finally:
        town.down()

    assert seen == seen[:1] * ROUNDS
    assert town.left() == ([], False, [], [])
