"""Where each bar of the report's pictures lies, and what an outage was spent on; pure.

Positions are percentages of the picture's width, so that text keeps its size whatever the page's width is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from runbook_lib.report_outage import seconds_between
from runbook_lib.report_words import seconds

PLOT_START, PLOT_END = 26.5, 85.0
"""The plot's edges in percent: labels to the left, the bars' own numbers to the right of the last bar."""

_LEAST_WIDTH = 0.35
_LABEL_CHARACTERS = 32
_UNSEEN_S = 0.001
_ROUND_S = (
    *(m * 10.0**e for e in range(-3, 2) for m in (1, 2, 5)),
    60,
    120,
    300,
    600,
    1200,
    3600,
    7200,
    18000,
    36000,
    86400,
)


@dataclass(frozen=True)
class Bar:
    """One labelled bar.

    Args:
        label: What it stands for.
        status: State of the step.
        start: Left edge, in percent of the picture's width.
        width: Its width, in percent too.
        text: The number beside it.
        title: The whole story, shown on hover.
    """

    label: str
    status: str
    start: float
    width: float
    text: str
    title: str

    @property
    def end(self) -> float:
        """Right edge, in percent."""
        return round(self.start + self.width, 2)


@dataclass(frozen=True)
class Share:
    """What a part of an outage was spent on.

    Args:
        label: The step.
        status: Its state, or `gap` for time between steps.
        spans: Beginning and end of each piece, in seconds from the outage's beginning.
        text: How long, and which share of the whole.
        title: What it did.
        total_s: How long the outage was.
    """

    label: str
    status: str
    spans: tuple[tuple[float, float], ...]
    text: str
    title: str
    total_s: float


@dataclass(frozen=True)
class Chart:
    """Bars on one time axis.

    Args:
        ticks: Pairs of position in percent and label.
        groups: Pairs of a heading and its bars, top to bottom.
    """

    ticks: tuple[tuple[float, str], ...]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]


def timeline(report: Mapping[str, Any]) -> Chart:
    """Return all steps by notebook; every notebook begins at 0 on the common axis.

    Args:
        report: As `build_report`.

    Returns:
        One group per notebook.
    """
    steps = sorted(report["steps"], key=lambda step: step["notebook"])
    notebooks = [(name, sorted(group, key=_began)) for name, group in groupby(steps, key=lambda step: step["notebook"])]
    offsets = {
        id(step): max(0.0, seconds_between(group[0]["started_utc"], step["started_utc"]))
        for _, group in notebooks
        for step in group
    }
    longest = max((offsets[id(s)] + s["duration_s"] for _, group in notebooks for s in group), default=0.0)
    axis = _Axis(longest)
    groups = tuple(
        (name, tuple(_step_bar(step, offsets[id(step)], axis) for step in group)) for name, group in notebooks
    )
    return Chart(axis.ticks(), groups)


def outage_shares(report: Mapping[str, Any]) -> tuple[Share, ...]:
    """Return what the longest outage was spent on, step by step.

    Args:
        report: As `build_report`.

    Returns:
        The steps in order, the time between them last; none without an outage that ended.
    """
    windows = [window for window in report["outages"] if window["outage_s"]]
    if not windows:
        return ()
    window = max(windows, key=lambda item: float(item["outage_s"]))
    total_s = float(window["outage_s"])
    shares, gaps, reached_s = [], [], 0.0
    for step in sorted(report["steps"], key=_began):
        offset_s = seconds_between(window["started_utc"], step["started_utc"])
        begin, end = max(reached_s, offset_s), min(total_s, offset_s + step["duration_s"])
        if not step["in_outage"] or end <= begin:
            continue
        gaps.append((reached_s, begin))
        shares.append(_share(step["id"], step["status"], step["title"], [(begin, end)], total_s))
        reached_s = end
    gaps.append((reached_s, total_s))
    between = "Starting cells, writing the journal, probing"
    return (*shares, _share("between the steps", "gap", between, gaps, total_s))


def _share(label: str, status: str, title: str, spans: Sequence[tuple[float, float]], total_s: float) -> Share:
    spent_s = sum(end - begin for begin, end in spans)
    seen = tuple((begin, end) for begin, end in spans if end - begin > _UNSEEN_S)
    return Share(_label(label), status, seen, f"{seconds(spent_s)} · {spent_s / total_s:.0%}", title, total_s)


def forecast_chart(report: Mapping[str, Any]) -> Chart | None:
    """Return what the outage is expected to be spent on, one part after the other.

    Args:
        report: As `build_report`.

    Returns:
        One group of bars; None when nothing was rehearsed.
    """
    forecast = report["forecast"]
    if not forecast or not forecast["parts"]:
        return None
    ends = list(accumulate(part["seconds"] for part in forecast["parts"]))
    axis = _Axis(ends[-1])
    bars = (
        Bar(
            _label(part["name"]),
            "planned",
            axis.x(end - part["seconds"]),
            axis.width(part["seconds"]),
            seconds(part["seconds"]),
            part["basis"],
        )
        for part, end in zip(forecast["parts"], ends, strict=True)
    )
    return Chart(axis.ticks(), (("", tuple(bars)),))


def budget_bar(report: Mapping[str, Any]) -> dict[str, float] | None:
    """Return how much of the allowed outage was used.

    Args:
        report: As `build_report`.

    Returns:
        Keys `used` and `limit`, percent of the picture's width; None when either is unknown.
    """
    outage_s, budget_s = report["outage_s"], report["outage_budget_s"]
    if not outage_s or not budget_s:
        return None
    longest = max(outage_s, budget_s)
    return {"used": round(100 * outage_s / longest, 2), "limit": round(100 * budget_s / longest, 2)}


def _began(step: Mapping[str, Any]) -> str:
    return str(step["started_utc"])


def _step_bar(step: Mapping[str, Any], offset_s: float, axis: _Axis) -> Bar:
    took, start, width = seconds(step["duration_s"]), axis.x(offset_s), axis.width(step["duration_s"])
    text = took if step["status"] in {"succeeded", "planned"} else f"{took} · {step['status']}"
    return Bar(
        _label(step["id"]),
        step["status"],
        start,
        width,
        text,
        f"{step['id']}: {step['title']}: {step['status']}, {took}",
    )


def _label(text: str) -> str:
    return text if len(text) <= _LABEL_CHARACTERS else f"{text[: _LABEL_CHARACTERS - 1]}…"


class _Axis:
    """Seconds from 0 to the longest, on the plot."""

    def __init__(self, longest_s: float) -> None:
        self.longest_s = max(longest_s, 0.001)

    def x(self, offset_s: float) -> float:
        return round(PLOT_START + (PLOT_END - PLOT_START) * offset_s / self.longest_s, 2)

    def width(self, duration_s: float) -> float:
        return round(max(_LEAST_WIDTH, (PLOT_END - PLOT_START) * duration_s / self.longest_s), 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Return at most six round numbers."""
        step_s = next((number for number in _ROUND_S if number >= self.longest_s / 5), self.longest_s / 5)
        marks = [index * step_s for index in range(6) if index * step_s <= self.longest_s]
        return tuple((self.x(mark), seconds(mark)) for mark in marks)
