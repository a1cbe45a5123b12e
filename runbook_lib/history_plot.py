"""How outages and durations developed, as a picture. The only home of matplotlib, which is slow to import."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = {
    "succeeded": "#1a7f4b",
    "rolled_back": "#96600a",
    "failed": "#bb2432",
    "interrupted": "#7a3fb0",
    "running": "#0f7f8c",
    "waiting": "#2f62c4",
    "planned": "#8b96a5",
    "damaged": "#000000",
}
_MARKS = {
    "succeeded": "o",
    "rolled_back": "s",
    "failed": "X",
    "interrupted": "D",
    "running": "v",
    "waiting": "^",
    "planned": ".",
    "damaged": "*",
}
_MUTED = "#5a6675"
_FAR_ABOVE = 3
_HEADROOM = 1.04


class Picture(Figure):
    """A figure that a notebook shows without pyplot, whose state all cells would share; white, so also in the dark."""

    told = ""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=120, facecolor="white")
        return stream.getvalue()

    def _repr_mimebundle_(self, **_wanted: Any) -> tuple[dict[str, bytes], dict[str, dict[str, str]]]:
        """Return the picture for a notebook, with its words for a screen reader."""
        return {"image/png": self._repr_png_()}, {"image/png": {"alt": self.told}}


def plot_history(table: pd.DataFrame) -> Picture:
    """Return how outages and durations developed.

    Args:
        table: As `history`, whole or a part of it.

    Returns:
        Two plots, one above the other: how long the service was unavailable, with the longest outage that was allowed;
        and how long the notebooks ran. One mark per run, its colour and shape say how the run ended.
    """
    picture = Picture(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(picture)
    above, below = picture.subplots(2, 1, sharex=True)
    executed = table[table["execute"]]
    counted = executed["status"].value_counts().items()
    runs = ", ".join(f"{number} {str(status).replace('_', ' ')}" for status, number in counted)
    picture.told = f"Outages and durations of {len(executed)} runs that executed: {runs or 'none'}"
    _draw(above, executed, "outage_s", "Service unavailable")
    _draw_budget(above, executed)
    _draw(below, executed, "runtime_s", "Notebooks ran")
    for axes in (above, below):
        axes.set_ylim(0, axes.get_ylim()[1] * _HEADROOM)
    handles = {
        label: handle
        for axes in (above, below)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        picture.legend(
            handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False, fontsize=9
        )
    locator = AutoDateLocator(minticks=3, maxticks=8)
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return picture


def _draw(axes: Any, table: pd.DataFrame, column: str, title: str) -> None:
    known = table.dropna(subset=["started_utc", column])
    for status, colour in _COLOURS.items():
        runs = known[known["status"] == status]
        if len(runs):
            label = f"{status.replace('_', ' ')} ({len(runs)})" if column == "runtime_s" else None
            axes.scatter(
                runs["started_utc"].to_numpy(),
                runs[column].to_numpy(),
                s=26,
                color=colour,
                marker=_MARKS[status],
                label=label,
                zorder=3,
            )
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylabel("seconds")
    axes.grid(visible=True, axis="y", color="#dfe3e8", zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    if known.empty:
        axes.text(0.5, 0.5, "none in these runs", transform=axes.transAxes, ha="center", va="center", color=_MUTED)


def _draw_budget(axes: Any, table: pd.DataFrame) -> None:
    """Draw the longest outage that was allowed; far above all outages it would press them flat, and is only named."""
    known = table.dropna(subset=["started_utc", "outage_budget_s", "outage_s"]).sort_values("started_utc")
    budgets = known["outage_budget_s"]
    if known.empty:
        return
    if budgets.min() > _FAR_ABOVE * known["outage_s"].max():
        allowed = " to ".join(dict.fromkeys((f"{budgets.min():g}", f"{budgets.max():g}")))
        axes.set_title(f"allowed: {allowed} s, above this scale", loc="right", fontsize=9, color=_MUTED)
        return
    times, values = list(known["started_utc"]), list(budgets)
    style = {"color": _MUTED, "linestyle": "--", "linewidth": 1, "label": "allowed outage"}
    if len(set(values)) == 1:
        axes.axhline(values[0], **style)
    else:
        axes.plot(times, values, drawstyle="steps-post", **style)
