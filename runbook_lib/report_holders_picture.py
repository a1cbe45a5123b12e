"""Who holds the volume, as a picture: the hosts before and after a run, and the volume in one of them. Slow to import.

Drawn twice, for a page and for a phone. Who holds the volume is written out and drawn with a thick edge, so that
nothing depends on a colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from runbook_lib import report_svg as svg
from runbook_lib.report_holders import Holding
from runbook_lib.report_text import visible

_TITLE = "Who holds the volume, before and after"
_BOX, _GAP, _HEAD = 64, 10, 26


def draw(held: Sequence[Holding], volume: Mapping[str, Any]) -> Markup:
    """Return who held a volume before and after, as a picture.

    Args:
        held: As `changed_hands`, at least two.
        volume: Keys `volume_id` and `filesystem_uuid`.

    Returns:
        Two `svg` elements, of which the page's style shows the one that fits its width.
    """
    told = f"{volume['volume_id']}: " + ", then ".join(
        f"{one.role} {one.instance_id} (seen by {one.step_id})".replace("  ", " ") for one in held
    )
    with svg.drawing():
        both = [
            svg.embedded(_figure(held, volume, width), "holders", kind, title=_TITLE, told=told, stories={})
            for kind, width in (("wide", svg.WIDE), ("narrow", svg.NARROW))
        ]
    return Markup("\n".join(both))  # noqa: S704 - matplotlib and `embedded` escape every text


def _figure(held: Sequence[Holding], volume: Mapping[str, Any], width: int) -> Figure:
    """Draw two columns, before and after; on a phone one below the other."""
    hosts = list({one.instance_id: one for one in held if one.instance_id}.values())
    column = _HEAD + len(hosts) * (_BOX + _GAP)
    is_wide = width == svg.WIDE
    height = column if is_wide else 2 * column + _GAP
    figure = svg.new_figure(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    each = (width - 44) / 2 if is_wide else width - 4
    second = (2 + each + 40, 0) if is_wide else (2, column + _GAP)
    for head, corner, holder in (("Before", (2, 0), held[0]), ("After", second, held[-1])):
        nobody = "" if holder.instance_id else ": attached nowhere"
        place = (corner[0], corner[1] + 12)
        axes.annotate(head + nobody, place, (0, 0), color=svg.INK, weight="bold", **svg.beside("left"))
        for number, host in enumerate(hosts):
            box = (corner[0], corner[1] + _HEAD + number * (_BOX + _GAP))
            volume_id = str(volume["volume_id"]) if host.instance_id == holder.instance_id else ""
            _host(axes, box, each, host, volume_id)
    if is_wide:
        arrow = {"arrowstyle": "-|>", "color": svg.MUTED, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
        middle = _HEAD + (column - _HEAD - _GAP) / 2
        axes.annotate("", (each + 38, middle), (each + 8, middle), arrowprops=arrow, annotation_clip=False)
    return figure


def _host(axes: Axes, corner: tuple[float, float], width: float, host: Holding, volume_id: str) -> None:
    """Draw a host, and in it the volume when it is the one that holds it."""
    left, top = corner
    _box(axes, corner, width, _BOX, holds=bool(volume_id))
    name, ink = visible(f"{host.role} {host.instance_id}"), svg.INK if volume_id else svg.MUTED
    axes.annotate(name, (left + 12, top + 17), (0, 0), color=ink, **svg.beside("left"))
    if not volume_id:
        text = "does not have the volume"
        axes.annotate(text, (left + 12, top + 43), (0, 0), color=svg.MUTED, **svg.beside("left"))
        return
    _box(axes, (left + 10, top + 30), width - 20, 26, holds=True, fill=svg.PANEL)
    text = visible(f"■ {volume_id}")
    axes.annotate(text, (left + 18, top + 43.5), (0, 0), color=svg.GOOD, weight="bold", **svg.beside("left"))


def _box(
    axes: Axes, corner: tuple[float, float], width: float, height: float, *, holds: bool, fill: str = "none"
) -> None:
    """Draw a box; the edge of one that holds the volume is thick, the edge of another is broken."""
    edge, line, stroke = (svg.GOOD, 1.8, "solid") if holds else (svg.QUIET, 1.0, (0, (4, 3)))
    style = "round,pad=0,rounding_size=4"
    box = FancyBboxPatch(
        corner, width, height, boxstyle=style, facecolor=fill, edgecolor=edge, linewidth=line, linestyle=stroke
    )
    axes.add_patch(box)
