"""The pictures of one run, for its report and for a notebook; what draws them is slow to import, and imported late."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from runbook_lib.errors import JournalError
from runbook_lib.journal import JOURNAL_NAME, Journal
from runbook_lib.report_holders import changed_hands
from runbook_lib.report_picture import outage_shares
from runbook_lib.report_record import build_report

_LIGHT = (
    "--paper:#fff;--panel:#f5f6f8;--ink:#1b232e;--muted:#5a6675;--line:#dfe3e8;--good:#1a7f4b;--bad:#bb2432;"
    "--warn:#96600a;--calm:#2f62c4;--quiet:#8b96a5"
)
_DARK = (
    "--paper:#12161c;--panel:#1b212a;--ink:#e6eaf0;--muted:#9ca8b7;--line:#2d3642;--good:#52c78c;--bad:#ff7b84;"
    "--warn:#e7b45a;--calm:#86b0ff;--quiet:#7c8898"
)
_STYLE = (
    f".runbook-picture{{{_LIGHT};background:var(--paper);color:var(--ink);padding:12px;max-width:784px;"
    "font:15px/1.5 system-ui,sans-serif}"
    f"@media (prefers-color-scheme:dark){{body:not([data-jp-theme-light]) .runbook-picture{{{_DARK}}}}}"
    f"body[data-jp-theme-light=false] .runbook-picture{{{_DARK}}}"
    ".runbook-picture svg{display:block;width:100%;max-width:760px;height:auto;overflow:visible}"
    ".runbook-picture .narrow{display:none}"
    "@media (max-width:640px){.runbook-picture .wide{display:none}.runbook-picture .narrow{display:block}}"
)


class RunPicture:
    """A picture of a run that a notebook shows, light or dark as its theme is.

    Args:
        title: What it shows.
        body: HTML: the `svg` elements, or a sentence that says why there are none.
    """

    def __init__(self, title: str, body: Markup) -> None:
        self.title = title
        self.body = body

    def _repr_html_(self) -> str:
        return f'<div class="runbook-picture"><style>{_STYLE}</style>{self.body}</div>'

    def __repr__(self) -> str:
        return f"<picture: {self.title}>"

    def page(self) -> str:
        """Return the picture as an HTML page of its own, which needs nothing else.

        Returns:
            HTML.
        """
        head = (
            f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{escape(self.title)}</title>'
        )
        return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>{self._repr_html_()}</body>\n</html>\n'


def outage_picture(report: Mapping[str, Any]) -> Markup:
    """Return what the longest outage of a run was spent on, step by step.

    Args:
        report: As `build_report`.

    Returns:
        Two `svg` elements for a page; "" without an outage that ended.
    """
    shares = outage_shares(report)
    if not shares:
        return Markup()
    from runbook_lib import report_outage_picture  # noqa: PLC0415 - slow, and most runs have no outage

    return report_outage_picture.draw(shares)


def data_picture(report: Mapping[str, Any]) -> Markup:
    """Return what each comparison of the data found.

    Args:
        report: As `build_report`.

    Returns:
        Two `svg` elements for a page; "" when nothing was compared.
    """
    if not report["data"]["comparisons"]:
        return Markup()
    from runbook_lib import report_data_picture  # noqa: PLC0415 - slow, and most notebooks compare nothing

    compared = report_data_picture.looks(report)
    return report_data_picture.draw(compared) if compared else Markup()


def holders_picture(report: Mapping[str, Any]) -> Markup:
    """Return who held the volume before and after a run.

    Args:
        report: As `build_report`.

    Returns:
        Two `svg` elements for a page; "" when it did not change hands.
    """
    held = changed_hands(report)
    if not held:
        return Markup()
    from runbook_lib import report_holders_picture  # noqa: PLC0415 - slow, and in most notebooks nothing changes hands

    return report_holders_picture.draw(held, report["volume"])


def plot_outage(run: Any) -> RunPicture:
    """Return what the longest outage of a run was spent on, for a notebook.

    Args:
        run: An open run, or the path of a run folder.

    Returns:
        A picture that a notebook shows; it says so when the run had no outage that ended.

    Raises:
        JournalError: when there is no run, or its journal is damaged.

    Changes:
        Nothing.
    """
    body = outage_picture(_report_of(run))
    return RunPicture("Outage by step", body or Markup("<p>No outage that ended in this run.</p>"))


def plot_comparison(run: Any) -> RunPicture:
    """Return what each comparison of the data found, for a notebook.

    Args:
        run: An open run, or the path of a run folder.

    Returns:
        A picture that a notebook shows; it says so when the run compared nothing.

    Raises:
        JournalError: when there is no run, or its journal is damaged.

    Changes:
        Nothing.
    """
    body = data_picture(_report_of(run))
    return RunPicture("The data, compared", body or Markup("<p>No data was compared in this run.</p>"))


def plot_holders(run: Any) -> RunPicture:
    """Return who held the volume before and after a run, for a notebook.

    Args:
        run: An open run, or the path of a run folder.

    Returns:
        A picture that a notebook shows; it says so when the volume did not change hands.

    Raises:
        JournalError: when there is no run, or its journal is damaged.

    Changes:
        Nothing.
    """
    body = holders_picture(_report_of(run))
    return RunPicture("Who holds the volume", body or Markup("<p>The volume did not change hands in this run.</p>"))


def _report_of(run: Any) -> dict[str, Any]:
    """Return the report of an open run, or of the run in a folder; reads its journal only."""
    folder = Path(run.journal.folder if hasattr(run, "journal") else run)
    if not (folder / JOURNAL_NAME).is_file():
        raise JournalError(f"no run in {folder.resolve()}; expected the path of a run folder, as ../runs/RUN_ID")
    return build_report(Journal(folder, lambda: datetime.now(UTC)).events(), folder.name)
