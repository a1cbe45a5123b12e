# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Commands on one record: whether it is intact, and its copy in a bucket."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from runbook_lib import cli_runs, cli_s3, cli_signatures


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
    kept elsewhere, or a signature, or a lock that S3 keeps.
    """
    with tempfile.TemporaryDirectory(prefix="runbook-verify-") as scratch:
        folder = cli_s3.fetched(path, Path(scratch)) if path.startswith("s3://") else Path(path)
        if not _is_intact(folder, digest, allowed_signers, public_key):
            ctx.exit(cli_signatures.DAMAGED_EXIT_CODE)


def _is_intact(path: Path, digest: str, allowed_signers: Path | None, public_key: Path | None) -> bool:
    """Say whether the record in a folder is what was written, and return it."""
    from runbook_lib import archive

    result = archive.verify(path)
    problems = list(result.problems)
    if digest and result.digest != digest.lower():
        problems.append(
            f"SHA256SUMS: another record: expected digest {digest.lower()}, found {result.digest or 'none'}"
        )
    signatures = cli_signatures.told(path, allowed_signers, public_key)
    problems += [problem for one in signatures for problem in one.problems]
    if not problems:
        click.echo(f"intact: {result.files} files and {result.events} journal lines are as they were sealed")
        click.echo("\n".join([f"digest     {result.digest}", *(f"signature  {one.text}" for one in signatures)]))
        return True
    click.echo(f"{click.style('not intact', fg='red', bold=True)}: {problems[0]}", err=True)
    for problem in problems[1:]:
        click.echo(f"  also: {problem}", err=True)
    return False


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
