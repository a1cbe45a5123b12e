"""The comparison of the data as a picture: what each look at the volume found of what was there before.

Slow to import. Drawn twice, for a page and for a phone. Kinds of entries differ by height and place as well as by
colour, and every number is written out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runbook_lib import report_svg as svg
from runbook_lib.report_text import visible

_ROW = 62
_TITLE = "The data, compared"
_LOOKS = {
    "before-start": "before the application started",
    "after": "on the target",
    "after-restart": "after the task was restarted",
    "after-replace": "after the host was replaced",
    "negative-control": "an empty directory, to prove that it can fail",
}


@dataclass(frozen=True)
class Look:
    """One comparison.

    Args:
        label: What was compared.
        verdict: `identical`, or what it is instead.
        parts: Pairs of what entries are (`same`, `own`, `different`) and how many.
        text: The numbers in words.
    """

    label: str
    verdict: str
    parts: tuple[tuple[str, int], ...]
    text: str


def looks(report: Mapping[str, Any]) -> tuple[Look, ...]:
    """Return every comparison of a run, and the one that has to fail.

    Args:
        report: As `build_report`.

    Returns:
        In the order in which they were made, the negative control last; none when nothing was compared by entries.
    """
    data = report["data"]
    found = [_look(one) for one in data["comparisons"] if one.get("entries")]
    control = data["negative_control"]
    return (*found, _control(control)) if found and control and control.get("entries") else tuple(found)


def draw(compared: Sequence[Look]) -> Markup:
    """Return comparisons as a picture.

    Args:
        compared: As `looks`, at least one.

    Returns:
        Two `svg` elements, of which the page's style shows the one that fits its width.
    """
    told = "; ".join(f"{look.label}: {look.verdict}, {look.text}" for look in compared)
    stories = {str(row): f"{look.label}: {look.verdict}: {look.text}" for row, look in enumerate(compared)}
    with svg.drawing():
        both = [
            svg.embedded(_figure(compared, width), "data", kind, title=_TITLE, told=told, stories=stories)
            for kind, width in (("wide", svg.WIDE), ("narrow", svg.NARROW))
        ]
    return Markup("\n".join(both))  # noqa: S704 - matplotlib and `embedded` escape every text


def _look(comparison: Mapping[str, Any]) -> Look:
    missing, added, changed = (len(comparison[key]) for key in ("missing", "added", "changed"))
    written, removed = comparison["written_since_start_count"], comparison["removed_since_start_count"]
    different = missing + added + changed
    same = max(0, int(comparison["entries"]) - different - written - removed)
    numbers = (
        (same, "as they were"),
        (written, "written by the service"),
        (removed, "removed by it"),
        (missing, "missing"),
        (added, "added"),
        (changed, "changed"),
    )
    text = " · ".join(f"{number:,} {what}" for number, what in numbers if number or what == "as they were")
    verdict = "✓ identical" if comparison["identical"] else "✗ not identical"
    label = _LOOKS.get(comparison["phase"], str(comparison["phase"]).replace("-", " "))
    return Look(label, verdict, (("same", same), ("own", written + removed), ("different", different)), text)


def _control(control: Mapping[str, Any]) -> Look:
    """Return the comparison that must fail: whatever it lets pass would be a hole in the others."""
    verdict = "✗ finds no difference: proves nothing" if control["identical"] else "✓ fails, as it must"
    text = f"{control['entries']:,} looked for in a directory that has none of them"
    return Look(_LOOKS["negative-control"], verdict, (("different", int(control["entries"])),), text)


def _figure(compared: Sequence[Look], width: int) -> Figure:
    """Draw each comparison as two lines of text above a bar of the whole width."""
    is_wide = width == svg.WIDE
    row_height = _ROW if is_wide else _ROW + 17
    height = row_height * len(compared)
    figure = svg.new_figure(width, height)
    axes = figure.add_axes((2 / width, 0, (width - 14) / width, 1))
    axes.set_xlim(0, 1)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    for row, look in enumerate(compared):
        top = row * row_height
        ink = svg.GOOD if look.verdict.startswith("✓") else svg.BAD
        axes.annotate(visible(look.label), (0, top + 10), (0, 0), color=svg.INK, **svg.beside("left"))
        place = (1, top + 10) if is_wide else (0, top + 27)
        axes.annotate(look.verdict, place, (0, 0), color=ink, **svg.beside("right" if is_wide else "left"))
        base = top + row_height - 11
        axes.annotate(look.text, (0, base - 25), (0, 0), color=svg.MUTED, fontsize=11.5, **svg.beside("left"))
        _bar(axes, look, row, base)
    return figure


def _bar(axes: Axes, look: Look, row: int, base: float) -> None:
    """Draw the parts one after the other: what is the same is low, the service's own is lower, a difference is high."""
    total = max(1, sum(number for _, number in look.parts))
    heights = {"same": 9.0, "own": 5.0, "different": 14.0}
    colours = {"same": svg.GOOD, "own": svg.CALM, "different": svg.BAD if look.verdict.startswith("✗") else svg.QUIET}
    begin = 0.0
    for piece, (kind, number) in enumerate(look.parts):
        if not number:
            continue
        share = number / total
        (bar,) = axes.barh(base, share, -heights[kind], begin, align="edge", color=colours[kind], linewidth=0.8)
        bar.set_edgecolor(colours[kind])  # so that the smallest is seen
        svg.tell(bar, str(row), piece)
        begin += share
