# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Commands on one record: whether it is intact, and its copy in a bucket."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbook_lib import cli_runs, cli_s3, cli_signatures

if TYPE_CHECKING:
    from runbook_lib.archive import Verification

_UNFINISHED_EXIT_CODE = 3
"""Of a record that is still being written, which is neither intact nor altered."""


@click.command()
@click.argument("path")
@click.option("--digest", default="", metavar="SHA256", help="The record's digest, as it was kept elsewhere.")
@click.option(
    "--allowed-signers",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Who may sign, as ssh-keygen(1) describes it; a record that none of them signed is not accepted.",
)
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Public half of a KMS key, DER or PEM, got elsewhere; a record that this key did not sign is not accepted.",
)
@click.pass_context
def verify(ctx: click.Context, path: str, digest: str, allowed_signers: Path | None, public_key: Path | None) -> None:
    """Check that the record in PATH is what was written; name the first thing that is not.

    PATH is a run folder, and then nobody is contacted; or s3://BUCKET/PREFIX/runs/RUN_ID, read with the credentials and
    the region of the environment. Somebody who can rewrite the whole folder can seal it anew: what tells is the digest,
    kept elsewhere, or a signature, or a lock that S3 keeps. Exit code 1 when it is not intact, 3 while it still runs.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-verify-") as scratch:
        is_copy = path.startswith("s3://")
        folder = cli_s3.fetched(path, Path(scratch)) if is_copy else Path(path)
        ctx.exit(_verify(folder, digest, allowed_signers, public_key, is_copy=is_copy))


def _verify(path: Path, digest: str, allowed_signers: Path | None, public_key: Path | None, *, is_copy: bool) -> int:
    """Say whether the record in a folder is what was written, and return the exit code."""
    from runbook_lib import archive

    result = archive.verify(path)
    problems = []
    if digest and result.digest != digest.lower():
        problems.append(
            f"SHA256SUMS: another record: expected digest {digest.lower()}, found {result.digest or 'none'}"
        )
    signatures = cli_signatures.told(path, allowed_signers, public_key)
    problems += [problem for one in signatures for problem in one.problems]
    if result.under_way and result.problems and not problems and not is_copy:
        click.echo(f"{click.style('still running', fg='blue', bold=True)}: {_under_way(result)}", err=True)
        return _UNFINISHED_EXIT_CODE
    problems = [*result.problems, *problems]
    if not problems:
        click.echo(f"intact: {result.files} files and {result.events} journal lines are as they were sealed")
        click.echo("\n".join([f"digest     {result.digest}", *(f"signature  {one.text}" for one in signatures)]))
        if not result.report_compared:
            click.echo(
                "report     written by another release of this package: its words were not compared with the journal; "
                "`runbook report` makes it anew"
            )
        return 0
    click.echo(f"{click.style('not intact', fg='red', bold=True)}: {problems[0]}", err=True)
    for problem in problems[1:]:
        click.echo(f"  also: {problem}", err=True)
    if result.open_at and not result.under_way:
        where = " or ".join(result.open_at)
        text = f"its journal records no end: it was killed, or it still runs on {where}, which only shows there"
        click.echo(f"  note: {text}", err=True)
    return cli_signatures.DAMAGED_EXIT_CODE


def _under_way(result: Verification) -> str:
    """Return what can be said of a record that a living process is still writing."""
    return (
        f"a process of this machine is at it, so it is not sealed yet. The {result.events} journal lines fit each "
        "other, and so do the parameters and the evidence that they name; the rest is compared once it has ended. "
        "Verify it again then"
    )


@click.command("archive")
@click.argument("run_id")
@cli_runs.directory_option
def archive_(run_id: str, directory: Path) -> None:
    """Copy the sealed record of RUN_ID into the bucket of its parameters: what is missing there, each file once."""
    from runbook_lib import parameters as parameter_file
    from runbook_lib.errors import ParameterError

    folder = cli_runs.folder_of(run_id, directory)
    parameters = parameter_file.load(folder / "parameters.yaml")
    if not parameters.archive.copy_records:
        raise ParameterError(
            ["archive.copy_records: expected true, found false: this run's records stay where they are"]
        )
    click.echo(cli_s3.copied(parameters, cli_runs.repair(folder)))


COMMANDS = (verify, cli_signatures.sign, archive_)
