# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The command line `runbook`: a light wrapper around the library, and the only place that prints.

Everything slow is imported by the command that needs it, so that `runbook --help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_output as output
from runbook_lib.cli_sandbox import sandbox
from runbook_lib.errors import JournalError, ParameterError, RunbookError

if TYPE_CHECKING:
    from runbook_lib.journal import Journal

_DAMAGED_EXIT_CODE = 1


class _Group(click.Group):
    """Shows errors of this package as messages, and exits with their code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RunbookError as error:
            output.show_error(error)
            ctx.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="runbook-lib", prog_name="runbook")
def main() -> None:
    """Move a docker-compose service with its EBS volume onto Amazon ECS, and keep a record that can be checked.

    Nothing changes without --execute.

    Exit codes: 0 done or planned, 2 parameters, 3 a check failed and nothing changed, 4 an action or verification
    failed, 5 the notebook or kernel failed, 6 waiting for an approval.
    """


main.add_command(sandbox)

_directory = click.option(
    "-d",
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Archive of runs.",
)
_execute = click.option("--execute", is_flag=True, help="Act. Without it everything is planned and nothing changes.")
_reason = click.option("--reason", default="", help="Why, and the ticket; goes into the record.")


@main.command()
@click.argument("notebooks", nargs=-1, required=True)
@click.option(
    "-f",
    "--parameters",
    "parameters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parameters file of the migration; with --run-id the run's own is used.",
)
@_execute
@_reason
@click.option("--run-id", default="", help="Continue this run instead of opening a new one.")
@_directory
@click.pass_context
def run(  # noqa: PLR0917 - one per option
    ctx: click.Context,
    notebooks: tuple[str, ...],
    parameters_file: Path | None,
    execute: bool,  # noqa: FBT001 - click passes options by name
    reason: str,
    run_id: str,
    directory: Path,
) -> None:
    """Run NOTEBOOKS in order: names, numbers, paths, or `all` for the migration from 00 to 45."""
    if parameters_file is None:
        if not run_id:
            raise ParameterError(["-f/--parameters: expected a parameters file, because no --run-id was given"])
        parameters_file = _folder_of(run_id, directory) / "parameters.yaml"
    ctx.exit(_run_notebooks(notebooks, parameters_file, execute=execute, reason=reason, run_id=run_id))


@main.command("roll-back")
@click.argument("run_id")
@_execute
@_reason
@_directory
@click.pass_context
def roll_back(ctx: click.Context, run_id: str, execute: bool, reason: str, directory: Path) -> None:  # noqa: FBT001
    """Take the service of RUN_ID back to docker-compose on the same volume, losing nothing."""
    from runbook_lib.execute_names import ROLL_BACK

    folder = _folder_of(run_id, directory)
    parameters_file = folder / "parameters.yaml"
    ctx.exit(_run_notebooks((ROLL_BACK,), parameters_file, execute=execute, reason=reason, run_id=folder.name))


@main.command()
@click.argument("run_id")
@click.option("--execute", is_flag=True, help="Act, also when the run was only planned so far.")
@_reason
@_directory
@click.pass_context
def resume(ctx: click.Context, run_id: str, execute: bool, reason: str, directory: Path) -> None:  # noqa: FBT001
    """Go on with RUN_ID as it was begun: run the notebooks that were asked for and have not completed.

    Each is a new attempt from its top; steps that are done are skipped. A run that executed goes on executing.
    """
    from runbook_lib.execute import notebooks_to_resume

    folder = _folder_of(run_id, directory)
    journal = _open(folder)
    requested = journal.last("notebooks-requested")
    executes = execute or bool(requested and requested.fields["execute"])
    names = notebooks_to_resume(journal.events(), execute=executes)
    if not names:
        click.echo(f"{folder.name}: every notebook that was asked for has completed; nothing to resume")
        return
    parameters_file = folder / "parameters.yaml"
    ctx.exit(_run_notebooks(tuple(names), parameters_file, execute=executes, reason=reason, run_id=folder.name))


@main.command()
@click.argument("run_id")
@_directory
def status(run_id: str, directory: Path) -> None:
    """Show where RUN_ID stands."""
    from runbook_lib.archive import read_report

    folder = _folder_of(run_id, directory)
    report = read_report(folder)
    for notebook in report["notebooks"]:
        click.echo(f"{output.word(notebook['status'], 11)}  {notebook['notebook']} (attempt {notebook['attempt']})")
        if notebook["status"] == "open":
            click.echo(f"{'':<11}  its end is not recorded: it is running, or its runner was killed")
    output.show_report(report, str(folder / "report.html"))


@main.command()
@click.argument("run_id")
@_directory
def report(run_id: str, directory: Path) -> None:
    """Write the report of RUN_ID from its journal, and say where it is."""
    from runbook_lib.report import write_report

    click.echo(write_report(_open(_folder_of(run_id, directory))))


@main.command("list")
@_directory
def list_(directory: Path) -> None:
    """Show every run of the archive, newest first."""
    from runbook_lib.archive import list_runs
    from runbook_lib.report_words import seconds

    runs = list_runs(directory)
    if not runs:
        click.echo(f"no runs in {directory}")
        return
    head = ("run", "status", "outage", "evidence", "operator")
    rows = [
        (r.run_id, r.status, "" if r.outage_s is None else seconds(r.outage_s), r.evidence_grade, r.operator)
        for r in runs
    ]
    output.show_table(head, rows)


@main.command()
@click.argument("first")
@click.argument("second")
@_directory
def diff(first: str, second: str, directory: Path) -> None:
    """Show how run SECOND differs from run FIRST."""
    from runbook_lib.history import compare_runs

    found = compare_runs(_folder_of(first, directory), _folder_of(second, directory))
    changed = [(d.name, d.first or "-", d.second or "-") for d in (*found.facts, *found.steps)]
    if changed:
        output.show_table(("what", "first", "second"), changed)
    if found.durations:
        rows = [(name, f"{a:.1f}", f"{b:.1f}", f"{b - a:+.1f}") for name, a, b in found.durations]
        click.echo()
        output.show_table(("step (seconds)", "first", "second", "change"), rows)
    if found.parameters:
        click.echo("\n" + "\n".join(found.parameters))
    if not changed and not found.parameters:
        click.echo("\nno difference but the times" if found.durations else "no difference")


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_context
def verify(ctx: click.Context, path: Path) -> None:
    """Check that the record in PATH (a run folder) is what was written; name the first thing that is not."""
    from runbook_lib import archive

    result = archive.verify(path)
    if result.intact:
        click.echo(f"intact: {result.files} files and {result.events} journal lines are as they were sealed")
        return
    click.echo(f"{click.style('not intact', fg='red', bold=True)}: {result.problems[0]}", err=True)
    for problem in result.problems[1:]:
        click.echo(f"  also: {problem}", err=True)
    ctx.exit(_DAMAGED_EXIT_CODE)


def _folder_of(run_id: str, directory: Path) -> Path:
    """Return a run's folder, from its id or from its path."""
    for folder in (directory / run_id, Path(run_id)):
        if (folder / "journal.jsonl").is_file():
            return folder.resolve()
    raise JournalError(f"no run {run_id!r} in {directory.resolve()}; `runbook list` shows what is there")


def _open(folder: Path) -> Journal:
    from runbook_lib.run_folder import open_journal

    return open_journal(folder.name, folder.parent)


def _run_notebooks(notebooks: tuple[str, ...], file: Path, *, execute: bool, reason: str, run_id: str) -> int:
    """Run notebooks in a run, write its report, show both; return the exit code."""
    from runbook_lib import parameters
    from runbook_lib.execute import execute_notebooks
    from runbook_lib.execute_names import find_notebooks
    from runbook_lib.report import build_report, write_report
    from runbook_lib.run_folder import create_run

    find_notebooks(notebooks)  # a name that fits nothing is refused before there is a run
    journal = create_run(parameters.load(file), reason=reason, execute=execute, run_id=run_id)
    click.echo(f"run {journal.run_id} {'executes' if execute else 'plans only; nothing will change'}")
    with output.progress() as progress:
        outcome = execute_notebooks(
            notebooks, parameters_file=file, journal=journal, execute=execute, reason=reason, on_event=progress.show
        )
    path = write_report(journal)
    if outcome.not_started:
        click.echo(f"not started: {', '.join(outcome.not_started)}")
    output.show_report(build_report(journal.events(), journal.run_id), str(path))
    return outcome.exit_code
