# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The command that says what a change record lacks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from runbook_lib import cli_runs

_LACKING_EXIT_CODE = 3


@click.command("lint")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@cli_runs.directory_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def lint_(ctx: click.Context, paths: tuple[str, ...], directory: Path, *, as_json: bool) -> None:
    """Say what the record in each PATH (a run folder, or a run's id) lacks; exit 3 when it lacks something.

    A reason, a way back, the approvals that the policy wants, a negative control, evidence that is younger than the
    change. Whether a record was altered says `runbook verify`.
    """
    from runbook_lib.lint import lint
    from runbook_lib.report_text import visible

    found = {folder: lint(folder) for folder in (cli_runs.folder_of(path, directory) for path in paths)}
    if as_json:
        rows = [{"run_id": folder.name, **asdict(one)} for folder, findings in found.items() for one in findings]
        click.echo(json.dumps(rows, indent=2))
    for folder, findings in () if as_json else found.items():
        if not findings:
            click.echo(
                f"{click.style('complete', fg='green', bold=True)}  {visible(folder.name)}: the record lacks nothing"
            )
        for one in findings:
            click.echo(f"{click.style(one.rule, fg='red', bold=True)}  {visible(folder.name)}: {visible(one.what)}")
            click.echo(f"  where  {visible(one.where)}\n  do     {visible(one.fix)}")
    if any(found.values()):
        ctx.exit(_LACKING_EXIT_CODE)


COMMANDS = (lint_,)
