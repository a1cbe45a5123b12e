"""The page of an archive: which runs there are, how long their outages were, what still needs somebody; renders only.

Every value is escaped, and shown with its control characters and reversing marks as numbers: names, operators and
reasons come from elsewhere.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from runbook_lib import report_words as words
from runbook_lib.report_text import visible

Run = Mapping[str, Any]
_TEMPLATES = Path(__file__).with_name("templates")
_OPEN_RUNS = 60
"""So many runs are shown at once; older months are opened by hand."""
_ATTENTION = ("waiting", "interrupted", "damaged")
_MOST_ATTENTION, _MOST_DOTS = 20, 300
_PLOT_START, _PLOT_END, _PLOT_HEIGHT = 7.0, 99.0, 150
_SHAPES = {
    "succeeded": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "rolled_back": "M-4-4h8v8h-8z",
    "failed": "M-5-3l2-2 3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3z",
    "interrupted": "M0-5l5 5-5 5-5-5z",
    "running": "M-5-4h10l-5 9z",
    "waiting": "M0-5l5 9h-10z",
    "planned": "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0",
    "damaged": "M-5-1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
}
"""State of a run → the shape of its mark, because a colour alone says nothing to some."""
_PILLS = {"rolled_back": "interrupted", "waiting": "running", "damaged": "failed"}


def render_index(runs: Sequence[Run], *, base: str, total: int, made_utc: str) -> str:
    """Return an archive as one HTML file that needs nothing else, and runs no script.

    Args:
        runs: The runs to show, newest first: fields of RunSummary, and `has_report`.
        base: Path of the archive from the page's folder, for links to reports.
        total: How many runs the archive has, shown or not.
        made_utc: RFC 3339 time of the page.

    Returns:
        HTML.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_as_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": words.count,
        "seconds": words.seconds,
        "utc": words.utc,
        "pill_class": lambda status: _PILLS.get(status, status),
    }
    text = environment.get_template("index.html.j2").render(
        runs=runs,
        total=total,
        made_utc=made_utc,
        months=_months(runs),
        attention=[run for run in runs if run["open_reviews"] or run["status"] in _ATTENTION][:_MOST_ATTENTION],
        statuses=_statuses(runs),
        median_s=statistics.median(outages) if (outages := [r["outage_s"] for r in runs if r["outage_s"]]) else None,
        outages=len(outages),
        dots=_dots(runs),
        href=lambda run: quote(f"{base}/{run['run_id']}/report.html", errors="surrogateescape"),
    )
    return text.encode("utf-8", "backslashreplace").decode()


def _as_text(value: Any) -> Any:
    """Return a value with everything visible; markup that a macro made is left as it is."""
    return visible(value) if type(value) is str else value


def _months(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the runs by month, newest first; the months that hold the newest runs are open."""
    months: dict[str, list[Run]] = {}
    for run in runs:
        months.setdefault(_month(run), []).append(run)
    found, before = [], 0
    for name, rows in months.items():
        found.append({"name": name, "runs": rows, "is_open": before < _OPEN_RUNS})
        before += len(rows)
    return found


def _month(run: Run) -> str:
    """Return the month of a run; a damaged one has none but that of its name."""
    year_month = str(run["started_utc"] or run["run_id"]).replace("-", "")[:6]
    return f"{year_month[:4]}-{year_month[4:]}" if year_month.isdecimal() else "without a time"


def _statuses(runs: Sequence[Run]) -> list[tuple[str, int]]:
    order = ("succeeded", "failed", "rolled_back", "interrupted", "running", "waiting", "planned", "damaged")
    counted = {status: sum(run["status"] == status for run in runs) for status in order}
    return [(status, number) for status, number in counted.items() if number]


def _dots(runs: Sequence[Run]) -> dict[str, Any] | None:
    """Return where each outage lies in the picture, x in percent and y in pixels; None with fewer than two."""
    known = [run for run in runs if run["outage_s"] and run["started_utc"]][:_MOST_DOTS]
    if len(known) < 2:  # noqa: PLR2004 - one dot is no development
        return None
    times = [datetime.fromisoformat(run["started_utc"]).timestamp() for run in known]
    first, span = min(times), max(max(times) - min(times), 1.0)
    top_s = _round_up(max(run["outage_s"] for run in known))
    dots = [
        {
            "x": round(_PLOT_START + (_PLOT_END - _PLOT_START) * (moment - first) / span, 2),
            "y": round(_PLOT_HEIGHT * (1 - run["outage_s"] / top_s) + 8, 1),
            "status": _PILLS.get(run["status"], run["status"]),
            "shape": _SHAPES.get(run["status"], _SHAPES["planned"]),
            "title": f"{run['run_id']}: {words.seconds(run['outage_s'])}, {run['status']}",
        }
        for run, moment in zip(known, times, strict=True)
    ]
    lines = [(round(_PLOT_HEIGHT * (1 - part) + 8, 1), words.seconds(top_s * part)) for part in (0, 0.5, 1)]
    ends = known[-1]["started_utc"][:10], known[0]["started_utc"][:10]
    shapes = [(status, shape) for status, shape in _SHAPES.items() if any(run["status"] == status for run in known)]
    return {
        "dots": dots,
        "shapes": shapes,
        "lines": lines,
        "start": _PLOT_START,
        "height": _PLOT_HEIGHT + 32,
        "ends": ends,
    }


def _round_up(seconds: float) -> float:
    """Return the next number of the form 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(seconds))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= seconds)
