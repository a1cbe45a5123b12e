# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The command `runbook permissions`: the IAM policies that people need, for one parameters file."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option(
    "-f",
    "--parameters",
    "parameters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parameters file of the migration; without it the policy has placeholders in braces.",
)
@click.option("--volume-key", default="", metavar="ARN", help="Customer key that encrypts the data volume.")
@click.option("--signing-key", default="", metavar="ARN", help="KMS key that signs records.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the policy there as files that each fit into a managed policy, instead of printing it.",
)
@click.option(
    "--role",
    type=click.Choice(("operator", "requester", "approver", "auditor")),
    default="operator",
    show_default=True,
    help="Whose policy: who acts, who plans and asks, who approves, or who only reads.",
)
@click.option("--explain", is_flag=True, help="Show what each statement is for, instead of the policy.")
def permissions(
    parameters_file: Path | None,
    volume_key: str,
    signing_key: str,
    directory: Path | None,
    role: str,
    *,
    explain: bool,
) -> None:
    """Print the IAM policy that somebody needs; without --role the operator's, for all that the notebooks do.

    Give it to the role that the runbooks act as, or attach it to yourself. Nothing is contacted.
    """
    from runbook_lib import permissions as of_people
    from runbook_lib.parameters import load
    from runbook_lib.permissions_roles import ROLES

    values = of_people.placeholders()
    if parameters_file is not None:
        values = of_people.values_of(load(parameters_file), volume_key=volume_key, signing_key=signing_key)
    document = of_people.policy_of(role, values)
    if explain:
        used = {one["Sid"] for one in document["Statement"]}
        for scope in ROLES[role]:
            if scope.sid in used:
                click.echo(f"{click.style(scope.sid, bold=True)}\n    {scope.purpose}")
        return
    if directory is None:
        click.echo(json.dumps(document, indent=2))
        return
    directory.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(of_people.parts(document), 1):
        file = directory / f"runbook-{role}-{number}.json"
        file.write_text(json.dumps(part, indent=2) + "\n", "utf-8")
        click.echo(file)


COMMANDS = (permissions,)
