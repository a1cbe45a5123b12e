"""The shortest outage that any program could reach: what must happen one after the other, from the latency table alone.

Pure arithmetic on `runbook_lib.sandbox.latency.Latency`; no number of its own. What the table gives no time for (the
application's end and start, sync and umount, a program's own work, checks of the data) counts as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from runbook_lib.sandbox.latency import Latency


@dataclass(frozen=True)
class Leg:
    """One thing that cannot overlap with the others.

    Args:
        phase: The phase of the cutover that it belongs to.
        what: What happens, in words.
        seconds: How long, in seconds.
    """

    phase: str
    what: str
    seconds: float


def critical_path(latency: Latency, *, proof: bool = False) -> tuple[Leg, ...]:
    """Return the legs of the shortest cutover, in order.

    Args:
        latency: The figures that the sandbox was started with.
        proof: Whether the volume is read on the target before the application starts. The storage driver attaches for a
            container only, so one must start that is not the application. The command that does it can be delivered
            while EC2 detaches.

    Returns:
        The legs. A reconciler that looks every `tick_s` notices a change after half of that on average; two of them
        follow one another (the service scheduler, the host's agent).
    """
    before_start = (Leg("attach", "a container that holds the volume starts", latency.container_start_s),)
    return (
        Leg("stop and unmount", "one SSM command is delivered: compose stop and umount", latency.ssm_delivery_s),
        Leg("detach", "EC2 detaches the volume from the source", latency.detach_s),
        *(before_start if proof else ()),
        Leg("start", "scheduler and agent notice the desired count", latency.tick_s),
        Leg("start", "ECS places the task and the agent takes it up", latency.schedule_s),
        Leg("attach", "the storage driver attaches the volume", latency.attach_s),
        Leg("start", "the container starts", latency.container_start_s),
    )


def total_s(legs: tuple[Leg, ...]) -> float:
    """Return the length of a path in seconds.

    Args:
        legs: As `critical_path`.

    Returns:
        The sum.
    """
    return sum(leg.seconds for leg in legs)


def by_phase(legs: tuple[Leg, ...]) -> dict[str, float]:
    """Return the seconds of each phase.

    Args:
        legs: As `critical_path`.

    Returns:
        Phase to seconds, in the order of the legs' first appearance.
    """
    phases: dict[str, float] = {}
    for leg in legs:
        phases[leg.phase] = phases.get(leg.phase, 0.0) + leg.seconds
    return phases
