"""How many tasks may run: one of a service that writes, as many as asked for of one that reads."""

from __future__ import annotations

import pytest

from runbook_lib.checks_tasks import check_tasks

RANGE = {"min_tasks": 1, "max_tasks": 3, "target_cpu_percent": 60}


@pytest.mark.parametrize(
    ("count", "running", "scaling", "failed"),
    [
        (2, 2, {"only_reads": True, "wanted": RANGE, "registered": RANGE}, []),
        (2, 1, {"only_reads": True, "wanted": RANGE, "registered": RANGE}, ["one-task-running"]),
        (4, 4, {"only_reads": True, "wanted": RANGE, "registered": RANGE}, ["desired-count"]),
        (1, 1, {"only_reads": True, "wanted": RANGE, "registered": {}}, ["scaling-registered"]),
        (1, 1, {"only_reads": True, "wanted": {}, "registered": RANGE}, ["scaling-registered"]),
        (2, 2, {"only_reads": True, "wanted": {}, "registered": {}}, ["desired-count", "one-task-running"]),
        (2, 2, {"only_reads": False, "wanted": RANGE, "registered": {}}, ["desired-count", "one-task-running"]),
        (1, 1, {"only_reads": False, "wanted": {}, "registered": {}}, []),
    ],
    ids=["scaled", "one is missing", "too many", "not registered", "not wanted", "left behind", "a writer", "one task"],
)
def test_more_than_one_task_is_no_drift_of_a_reader_that_is_scaled_and_of_nobody_else(count, running, scaling, failed):
    """What is registered is what the parameters say; a writer's wish makes a second task no better."""
    found = check_tasks({"desired_count": count}, running, scaling)
    assert [check.check_id for check in found if not check.passed] == failed
