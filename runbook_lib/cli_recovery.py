# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Commands beside the ordinary way: who holds a volume, releasing a cutover that holds, and giving everything up."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbook_lib import cli_runs
from runbook_lib.errors import JournalError, LeaseError, ParameterError

if TYPE_CHECKING:
    from runbook_lib.lease import Lease

_FREE_EXIT_CODE, _HELD_EXIT_CODE = 0, 3
_file = click.option(
    "-f",
    "--parameters",
    "parameters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parameters file of the migration.",
)


@click.group(invoke_without_command=True)
@_file
@click.pass_context
def lease(ctx: click.Context, parameters_file: Path | None) -> None:
    """Show who holds the volume of a migration; exits 3 while somebody does, dead or alive."""
    from runbook_lib.report_words import seconds

    if ctx.invoked_subcommand is not None:
        return
    one = _lease_of(parameters_file)
    seen = one.look()
    holder = seen.holder
    state = "free" if seen.is_free else "held" if seen.alive else "held by a run whose process is gone"
    click.echo(f"volume     {one.volume_id}\nlease      {one.store.where}\nstate      {state}: {seen.why}")
    if holder is not None:
        age = "" if seen.age_s is None else f", {seen.age_s:.0f} s ago"
        click.echo(f"run        {holder.run_id}\noperator   {holder.operator}")
        click.echo(f"process    {holder.pid} on {holder.host}")
        held_s = (datetime.now(UTC) - datetime.fromisoformat(holder.since_utc)).total_seconds()
        click.echo(f"since      {holder.since_utc}, {seconds(held_s)} ago by this machine's clock")
        click.echo(f"heartbeat  {holder.heartbeat_utc}{age}")
    if holder is not None and holder.taken_over:
        said = holder.taken_over
        click.echo(f"taken over from run {said['from']} by {said['operator']} at {said['at_utc']}: {said['reason']}")
    if holder is not None and seen.is_dead:
        click.echo(
            f"next       `runbook status {holder.run_id}`, then `runbook resume` or `runbook roll-back` of that run;"
        )
        click.echo("           only when it is over: `runbook lease take-over -f FILE --reason REASON`")
    ctx.exit(_FREE_EXIT_CODE if seen.is_free else _HELD_EXIT_CODE)


@lease.command("take-over")
@_file
@click.option("--reason", required=True, help="Why it is safe; goes into the record of the next run.")
def take_over(parameters_file: Path | None, reason: str) -> None:
    """Free a volume whose holder is gone. Refused while it lives; does nothing when the volume is free."""
    from runbook_lib import parameters
    from runbook_lib.run_secrets import protect_words

    held = _lease_of(parameters_file)
    protect_words(parameters.load(parameters_file or ""), reason)
    fields = held.take_over(reason)
    previous = fields["previous"]
    if previous is None:
        click.echo("nobody holds the volume; nothing was changed")
        return
    click.echo(
        f"taken over from run {previous['run_id']}, process {previous['pid']} on {previous['host']}; it is free now"
    )


def _lease_of(parameters_file: Path | None) -> Lease:
    from runbook_lib import parameters
    from runbook_lib.run_lease import lease_of

    if parameters_file is None:
        raise ParameterError(["-f/--parameters: expected the parameters file of the migration"])
    return lease_of(parameters.load(parameters_file))


def warn_of_dead_hold(folder: Path) -> None:
    """Say so when a run seems to hold, but its process is gone; nothing when it lives or nobody can tell."""
    with contextlib.suppress(LeaseError):
        seen = _lease_of(folder / "parameters.yaml").look()
        if not seen.alive:
            text = f"its process is gone ({seen.why}): nobody waits for a release. `runbook resume {folder.name}`"
            click.echo(f"{click.style('attention', fg='red', bold=True)} {text}")


@click.command("cut-over")
@click.argument("run_id")
@cli_runs.reason_option
@cli_runs.directory_option
def cut_over(run_id: str, reason: str, directory: Path) -> None:
    """Release the cutover of RUN_ID that holds: the outage begins once readiness was checked again."""
    from runbook_lib.run_control import release_hold

    journal = cli_runs.open_folder(cli_runs.folder_of(run_id, directory))
    click.echo(release_hold(journal, how="runbook cut-over", reason=reason))


