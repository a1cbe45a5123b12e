"""The arithmetic of deployment percentages, as tables."""

import pytest

from runbook_lib.sandbox.ecs_plan import Decision, TaskFacts, decide, lower_limit, threshold, upper_limit

OLD = TaskFacts("old", is_current=False)
NEW = TaskFacts("new")
NEW_PENDING = TaskFacts("new", is_running=False, is_healthy=False)
NEW_STARTING = TaskFacts("new", is_healthy=False)
SICK = TaskFacts("sick", is_healthy=False, is_unhealthy=True)
STOPPING = TaskFacts("old", is_current=False, is_running=False, is_healthy=False, is_stopping=True)

CASES = {
    "0/100 stops the old task before it starts the new one": ([OLD], 1, 0, 100, Decision(0, ("old",))),
    "0/100 waits while the old task is stopping": ([STOPPING], 1, 0, 100, Decision()),
    "0/100 starts the new task when the old one has stopped": ([], 1, 0, 100, Decision(1)),
    "100/200 starts the second task first": ([OLD], 1, 100, 200, Decision(1)),
    "100/200 keeps the old task while the new one is pending": ([OLD, NEW_PENDING], 1, 100, 200, Decision()),
    "100/200 keeps the old task until the new one is healthy": ([OLD, NEW_STARTING], 1, 100, 200, Decision()),
    "100/200 stops the old task when the new one is healthy": ([OLD, NEW], 1, 100, 200, Decision(0, ("old",))),
    "50/100 with four replaces two at a time": (
        [TaskFacts(f"old{number}", is_current=False) for number in range(4)],
        4,
        50,
        100,
        Decision(0, ("old0", "old1")),
    ),
    "a sick task without room is stopped first": ([SICK], 1, 0, 100, Decision(0, ("sick",))),
    "a sick task with room is replaced first": ([SICK], 1, 100, 200, Decision(1)),
    "a sick task goes when its replacement is healthy": ([SICK, NEW], 1, 100, 200, Decision(0, ("sick",))),
    "desired count 0 stops everything": ([NEW], 0, 0, 100, Decision(0, ("new",))),
    "a task too many goes, the pending one before the running one": (
        [TaskFacts("first"), NEW_PENDING],
        1,
        100,
        200,
        Decision(0, ("new",)),
    ),
    "a pending task of an older deployment goes at once": (
        [TaskFacts("late", is_current=False, is_running=False, is_healthy=False)],
        1,
        100,
        200,
        Decision(1, ("late",)),
    ),
    "at rest nothing happens": ([NEW], 1, 0, 100, Decision()),
}


@pytest.mark.parametrize(("tasks", "desired", "low", "high", "expected"), CASES.values(), ids=CASES.keys())
def test_decision(tasks, desired, low, high, expected):
    """What starts and what stops follows from the percentages alone."""
    assert decide(tasks, desired, low, high) == expected


@pytest.mark.parametrize(("desired", "expected"), [(1, 3), (6, 3), (7, 4), (25, 13), (1000, 200)])
def test_threshold_of_the_circuit_breaker(desired, expected):
    """The circuit breaker trips after half the desired count, at least 3 and at most 200 failures."""
    assert threshold(desired) == expected


def test_limits_round_towards_safety():
    """The lower limit is rounded up and the upper limit is rounded down."""
    assert lower_limit(3, 50) == 2
    assert upper_limit(3, 150) == 4
