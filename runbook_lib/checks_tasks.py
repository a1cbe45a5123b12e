"""How many tasks a service on ECS has while nobody works on it, as pure functions to checks. Touches nothing."""

from __future__ import annotations

from collections.abc import Sequence

from runbook_lib.checks_words import describe_fact
from runbook_lib.model import Check, Facts

_DOWN = "read the service's events; `runbook history` and the stopped task's reason say why"


def same(check_id: str, expected: object, observed: object, why: str, fix: str) -> Check:
    """Return whether two values are one.

    Args:
        check_id: Name of the check.
        expected: What must be so.
        observed: What was seen.
        why: The danger.
        fix: What the operator does.

    Returns:
        The check.
    """
    return Check(check_id, expected == observed, describe_fact(expected), describe_fact(observed), why, fix)


def check_tasks(service: Facts, running: int, scaling: Facts) -> Sequence[Check]:
    """Return whether the service has the one task that a volume can have, or as many as a reader is scaled to.

    Args:
        service: As `Ecs.describe_service`.
        running: How many tasks run.
        scaling: Keys `only_reads` (whether no container writes to the volume), `wanted` and `registered` (each
            `min_tasks, max_tasks, target_cpu_percent`, or empty).

    Returns:
        Two checks; for a reader one more, of what is registered.
    """
    wanted = scaling["wanted"] if scaling["only_reads"] else {}
    count = service["desired_count"]
    if not wanted:
        counts = (
            same("desired-count", 1, count, "0 is an outage, more is a second writer",
                  "set the desired count to 1, when no maintenance is under way"),
            same("one-task-running", 1, running, "the service is down, or two tasks write to one volume", _DOWN),
        )  # fmt: skip
    else:
        least, most = wanted["min_tasks"], wanted["max_tasks"]
        counts = (
            Check("desired-count", least <= count <= most, f"{least} to {most}", str(count),
                  "target.autoscaling says how many tasks read the volume", "run 62_resize"),
            same("one-task-running", count, running, "tasks are missing, or do not stop", _DOWN),
        )  # fmt: skip
    if not scaling["only_reads"]:
        return counts
    registered = scaling["registered"]
    why = "something else than the parameters changes the number of tasks"
    return (*counts, same("scaling-registered", wanted or "none", registered or "none", why, "run 62_resize"))
