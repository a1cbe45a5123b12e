"""Write a run's report: report.json, report.md and report.html, all derived from the journal alone.

Renders templates and writes through the journal; contacts nothing. Every value is escaped where it is rendered, because
file names, error texts and reasons come from elsewhere.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from runbook_lib import report_words as words
from runbook_lib.journal import Journal
from runbook_lib.report_holders import changed_hands
from runbook_lib.report_next import next_steps
from runbook_lib.report_picture import budget_bar, forecast_chart, outage_shares, timeline
from runbook_lib.report_pictures import data_picture, holders_picture, outage_picture
from runbook_lib.report_record import build_report
from runbook_lib.report_status import derive_status

__all__ = [
    "build_report",
    "derive_status",
    "render_html",
    "render_markdown",
    "render_page",
    "report_files",
    "write_report",
]

_TEMPLATES = Path(__file__).with_name("templates")
_FACTS_CHARACTERS = 4000
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]|~])")


def write_report(journal: Journal) -> Path:
    """Write the three reports of a run, then seal its folder.

    Args:
        journal: The run's journal.

    Returns:
        Path of the HTML report.

    Raises:
        JournalError: when the journal's chain does not hold.

    Changes:
        report.json, report.md, report.html and SHA256SUMS in the run folder; the page of an approval that is asked for.
    """
    report = build_report(journal.events(), journal.run_id)
    _write_page(journal, report)
    for name, text in report_files(report).items():
        journal.write(name, text)
    journal.seal()
    return journal.folder / "report.html"


def report_files(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the three reports of a run.

    Args:
        report: As `build_report`.

    Returns:
        Text by the name of the file in the run folder.
    """
    return {
        "report.json": json.dumps(report, indent=2, sort_keys=True) + "\n",
        "report.md": render_markdown(report),
        "report.html": render_html(report),
    }


def _write_page(journal: Journal, report: Mapping[str, Any]) -> None:
    """Write the page of what is to be approved; one on whose sight somebody approved is never written again."""
    request = report["approval_request"]
    if request and not any(one.get("page") == request["page"] for one in report["approvals"]):
        journal.write(request["page"], render_page(report))


def render_page(report: Mapping[str, Any]) -> str:
    """Return the page on which whoever approves sees what is asked for; one HTML file as the report is.

    Args:
        report: As `build_report`, of a run that waits for an approval.

    Returns:
        HTML.
    """
    return _render(_html(), "approval.html.j2", report)


def render_html(report: Mapping[str, Any]) -> str:
    """Return the report as one HTML file that needs nothing else, and runs no script.

    Args:
        report: As `build_report`.

    Returns:
        HTML.
    """
    return _render(_html(), "report.html.j2", report)


@cache
def _html() -> jinja2.Environment:
    """Return what renders pages; made once, because compiling the templates takes longer than rendering them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _filters()
    return environment


def render_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown, for tickets and chats.

    Args:
        report: As `build_report`.

    Returns:
        Markdown; each value on one line.
    """
    return _render(_markdown(), "report.md.j2", report)


@cache
def _markdown() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown: `finalize` escapes every value
        finalize=_as_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _filters()
    return environment


def _filters() -> dict[str, Callable[..., Any]]:
    return {
        "code": _code,
        "count": words.count,
        "facts": _facts,
        "seconds": words.seconds,
        "size": words.size,
        "utc": words.utc,
        "failed_first": _failed_first,
        "verdict": _verdict,
    }


def _render(environment: jinja2.Environment, template: str, report: Mapping[str, Any]) -> str:
    checks = [check for step in report["steps"] for check in step["checks"]]
    took = {s["id"]: s["duration_s"] for s in report["steps"] if s["in_outage"] and s["status"] == "succeeded"}
    text = environment.get_template(template).render(
        report=report,
        headline=words.headline(report),
        grade=words.grade(report),
        next_steps=next_steps(report),
        timeline=timeline(report),
        outage_shares=outage_shares(report),
        outage_picture=lambda: outage_picture(report),
        data_picture=lambda: data_picture(report),
        holders=changed_hands(report),
        holders_picture=lambda: holders_picture(report),
        forecast_chart=forecast_chart(report),
        budget=budget_bar(report),
        checks=checks,
        measured=took,
        failed_checks=[check for check in checks if _verdict(check) == "failed"],
        notebooks=list(dict.fromkeys(sorted(step["notebook"] for step in report["steps"]))),
    )
    return text.encode("utf-8", "backslashreplace").decode()  # bytes of odd file names, which UTF-8 cannot hold


def _verdict(check: Mapping[str, Any]) -> str:
    """Return `passed`, `assumed` (cannot be checked while only planned) or `failed`."""
    return "passed" if check.get("passed") else "assumed" if check.get("assumed") else "failed"


def _failed_first(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(checks, key=lambda check: ("failed", "assumed", "passed").index(_verdict(check)))


def _facts(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON for reading; what is long is cut, and says so."""
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    rest = len(text) - _FACTS_CHARACTERS
    return text if rest <= 0 else f"{text[:_FACTS_CHARACTERS]}\n… {rest} more characters in report.json"


class _Code(str):
    """Markdown that is a code span already."""

    __slots__ = ()


def _code(value: Any) -> _Code:
    """Return a value as a Markdown code span."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return _Code(f"`{text}`" if text else "")


def _as_markdown(value: Any) -> str:
    """Return a value as Markdown that means the value itself, on one line."""
    if isinstance(value, _Code):
        return value
    return html.escape(_MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(str(value).split())), quote=False)
