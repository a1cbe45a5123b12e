# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Commands on many runs: which there are, as a table, JSON or a page; and how two of them differ."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_output as output
from runbook_lib import cli_runs

if TYPE_CHECKING:
    from runbook_lib.archive_filter import Wanted
    from runbook_lib.archive_summary import RunSummary
    from runbook_lib.history_diff import RunDifference

_STATUSES = ("succeeded", "planned", "failed", "rolled_back", "interrupted", "running", "waiting", "damaged")
_REASON_CHARACTERS = 40


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment that an option names."""
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.archive_filter import read_moment

    if value is None:
        return None
    try:
        return read_moment(value, Clock().now_utc(), end=param.name == "until")
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command("list")
@cli_runs.directory_option
@click.option("--name", default="", metavar="TEXT", help="Of this migration: a part of its name, or a pattern with *.")
@click.option(
    "--notebook",
    "notebooks",
    multiple=True,
    metavar="NAME",
    help="In which this notebook acted: 30, or a part of its name.",
)
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="In this state.")
@click.option("--mode", type=click.Choice(("executed", "planned")), help="That executed, or that only planned.")
@click.option(
    "--since", callback=_moment, metavar="WHEN", help="Begun then or later: 2026-01-31, 2026-01-31T03:00 or 30d."
)
@click.option("--until", callback=_moment, metavar="WHEN", help="Begun before; a day counts whole.")
@click.option("--operator", default="", metavar="TEXT", help="By them: a part of user@host, or a pattern with *.")
@click.option("--volume", "volume_id", default="", metavar="ID", help="On this data volume.")
@click.option("--open-reviews", is_flag=True, help="With a review item that nobody has closed.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every field.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with them instead.")
@click.option("--rebuild", is_flag=True, help="Read every journal anew, whatever the index remembers.")
def list_(
    directory: Path, *, limit: int | None, as_json: bool, html: Path | None, rebuild: bool, **wanted: Any
) -> None:
    """Show the runs of the archive, newest first.

    An index in the archive makes that quick; it counts only while a run's journal is the one that it was made from.
    """
    from runbook_lib.archive_index import list_runs
    from runbook_lib.archive_parallel import summarize_all

    every = list_runs(directory, rebuild=rebuild, read=summarize_all)
    matches = _wanted(**wanted).matches
    runs = [run for run in every if matches(run)][:limit]
    if html:
        click.echo(_write_page(html, directory, runs, len(every)))
    elif as_json:
        click.echo(json.dumps([run._asdict() for run in runs], indent=2))
    elif not runs:
        click.echo(f"no such run among the {len(every)} in {directory}" if every else f"no runs in {directory}")
    else:
        _show_runs(runs)


def _wanted(*, mode: str | None, **fields: Any) -> Wanted:
    from runbook_lib.archive_filter import Wanted

    return Wanted(execute=None if mode is None else mode == "executed", **fields)


def _show_runs(runs: list[RunSummary]) -> None:
    from runbook_lib.report_text import visible
    from runbook_lib.report_words import seconds

    head = ["run", "status", "outage", "ran", "evidence", "operator", "reason"]
    rows = [
        [
            visible(run.run_id),
            run.status,
            "" if run.outage_s is None else seconds(run.outage_s),
            "" if run.runtime_s is None else seconds(run.runtime_s),
            visible(run.evidence_grade),
            visible(run.operator),
            _short(visible(run.reason)),
        ]
        for run in runs
    ]
    if any(run.open_reviews for run in runs):
        head.insert(2, "review")
        for row, run in zip(rows, runs, strict=True):
            row.insert(2, f"{run.open_reviews} open" if run.open_reviews else "")
    output.show_table(head, rows)
    for name in (visible(run.run_id) for run in runs if run.open_reviews):
        click.echo(f"to review: {name} acted without an approval; `runbook review {name} --reason FOUND`")


def _short(text: str) -> str:
    return text if len(text) <= _REASON_CHARACTERS else f"{text[: _REASON_CHARACTERS - 1]}…"


def _write_page(path: Path, directory: Path, runs: list[RunSummary], total: int) -> Path:
    """Write the page, whole or not at all; its links lead to the reports from wherever it lies."""
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.report_index import render_index

    base = os.path.relpath(directory.resolve(), path.resolve().parent)
    rows = [run._asdict() | {"has_report": (directory / run.run_id / "report.html").is_file()} for run in runs]
    page = render_index(rows, base=base, total=total, made_utc=Clock().now_utc().isoformat(timespec="seconds"))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
    unfinished.write_text(page, "utf-8")
    unfinished.replace(path)
    return path.resolve()


@click.command()
@click.argument("first")
@click.argument("second")
@cli_runs.directory_option
@click.option("--notebooks", is_flag=True, help="Also show how the code of the executed notebooks differs, by nbdime.")
@click.option("--outputs", is_flag=True, help="As --notebooks, with outputs and injected parameters.")
@click.option(
    "--all", "every", is_flag=True, help="Show the seconds of every step, not only what is notably slower or quicker."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def diff(
    first: str, second: str, directory: Path, *, notebooks: bool, outputs: bool, every: bool, as_json: bool
) -> None:
    """Show how run SECOND differs from run FIRST."""
    from runbook_lib.history_diff import compare_runs
    from runbook_lib.history_words import sentence

    folders = cli_runs.folder_of(first, directory), cli_runs.folder_of(second, directory)
    found = compare_runs(*folders)
    if as_json:
        click.echo(json.dumps({"summary": sentence(found), **asdict(found)}, indent=2))
        return
    click.echo(click.style(_plain(sentence(found)), bold=True))
    _show_differences(found, every=every)
    if notebooks or outputs:
        _show_notebooks(folders, outputs=outputs)


def _show_differences(found: RunDifference, *, every: bool) -> None:
    from runbook_lib.history_words import notable

    calls = [(one.name, str(one.first), str(one.second)) for one in found.calls]
    tables = {
        "what": [(one.name, one.first, one.second) for one in found.facts],
        "parameter": [(one.name, one.first, one.second) for one in found.parameters],
        "calls": calls,
        "script on a host": [(one.name, one.first, one.second) for one in found.scripts],
        "step": [(one.name, one.first, one.second) for one in found.steps],
        "notebook": [(one.name, one.first, one.second) for one in found.notebooks],
    }
    for title, rows in tables.items():
        if rows:
            click.echo()
            output.show_table((title, "first", "second"), [[_plain(cell) or "-" for cell in row] for row in rows])
    durations = found.durations if every else notable(found.durations)
    if durations:
        times = [(_plain(d.step), f"{d.first_s:.1f}", f"{d.second_s:.1f}", f"{d.change_s:+.1f}") for d in durations]
        click.echo()
        output.show_table(("step (seconds)", "first", "second", "change"), times)


def _show_notebooks(folders: tuple[Path, Path], *, outputs: bool) -> None:
    from runbook_lib.archive import read_report
    from runbook_lib.history_notebooks import show_notebooks

    first, second = ((folder, read_report(folder)["notebooks"]) for folder in folders)
    text = show_notebooks(first, second, outputs=outputs)
    click.echo()
    click.echo(
        "\n".join(map(_plain, text.split("\n"))) if text else "the notebooks that both executed have the same code"
    )


def _plain(text: str) -> str:
    from runbook_lib.report_text import visible

    return visible(text)


COMMANDS = (list_, diff)
