# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The commands on approvals: look at what a run waits for, say yes to it, review what was done without a yes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_runs

if TYPE_CHECKING:
    from runbook_lib.journal import Journal

_SECONDS_AN_HOUR = 3600
_profile = click.option("--profile", help="Your own AWS profile; without it the one that the parameters name.")
_credentials = click.option(
    "--credentials-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own AWS credentials file; without it the one that the parameters name.",
)


@click.command()
@click.argument("run_id")
@click.option("--reason", default="", help="Why it is right; goes into the record. Without it nothing is approved.")
@click.option("--digest", default="", metavar="SHA256", help="What you looked at, 8 or more characters of it.")
@click.option("--role", default="", help="The role in which you approve.")
@click.option("--valid-for", type=float, metavar="HOURS", help="How long it counts; at most what the policy allows.")
@_profile
@_credentials
@cli_runs.directory_option
@click.pass_context
def approve(  # noqa: PLR0917 - one per option
    ctx: click.Context,
    /,
    run_id: str,
    reason: str,
    digest: str,
    role: str,
    valid_for: float | None,
    directory: Path,
    **credentials: Any,
) -> None:
    """Approve what RUN_ID waits for. Without --reason it only shows that, and where the whole page is."""
    from runbook_lib import run_approve
    from runbook_lib.run_approval import who_approves

    folder = cli_runs.folder_of(run_id, directory)
    journal = cli_runs.repair(folder)
    if not reason.strip():
        _show(journal)
        ctx.exit(_waiting_exit_code())
    parameters, who = who_approves(folder, credentials)
    for_s = None if valid_for is None else valid_for * _SECONDS_AN_HOUR
    event, decision = run_approve.approve(
        journal, parameters, who, reason=reason, digest=digest, role=role, valid_for_s=for_s
    )
    fields = event.fields
    click.echo(f"{click.style('approved', fg='green', bold=True)}  {fields['notebook']} by {fields['approver']}")
    click.echo(f"role      {fields['role']}\ndigest    {fields['digest']}\nuntil     {fields['expires_utc']}")
    if decision.missing:
        click.echo(f"missing   {decision.missing} of {decision.required}")
    else:
        click.echo(f"next      runbook resume {folder.name}")


@click.command()
@click.argument("run_id")
@click.option("--reason", default="", help="What the review found; goes into the record.")
@_profile
@_credentials
@cli_runs.directory_option
def review(run_id: str, reason: str, directory: Path, **credentials: Any) -> None:
    """Close the review that a broken glass left open in RUN_ID: somebody else looked at what was done."""
    from runbook_lib import run_approve
    from runbook_lib.run_approval import who_approves

    folder = cli_runs.folder_of(run_id, directory)
    journal = cli_runs.repair(folder)
    parameters, who = who_approves(folder, credentials)
    for event in run_approve.review(journal, parameters, who, reason=reason):
        click.echo(f"reviewed  {event.fields['notebook']}, {event.at_utc[:19]}Z, by {who['arn']}")


def _show(journal: Journal) -> None:
    """Show what is asked for, and write the page that shows all of it."""
    from runbook_lib.report import build_report, write_report
    from runbook_lib.run_approve import find_waiting

    find_waiting(journal)
    write_report(journal)
    report = build_report(journal.events(), journal.run_id)
    request = report["approval_request"]
    click.echo(f"{click.style('waiting', fg='yellow', bold=True)}   {request['notebook']}, before {request['step_id']}")
    click.echo(f"asked by  {request['requester']['arn']} ({request['requester']['operator']})")
    for key in ("changes", "rolls_back_with", "takes_about"):
        if key in request["about"]:
            click.echo(f"{key.replace('_', ' ')}: {request['about'][key]}")
    for step in request["steps"]:
        click.echo(f"  {step['id']}: {step['plan'] or 'not planned yet'}")
    click.echo(f"digest    {request['digest']}\ngiven     {request['given']} of {request['required']}")
    click.echo(f"page      {journal.folder / request['page']}")
    command = f"runbook approve {journal.run_id} --digest {request['digest'][:12]} --reason WHY"
    click.echo(f"to say yes\n          {click.style(command, bold=True)}")


def _waiting_exit_code() -> int:
    from runbook_lib.errors import ApprovalError

    return ApprovalError.exit_code


COMMANDS = (approve, review)
