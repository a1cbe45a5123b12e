"""Figures of matplotlib as SVG that stands in a page: its font, its colours in light and dark, and nothing fetched.

The same figure gives the same bytes. Text stays text; no name can be markup. Slow to import, because matplotlib is.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from runbook_lib.report_text import visible

# placeholders that stand for the page's own colours, which are others in the dark
INK, MUTED, LINE, PANEL = "#000001", "#000002", "#000003", "#000009"
GOOD, BAD, CALM, QUIET, WARN = "#000004", "#000005", "#000006", "#000007", "#000008"
_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    PANEL: "var(--panel)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    CALM: "var(--calm)",
    QUIET: "var(--quiet)",
    WARN: "var(--warn)",
}
WIDE, NARROW = 760, 346
"""Pixels of a picture on a page, and on a phone: text in a picture that is made smaller cannot be read."""

_POINTS_PER_INCH = 72
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "runbook",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "font.size": 12.5,
    "text.color": INK,
    "axes.unicode_minus": False,
}
_ONLY_SVG = re.compile(r"<svg\b.*</svg>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*|<defs>.*?</defs>\s*", re.DOTALL)
_OPENING = re.compile(r'<svg\b[^>]*?viewBox="([^"]+)"[^>]*>')
_NOT_WANTED = re.compile(r" font-family: [^;\"]*;| transform=\"rotate\(-?0 [^\"]*\"| clip-path=\"[^\"]*\"")
_ID = re.compile(r'(\bid=")')
_COLOUR = re.compile("|".join(_COLOURS))
_NAMED = re.compile(r'<g id="[\w-]+-told-(\w+)-\d+">')
_TAG = re.compile(r"<[^>]*>")


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with the style of these pictures, whatever the process has set elsewhere."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the measuring font lacks; the reader's font shows it
        yield


def new_figure(width: int, height: int) -> Figure:
    """Return an empty figure of that many pixels, without a background of its own."""
    figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), dpi=_POINTS_PER_INCH)
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    return figure


def beside(side: str) -> dict[str, Any]:
    """Return how a text stands beside its point: `left` or `right` aligned, in the middle of its line."""
    return {"textcoords": "offset points", "ha": side, "va": "center_baseline", "annotation_clip": False}


def tell(artist: Any, key: str, piece: int) -> None:
    """Mark a piece of a part of a figure, so that `embedded` can give it the part's story."""
    artist.set_gid(f"told-{key}-{piece}")


def embedded(figure: Figure, name: str, kind: str, *, title: str, told: str, stories: Mapping[str, str]) -> str:
    """Return a figure as one element for a page, without what belongs to a file of its own.

    Args:
        figure: The figure; nothing in it lies outside of its axes, so nothing is clipped.
        name: What the picture is called; no other picture of the page has this name and kind.
        kind: `wide` or `narrow`.
        title: Its title, for a screen reader too.
        told: All that it shows, in words.
        stories: What is shown when a marked part is pointed at, by the key that it was marked with.

    Returns:
        An `svg` element.
    """
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=nothing)
    found = _ONLY_SVG.search(stream.getvalue())
    text = _METADATA.sub("", found[0] if found else "")
    text = _TAG.sub(lambda tag: _for_the_page(tag[0], f"{name}-{kind}"), text)
    titles = {key: escape(visible(story)) for key, story in stories.items()}
    text = _NAMED.sub(lambda part: f"{part[0]}<title>{titles[part[1]]}</title>", text)
    opening = rf'<svg class="picture {kind}" viewBox="\1" role="img" aria-label="{escape(title)}">'
    head, tail = _OPENING.sub(opening, text, count=1).split(">", 1)
    return f"{head}><title>{escape(title)}</title><desc>{escape(visible(told))}</desc>{tail}"


def _for_the_page(tag: str, prefix: str) -> str:
    """Return a tag with the page's font and colours, and with a name that no other picture of the page has."""
    tag = _ID.sub(rf"\g<1>{prefix}-", _NOT_WANTED.sub("", tag))
    return _COLOUR.sub(lambda match: _COLOURS[match[0]], tag)
