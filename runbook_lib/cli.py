# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The command line `runbook`: a light wrapper around the library, and the only place that prints.

Everything slow is imported by the command that needs it, so that `runbook --help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runbook_lib import (
    cli_approvals,
    cli_archive,
    cli_history,
    cli_lint,
    cli_log,
    cli_missed,
    cli_parameters,
    cli_permissions,
    cli_reconcile,
    cli_recovery,
    cli_restore,
    cli_runs,
    cli_schedule,
)
from runbook_lib import cli_output as output
from runbook_lib.cli_sandbox import sandbox
from runbook_lib.errors import ParameterError, RunbookError


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
_ROOMS = (
    cli_approvals,
    cli_recovery,
    cli_restore,
    cli_history,
    cli_lint,
    cli_archive,
    cli_reconcile,
    cli_parameters,
    cli_permissions,
    cli_schedule,
)
for command in (command for room in _ROOMS for command in room.COMMANDS):
    main.add_command(command)


@main.command()
@click.argument("notebooks", nargs=-1, required=True)
@click.option(
    "-f",
    "--parameters",
    "parameters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parameters file of the migration; with --run-id the run's own is used.",
)
@cli_runs.execute_option
@cli_runs.reason_option
@click.option("--run-id", default="", help="Continue this run instead of opening a new one.")
@click.option(
    "--hold-before-cutover", is_flag=True, help="Hold before the service is stopped, until `runbook cut-over RUN_ID`."
)
@cli_runs.accept_option
@cli_runs.take_over_option
@cli_runs.break_glass_option
@click.option(
    "--if-missed",
    default="",
    metavar="CRON",
    help="Run only when these notebooks were not begun since this schedule was last due: '0 3 * * *'.",
)
@cli_log.option
@cli_runs.directory_option
@click.pass_context
def run(  # noqa: PLR0917 - one per option
    ctx: click.Context,
    /,
    notebooks: tuple[str, ...],
    parameters_file: Path | None,
    execute: bool,  # noqa: FBT001 - click passes options by name
    reason: str,
    run_id: str,
    directory: Path,
    hold_before_cutover: bool,  # noqa: FBT001 - click passes options by name
    if_missed: str,
    **terms: Any,
) -> None:
    """Run NOTEBOOKS in order: names, numbers, paths, or `all` for the migration from 00 to 45."""
    if parameters_file is None:
        if not run_id:
            raise ParameterError(["-f/--parameters: expected a parameters file, because no --run-id was given"])
        parameters_file = cli_runs.folder_of(run_id, directory) / "parameters.yaml"
    if if_missed and not cli_missed.is_due(if_missed, notebooks, parameters_file, execute=execute):
        return
    hold = {"phase": "requested", "how": "--hold-before-cutover", "reason": reason}
    wish = ("hold", hold) if hold_before_cutover else None
    ctx.exit(
        cli_runs.run_notebooks(
            notebooks, parameters_file, execute=execute, reason=reason, run_id=run_id, wish=wish, **terms
        )
    )


@main.command("roll-back")
@click.argument("run_id")
@cli_runs.execute_option
@cli_runs.reason_option
@cli_runs.accept_option
@cli_log.option
@cli_runs.directory_option
@click.pass_context
def roll_back(  # noqa: PLR0917 - one per option
    ctx: click.Context,
    run_id: str,
    execute: bool,  # noqa: FBT001 - click passes options by name
    reason: str,
    accept_changes: str,
    directory: Path,
) -> None:
    """Take the service of RUN_ID back to docker-compose on the same volume, losing nothing."""
    from runbook_lib.execute_names import ROLL_BACK

    folder = cli_runs.folder_of(run_id, directory)
    cli_runs.repair(folder)
    parameters_file = folder / "parameters.yaml"
    ctx.exit(
        cli_runs.run_notebooks(
            (ROLL_BACK,),
            parameters_file,
            execute=execute,
            reason=reason,
            run_id=folder.name,
            accept_changes=accept_changes,
        )
    )


@main.command()
@click.argument("run_id")
@click.option("--execute", is_flag=True, help="Act, also when the run was only planned so far.")
@cli_runs.reason_option
@cli_runs.accept_option
@cli_runs.break_glass_option
@cli_log.option
@cli_runs.directory_option
@click.pass_context
def resume(
    ctx: click.Context,
    /,
    run_id: str,
    execute: bool,  # noqa: FBT001 - click passes options by name
    reason: str,
    directory: Path,
    **terms: Any,
) -> None:
    """Go on with RUN_ID as it was begun: run the notebooks that were asked for, or stopped half-way, and are not done.

    Each is a new attempt from its top; steps that are done are skipped. A run that executed goes on executing.
    """
    from runbook_lib.execute_resume import notebooks_to_resume

    folder = cli_runs.folder_of(run_id, directory)
    journal = cli_runs.repair(folder)
    requested = journal.last("notebooks-requested")
    executes = execute or bool(requested and requested.fields["execute"])
    names = notebooks_to_resume(journal.events(), execute=executes)
    if not names:
        text = f"{folder.name}: every notebook that was asked for has completed; nothing to resume"
        cli_log.say(text, "nothing_to_resume", folder.name)
        if not executes and (left := notebooks_to_resume(journal.events(), execute=True)):
            text = f"planned only: {', '.join(left)}; `runbook resume {folder.name} --execute` carries it out"
            cli_log.say(text, "planned_only", folder.name)
        return
    parameters_file = folder / "parameters.yaml"
    ctx.exit(
        cli_runs.run_notebooks(
            tuple(names),
            parameters_file,
            execute=executes,
            reason=reason,
            run_id=folder.name,
            **terms,
        )
    )


@main.command()
@click.argument("run_id")
@cli_runs.directory_option
def status(run_id: str, directory: Path) -> None:
    """Show where RUN_ID stands."""
    from runbook_lib.archive import read_report
    from runbook_lib.archive_running import living
    from runbook_lib.report_running import open_processes

    folder = cli_runs.folder_of(run_id, directory)
    journal = cli_runs.repair(folder, only_looks=True)
    report, at_it = read_report(folder), living(open_processes(journal.events()))
    for notebook in report["notebooks"]:
        click.echo(f"{output.word(notebook['status'], 11)}  {notebook['notebook']} (attempt {notebook['attempt']})")
        if notebook["status"] == "open":
            click.echo(f"{'':<11}  its end is not recorded: it is running, or its runner was killed")
    if at_it and not report["hold"]:
        output.show_running([f"process {one.pid} on {one.host}" for one in at_it], report["steps"])
    else:
        output.show_report(report, str(folder / "report.html"))
    if report["hold"]:
        cli_recovery.warn_of_dead_hold(folder)


@main.command()
@click.argument("run_id")
@cli_runs.directory_option
def report(run_id: str, directory: Path) -> None:
    """Write the report of RUN_ID from its journal, and say where it is."""
    from runbook_lib.report import write_report

    click.echo(write_report(cli_runs.repair(cli_runs.folder_of(run_id, directory))))
