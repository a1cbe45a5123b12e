"""The outage as a picture: which step took which part of it. Slow to import; only an outage needs it.

Drawn twice, for a page and for a phone, because text in a picture that is made smaller cannot be read; the page's style
shows one. The same shares give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from runbook_lib import report_svg as svg
from runbook_lib.report_picture import Share
from runbook_lib.report_text import visible
from runbook_lib.report_words import seconds

_STATUSES = {
    "succeeded": svg.GOOD,
    "failed": svg.BAD,
    "planned": svg.CALM,
    "skipped": svg.QUIET,
    "gap": svg.QUIET,
}
_LABELS, _NUMBERS = 216, 96
_TOP, _ROW, _TALL_ROW = 26, 22, 40
_TITLE = "Outage by step"


def draw(shares: Sequence[Share]) -> Markup:
    """Return what an outage was spent on, as a picture.

    Args:
        shares: As `outage_shares`, at least one.

    Returns:
        Two `svg` elements, of which the page's style shows the one that fits its width.
    """
    told = "; ".join(f"{share.label} {share.text}" for share in shares)
    stories = {str(row): f"{share.label}: {share.title}: {share.text}" for row, share in enumerate(shares)}
    with svg.drawing():
        both = [
            svg.embedded(figure, "outage", kind, title=_TITLE, told=told, stories=stories)
            for kind, figure in (("wide", _wide(shares)), ("narrow", _narrow(shares)))
        ]
    return Markup("\n".join(both))  # noqa: S704 - matplotlib and `embedded` escape every text


def _wide(shares: Sequence[Share]) -> Figure:
    """Draw names to the left of the bars, numbers to their right."""
    height = _TOP + _ROW * len(shares) + 4
    figure, axes = _axes(shares, svg.WIDE, height, _LABELS, svg.WIDE - _NUMBERS)
    axes.set_ylim(len(shares), 0)
    for row, share in enumerate(shares):
        _bar(axes, share, row, row + 0.16, 0.66)
        axes.annotate(_name(share), (0, row + 0.5), (-_LABELS, 0), color=svg.INK, **svg.beside("left"))
        end_s = max((end for _, end in share.spans), default=0.0)
        axes.annotate(share.text, (end_s, row + 0.5), (7, 0), color=svg.MUTED, **svg.beside("left"))
    return figure


def _narrow(shares: Sequence[Share]) -> Figure:
    """Draw names and numbers above the bars, which have the whole width."""
    height = _TOP + _TALL_ROW * len(shares) + 4
    figure, axes = _axes(shares, svg.NARROW, height, 2, svg.NARROW - 14)
    axes.set_ylim(len(shares), 0)
    for row, share in enumerate(shares):
        _bar(axes, share, row, row + 0.56, 0.32)
        axes.annotate(_name(share), (0, row + 0.3), (0, 0), color=svg.INK, **svg.beside("left"))
        axes.annotate(share.text, (share.total_s, row + 0.3), (0, 0), color=svg.MUTED, **svg.beside("right"))
    return figure


def _name(share: Share) -> str:
    """Return the step's name; one that did not end well says so, because a colour alone says nothing to some."""
    well = share.status in {"succeeded", "gap"}
    return visible(share.label if well else f"{share.label} ({share.status})")


def _axes(shares: Sequence[Share], width: int, height: int, left: int, right: int) -> tuple[Figure, Axes]:
    """Return a figure of that many pixels, with seconds from left to right."""
    figure = svg.new_figure(width, height)
    axes = figure.add_axes((left / width, 4 / height, (right - left) / width, (height - _TOP - 4) / height))
    axes.set_xlim(0, shares[0].total_s)
    axes.xaxis.set_major_locator(MaxNLocator(5 if width == svg.WIDE else 4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: seconds(value)))
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=svg.MUTED, labelsize=12, pad=3)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x", color=svg.LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.patch.set_visible(False)
    return figure, axes


def _bar(axes: Axes, share: Share, row: int, top: float, thickness: float) -> None:
    colour = _STATUSES.get(share.status, svg.WARN)
    for piece, (begin, end) in enumerate(share.spans):
        (bar,) = axes.barh(top, end - begin, thickness, begin, align="edge", color=colour, linewidth=0.8)
        bar.set_edgecolor(colour)  # so that the shortest is seen
        svg.tell(bar, str(row), piece)
