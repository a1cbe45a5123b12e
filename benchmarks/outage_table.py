"""The arithmetic of the outage benchmark: gaps between acknowledged writes, phases out of a journal, ratios, tables.

Pure; it reads no file and no clock.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PATH = "critical path"
PROVED_PATH = "critical path with the proof before the start"
BEST_OTHER = "best other"
OURS = "runbook"
PHASE_OF_STEP = {
    "stop-source-service": "stop and unmount",
    "create-rollback-point": "rollback point",
    "detach-volume": "detach",
    "name-volume": "name",
    "verify-before-start": "attach",
    "start-target-service": "start",
}
WITHIN_PATH, OF_THE_BEST_OTHER = 1.25, 0.5


@dataclass(frozen=True)
class Gap:
    """The time in which no write was acknowledged.

    Args:
        last_ok: The last acknowledgement before it, seconds since 1970.
        first_ok: The first one after it, seconds since 1970.
    """

    last_ok: float
    first_ok: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.first_ok - self.last_ok


@dataclass(frozen=True)
class Cutover:
    """One measured cutover.

    Args:
        way: Who did it.
        gap: The outage.
        phases: Phase to seconds, in the order in which they ended; they add up to the outage.
        commands: Commands run on hosts inside the outage, in order: name, and seconds where they are known.
        command_overhead_s: What one command costs in the sandbox beyond the configured delivery, in seconds.
        acknowledged: Writes that the service acknowledged, before and after.
        missing: How many of them it does not return afterwards.
    """

    way: str
    gap: Gap
    phases: Mapping[str, float]
    commands: Sequence[tuple[str, float]]
    command_overhead_s: float
    acknowledged: int
    missing: int

    @property
    def overhead_s(self) -> float:
        """The sandbox's own work for these commands, in seconds: part of the outage, none of it on AWS."""
        return len(self.commands) * self.command_overhead_s


@dataclass
class Results:
    """Every cutover of one run of the benchmark, by way.

    Args:
        path_s: The critical path in seconds.
        proved_path_s: That of a cutover that proves the data on the target before the application starts.
        cutovers: Way to its cutovers, one a round.
    """

    path_s: float
    proved_path_s: float
    cutovers: dict[str, list[Cutover]] = field(default_factory=dict)

    def median_s(self, way: str) -> float:
        """Return the median outage of a way in seconds."""
        return statistics.median(one.gap.seconds for one in self.cutovers[way])

    def ratios(self) -> dict[str, float]:
        """Return how ours compares: with both critical paths, and with the best other way where one was measured."""
        ours = self.median_s(OURS)
        others = [self.median_s(way) for way in self.cutovers if way != OURS]
        paths = {PATH: ours / self.path_s, PROVED_PATH: ours / self.proved_path_s}
        return paths | ({BEST_OTHER: ours / min(others)} if others else {})

    def misses(self) -> list[str]:
        """Return what is not as it must be, in words: the two ratios, and every lost write."""
        ratios = self.ratios()
        limits = {PATH: WITHIN_PATH, BEST_OTHER: OF_THE_BEST_OTHER}
        wrong = [
            f"{ratios[name]:.2f} x the {name}, at most {limit} wanted"
            for name, limit in limits.items()
            if ratios.get(name, 0.0) > limit
        ]
        lost = [one for rounds in self.cutovers.values() for one in rounds if one.missing]
        return wrong + [f"{one.way} lost {one.missing} acknowledged writes" for one in lost]


def longest_gap(times: Sequence[float], since: float) -> Gap:
    """Return the longest time without an acknowledged write.

    Args:
        times: When each write was acknowledged, seconds since 1970, oldest first.
        since: Gaps that ended before this moment do not count.

    Returns:
        The gap.

    Raises:
        ValueError: when fewer than two writes were acknowledged since then, so that nothing was measured.
    """
    gaps = [Gap(before, after) for before, after in itertools.pairwise(times) if after > since]
    if not gaps:
        raise ValueError("no two acknowledged writes since the cutover began: the service never answered again")
    return max(gaps, key=lambda gap: gap.seconds)