@click.command()
@click.argument("run_id")
@click.option("--yes", is_flag=True, help="Really: end the running attempt and roll back.")
@cli_runs.reason_option
@cli_runs.directory_option
@click.pass_context
def panic(ctx: click.Context, run_id: str, yes: bool, reason: str, directory: Path) -> None:  # noqa: FBT001
    """End whatever RUN_ID does and take the service back to docker-compose; acts without --execute, but needs --yes.

    Works when nothing runs, too: then it rolls back. A step that is under way is interrupted and notes how far it came.
    """
    from runbook_lib import parameters
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.execute_names import ROLL_BACK
    from runbook_lib.run_attempt import end_attempt, find_processes
    from runbook_lib.run_folder import operator
    from runbook_lib.run_secrets import protect_words

    folder = cli_runs.folder_of(run_id, directory)
    journal = cli_runs.open_folder(folder)
    _refuse_another_machine(folder)
    if not yes:
        found = find_processes(journal)
        what = ", ".join(f"{process.role} {process.pid}" for process in found) or "no process: nothing of it runs here"
        raise JournalError(
            f"panic ends the attempt of run {folder.name} ({what}) and rolls back to docker-compose. "
            "Nothing was changed. Say it with --yes"
        )
    protect_words(parameters.load(folder / "parameters.yaml"), reason)
    ended = end_attempt(journal, Clock(), operator=operator(), reason=reason)
    for process in ended:
        click.echo(f"ended the {process.role}, process {process.pid}")
    ctx.exit(
        cli_runs.run_notebooks(
            (ROLL_BACK,), folder / "parameters.yaml", execute=True, reason=reason or "panic", run_id=folder.name
        )
    )


def _refuse_another_machine(folder: Path) -> None:
    """Refuse when the run is alive where this process cannot end it; a lease out of reach refuses the acts later."""
    with contextlib.suppress(LeaseError):
        seen = _lease_of(folder / "parameters.yaml").look()
        if seen.alive and seen.holder is not None and seen.holder.run_id == folder.name and not seen.holder.runs_here:
            where = f"{seen.holder.host}, process {seen.holder.pid}"
            raise JournalError(
                f"run {folder.name} is being executed on {where} ({seen.why}); only there it can be ended. Nothing was "
                f"changed. Run `runbook panic {folder.name} --yes` on that machine. If it is gone, wait until its "
                "heartbeats count as ended (archive.lease_expires_s), then run this again here"
            )


@click.command("force-detach")
@click.argument("run_id")
@click.option("--reason", default="", help="Why losing data is accepted; goes into the record.")
@click.option(
    "--i-understand-data-may-be-lost",
    "typed",
    default="",
    metavar="VOLUME_ID",
    help="The volume's id, typed out.",
)
@cli_runs.directory_option
def force_detach(run_id: str, reason: str, typed: str, directory: Path) -> None:
    """Tear the volume of RUN_ID from an instance that is stopped or terminated; never from one that runs.

    The last resort for an attachment that stays busy. Acts without --execute. Nobody may mount the volume afterwards
    before its filesystem was checked: `runbook roll-back` does that.
    """
    import runbook_lib
    from runbook_lib import parameters

    folder = cli_runs.folder_of(run_id, directory)
    file = folder / "parameters.yaml"
    volume_id = parameters.load(file).volume.volume_id
    problems = [] if reason.strip() else ["--reason: expected why losing data is accepted, got nothing"]
    if typed != volume_id:
        problems.append(f"--i-understand-data-may-be-lost: expected {volume_id}, typed out, got {typed or 'nothing'!r}")
    if problems:
        raise ParameterError(problems)
    run = runbook_lib.open_run(str(file), run_id=folder.name, reason=reason, execute=True, way_back=True)
    try:
        click.echo(runbook_lib.force_detach_volume(run))
    finally:
        path = runbook_lib.close_run(run)
    click.echo(
        "next       start the source instance; stop its compose project, which may start on the empty directory;"
    )
    click.echo(
        f"           then `runbook roll-back {folder.name} --execute`: it checks the filesystem before the mount"
    )
    click.echo(f"report     {path}")


COMMANDS = (lease, cut_over, panic, force_detach)
