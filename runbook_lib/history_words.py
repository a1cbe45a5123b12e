"""How two runs differ, as one sentence that an operator would say; pure."""

from __future__ import annotations

from collections.abc import Iterator

from runbook_lib.history_diff import Duration, RunDifference

_SLOWER_TIMES, _SLOWER_S = 1.5, 0.5
"""A step counts as slower from both on: below them it is the machine's noise."""
_NAMED = 3


def notable(durations: tuple[Duration, ...]) -> list[Duration]:
    """Return the steps that took notably longer or shorter, the largest change first.

    Args:
        durations: Of every step that both runs have.

    Returns:
        Those whose time changed by half a second and by half at least.
    """
    found = [
        one
        for one in durations
        if abs(one.change_s) >= _SLOWER_S
        and max(one.first_s, one.second_s) >= _SLOWER_TIMES * min(one.first_s, one.second_s)
    ]
    return sorted(found, key=lambda one: -abs(one.change_s))


def sentence(found: RunDifference) -> str:
    """Return what differs in one line, for example `2 parameters, 1 extra call, detach-volume 4.1 times slower`.

    Args:
        found: The differences.

    Returns:
        The parts that an operator looks for first, in that order; `no difference` when there is none.
    """
    return ", ".join(_parts(found)) or ("no difference" if found.is_empty else "the facts below")


def _parts(found: RunDifference) -> Iterator[str]:
    facts = {one.name: one for one in found.facts}
    if "status" in facts:
        yield f"{facts['status'].second} instead of {facts['status'].first}"
    if "data identical" in facts and facts["data identical"].second == "False":
        yield "data not identical"
    if found.parameters:
        yield _count(len(found.parameters), "parameter")
    extra = sum(max(0, one.second - one.first) for one in found.calls)
    fewer = sum(max(0, one.first - one.second) for one in found.calls)
    if extra:
        yield _count(extra, "extra call")
    if fewer:
        yield f"{_count(fewer, 'call')} fewer"
    if found.notebooks:
        yield f"{_count(len(found.notebooks), 'notebook')} not the same"
    yield from _steps(found)
    yield from _speeds(notable(found.durations))


def _steps(found: RunDifference) -> Iterator[str]:
    missing = [one for one in found.steps if not one.second]
    added = [one for one in found.steps if not one.first]
    other = [one for one in found.steps if one.first and one.second]
    yield from (f"{_short(one.name)} {one.second}" for one in other[:_NAMED])
    if len(other) > _NAMED:
        yield f"{_count(len(other) - _NAMED, 'more step')} with another end"
    if missing:
        yield f"{_count(len(missing), 'step')} fewer"
    if added:
        yield _count(len(added), "extra step")


def _speeds(durations: list[Duration]) -> Iterator[str]:
    for one in durations[:_NAMED]:
        slow, quick = max(one.first_s, one.second_s), min(one.first_s, one.second_s)
        how = "slower" if one.change_s > 0 else "quicker"
        times = f"{slow / quick:.1f} times {how}" if quick >= 0.05 else f"{abs(one.change_s):.1f} s {how}"  # noqa: PLR2004 - a ratio to almost nothing says nothing
        yield f"{_short(one.step)} {times}"
    if len(durations) > _NAMED:
        yield f"{_count(len(durations) - _NAMED, 'more step')} slower or quicker"


def _short(step: str) -> str:
    return step.rpartition("/")[2]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