def phases_of_marks(marks: Sequence[tuple[float, str]], gap: Gap) -> dict[str, float]:
    """Return what an outage was spent on, from marks that say when a phase began.

    Args:
        marks: (seconds since 1970, phase that begins), oldest first.
        gap: The outage.

    Returns:
        Phase to seconds inside the outage, in order; they add up to it. Time before the first mark is "before".
    """
    phases: dict[str, float] = {}
    ends = [moment for moment, _ in marks] + [gap.first_ok]
    for name, began, ended in zip(["before", *(name for _, name in marks)], [gap.last_ok, *ends], ends, strict=False):
        inside = min(ended, gap.first_ok) - max(began, gap.last_ok)
        if inside > 0:
            phases[name] = phases.get(name, 0.0) + inside
    return phases


def phases_of_steps(events: Sequence[Mapping[str, Any]], gap: Gap) -> dict[str, float]:
    """Return what an outage was spent on, from the journal of a run: each step reaches from the end of the last one.

    Args:
        events: The journal's lines, oldest first.
        gap: The outage.

    Returns:
        Phase to seconds inside the outage; they add up to it. A later attempt of a step adds to the same phase.
    """
    phases: dict[str, float] = {}
    began = gap.last_ok
    ended = [one for one in events if one["kind"] == "step" and one["status"] in {"succeeded", "failed", "skipped"}]
    for event in ended:
        moment, phase = seconds_of(event["at_utc"]), PHASE_OF_STEP.get(event["step_id"], "other")
        inside = min(moment, gap.first_ok) - began
        if inside > 0:
            phases[phase] = phases.get(phase, 0.0) + inside
            began += inside
    if gap.first_ok > began:
        phases["other"] = phases.get("other", 0.0) + gap.first_ok - began
    return phases


def commands_inside(events: Sequence[Mapping[str, Any]], gap: Gap) -> list[tuple[str, float]]:
    """Return the host commands that ended inside the outage.

    Args:
        events: The journal's lines, oldest first.
        gap: The outage.

    Returns:
        (script, seconds) of each, in order.
    """
    found = [one for one in events if one["kind"] == "host-command"]
    inside = [one for one in found if gap.last_ok < seconds_of(one["at_utc"]) <= gap.first_ok]
    return [(one["script"], one["duration_s"]) for one in inside]


def seconds_of(at_utc: str) -> float:
    """Return an RFC 3339 time as seconds since 1970."""
    return datetime.fromisoformat(at_utc).timestamp()


def table(results: Results) -> str:
    """Return the table of the ways and their ratios, as Markdown."""
    ours = results.median_s(OURS)
    lines = [
        "| way | outage s (median) | each round s | of it the sandbox's own s | runbook takes |",
        "|---|---|---|---|---|",
        f"| {PATH} | {results.path_s:.2f} | | | {ours / results.path_s:.2f} x |",
        f"| {PROVED_PATH} | {results.proved_path_s:.2f} | | | {ours / results.proved_path_s:.2f} x |",
    ]
    for way, rounds in results.cutovers.items():
        each = ", ".join(f"{one.gap.seconds:.2f}" for one in rounds)
        overhead_s = statistics.median(one.overhead_s for one in rounds)
        ratio = "" if way == OURS else f"{ours / results.median_s(way):.2f} x"
        lines.append(f"| {way} | {results.median_s(way):.2f} | {each} | {overhead_s:.2f} | {ratio} |")
    return "\n".join(lines)


def phase_table(cutovers: Sequence[Cutover], path: Mapping[str, float] | None = None) -> str:
    """Return the medians of the phases of one way, beside the critical path where given, as Markdown."""
    names = list(dict.fromkeys([name for one in cutovers for name in one.phases] + list(path or {})))
    beside = path is not None
    lines = [f"| phase | s |{' critical path s |' if beside else ''}", f"|---|---|{'---|' if beside else ''}"]
    for name in names:
        seconds = statistics.median(one.phases.get(name, 0.0) for one in cutovers)
        lines.append(f"| {name} | {seconds:.2f} |" + (f" {(path or {}).get(name, 0.0):.2f} |" if beside else ""))
    return "\n".join(lines)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much y grows with one x, by least squares.

    Args:
        points: (x, y), at least two different x.

    Returns:
        y per x.
    """
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
