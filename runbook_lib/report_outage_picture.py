"""The outage as a picture: matplotlib draws it as SVG that stands in the page. Slow to import; only an outage needs it.

Drawn twice, for a page and for a phone, because text in a picture that is made smaller cannot be read; the page's style
shows one. The same shares give the same bytes. Text stays text, in the page's own font and colours; nothing in it is
fetched, and no name can be markup.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from runbook_lib.report_picture import Share
from runbook_lib.report_text import visible
from runbook_lib.report_words import seconds

# placeholders that stand for the page's own colours, which are others in the dark
_INK, _MUTED, _LINE = "#000001", "#000002", "#000003"
_COLOURS = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _LINE: "var(--line)",
    "#000004": "var(--good)",
    "#000005": "var(--bad)",
    "#000006": "var(--calm)",
    "#000007": "var(--quiet)",
    "#000008": "var(--warn)",
}
_STATUSES = {"succeeded": "#000004", "failed": "#000005", "planned": "#000006", "skipped": "#000007", "gap": "#000007"}
_OTHER = "#000008"
_POINTS_PER_INCH = 72
_PX = 1 / _POINTS_PER_INCH
_TEXT = 12.5
_WIDE, _NARROW = 760, 346
_LABELS, _NUMBERS = 216, 96
_TOP, _ROW, _TALL_ROW = 26, 22, 40
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "runbook",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": _TEXT,
    "text.color": _INK,
    "axes.unicode_minus": False,
}
_ONLY_SVG = re.compile(r"<svg\b.*</svg>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*|<defs>.*?</defs>\s*", re.DOTALL)
_OPENING = re.compile(r'<svg\b[^>]*?viewBox="([^"]+)"[^>]*>')
_NOT_WANTED = re.compile(r" font-family: [^;\"]*;| transform=\"rotate\(-?0 [^\"]*\"| clip-path=\"[^\"]*\"")
_ID = re.compile(r'(\bid=")')
_COLOUR = re.compile("|".join(_COLOURS))
_BAR = re.compile(r'<g id="\w+-bar-(\d+)-\d+">')
_TAG = re.compile(r"<[^>]*>")


def draw(shares: Sequence[Share]) -> Markup:
    """Return what an outage was spent on, as a picture.

    Args:
        shares: As `outage_shares`, at least one.

    Returns:
        Two `svg` elements, of which the page's style shows the one that fits its width.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the measuring font lacks; the reader's font shows it
        both = [_embedded(_wide(shares), "wide", shares), _embedded(_narrow(shares), "narrow", shares)]
    return Markup("\n".join(both))  # noqa: S704 - matplotlib and `_embedded` escape every text


def _wide(shares: Sequence[Share]) -> Figure:
    """Draw names to the left of the bars, numbers to their right."""
    height = _TOP + _ROW * len(shares) + 4
    figure, axes = _axes(shares, _WIDE, height, _LABELS, _WIDE - _NUMBERS)
    axes.set_ylim(len(shares), 0)
    for row, share in enumerate(shares):
        _bar(axes, share, row, row + 0.16, 0.66)
        axes.annotate(visible(share.label), (0, row + 0.5), (-_LABELS, 0), color=_INK, **_beside("left"))
        end_s = max((end for _, end in share.spans), default=0.0)
        axes.annotate(share.text, (end_s, row + 0.5), (7, 0), color=_MUTED, **_beside("left"))
    return figure


def _narrow(shares: Sequence[Share]) -> Figure:
    """Draw names and numbers above the bars, which have the whole width."""
    height = _TOP + _TALL_ROW * len(shares) + 4
    figure, axes = _axes(shares, _NARROW, height, 2, _NARROW - 14)
    axes.set_ylim(len(shares), 0)
    for row, share in enumerate(shares):
        _bar(axes, share, row, row + 0.56, 0.32)
        axes.annotate(visible(share.label), (0, row + 0.3), (0, 0), color=_INK, **_beside("left"))
        axes.annotate(share.text, (share.total_s, row + 0.3), (0, 0), color=_MUTED, **_beside("right"))
    return figure


def _axes(shares: Sequence[Share], width: int, height: int, left: int, right: int) -> tuple[Figure, Axes]:
    """Return a figure of that many pixels, with seconds from left to right."""
    figure = Figure(figsize=(width * _PX, height * _PX), dpi=_POINTS_PER_INCH)
    FigureCanvasSVG(figure)
    axes = figure.add_axes((left / width, 4 / height, (right - left) / width, (height - _TOP - 4) / height))
    axes.set_xlim(0, shares[0].total_s)
    axes.xaxis.set_major_locator(MaxNLocator(5 if width == _WIDE else 4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _position: seconds(value)))
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=_MUTED, labelsize=12, pad=3)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x", color=_LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    return figure, axes


def _bar(axes: Axes, share: Share, row: int, top: float, thickness: float) -> None:
    colour = _STATUSES.get(share.status, _OTHER)
    for piece, (begin, end) in enumerate(share.spans):
        (bar,) = axes.barh(top, end - begin, thickness, begin, align="edge", color=colour, linewidth=0.8)
        bar.set_edgecolor(colour)  # so that the shortest is seen
        bar.set_gid(f"bar-{row}-{piece}")


def _beside(side: str) -> dict[str, Any]:
    return {"textcoords": "offset points", "ha": side, "va": "center_baseline", "annotation_clip": False}


def _embedded(figure: Figure, kind: str, shares: Sequence[Share]) -> str:
    """Return a figure as one element for the page, without what belongs to a file of its own."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=nothing)
    found = _ONLY_SVG.search(stream.getvalue())
    text = _TAG.sub(lambda tag: _for_the_page(tag[0], kind), _METADATA.sub("", found[0] if found else ""))
    titles = [escape(visible(f"{share.label}: {share.title}: {share.text}")) for share in shares]
    text = _BAR.sub(lambda bar: f"{bar[0]}<title>{titles[int(bar[1])]}</title>", text)
    parts = "; ".join(f"{share.label} {share.text}" for share in shares)
    told = f"<title>Outage by step</title><desc>{escape(visible(parts))}</desc>"
    opening = rf'<svg class="picture {kind}" viewBox="\1" role="img" aria-label="Outage by step">'
    head, tail = _OPENING.sub(opening, text, count=1).split(">", 1)
    return f"{head}>{told}{tail}"


def _for_the_page(tag: str, kind: str) -> str:
    """Return a tag with the page's font and colours, and with a name that no other picture of the page has.

    Nothing lies outside of the axes, so nothing needs to be clipped.
    """
    tag = _ID.sub(rf"\g<1>{kind}-", _NOT_WANTED.sub("", tag))
    return _COLOUR.sub(lambda match: _COLOURS[match[0]], tag)
