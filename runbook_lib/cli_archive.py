# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Commands on the archive: which runs there are, how two differ, whether a record is intact, and who signed it."""

from __future__ import annotations

from pathlib import Path

import click

from runbook_lib import cli_output as output
from runbook_lib import cli_runs

_DAMAGED_EXIT_CODE = 1


@click.command("list")
@cli_runs.directory_option
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
    for run in (run for run in runs if run.open_reviews):
        click.echo(f"to review: {run.run_id} acted without an approval; `runbook review {run.run_id} --reason FOUND`")


@click.command()
@click.argument("first")
@click.argument("second")
@cli_runs.directory_option
def diff(first: str, second: str, directory: Path) -> None:
    """Show how run SECOND differs from run FIRST."""
    from runbook_lib.history import compare_runs

    found = compare_runs(cli_runs.folder_of(first, directory), cli_runs.folder_of(second, directory))
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


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--digest", default="", metavar="SHA256", help="The record's digest, as it was kept elsewhere.")
@click.option(
    "--allowed-signers",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Who may sign, as ssh-keygen(1) describes it; a record that none of them signed is not accepted.",
)
@click.pass_context
def verify(ctx: click.Context, path: Path, digest: str, allowed_signers: Path | None) -> None:
    """Check that the record in PATH (a run folder) is what was written; name the first thing that is not.

    It needs nothing but the folder, and contacts nobody. Somebody who can rewrite the whole folder can seal it anew:
    what tells is the digest, kept elsewhere, or a signature.
    """
    from runbook_lib import archive

    result = archive.verify(path)
    problems = list(result.problems)
    if digest and result.digest != digest.lower():
        problems.append(
            f"SHA256SUMS: another record: expected digest {digest.lower()}, found {result.digest or 'none'}"
        )
    signature, wrong = _signature(path, allowed_signers)
    problems += wrong
    if not problems:
        click.echo(f"intact: {result.files} files and {result.events} journal lines are as they were sealed")
        click.echo(f"digest     {result.digest}\nsignature  {signature}")
        return
    click.echo(f"{click.style('not intact', fg='red', bold=True)}: {problems[0]}", err=True)
    for problem in problems[1:]:
        click.echo(f"  also: {problem}", err=True)
    ctx.exit(_DAMAGED_EXIT_CODE)


def _signature(folder: Path, allowed_signers: Path | None) -> tuple[str, list[str]]:
    """Return what is to be said of a record's signature, and what is wrong with it."""
    from runbook_lib.adapters import signatures
    from runbook_lib.journal import SIGNATURE_NAME, SUMS_NAME

    path, sums = folder / SIGNATURE_NAME, folder / SUMS_NAME
    if not path.is_file():
        wanted = [f"{SIGNATURE_NAME}: missing; a signature of {allowed_signers} is wanted"] if allowed_signers else []
        return "none: nobody signed this record", wanted
    found = signatures.check(sums.read_bytes() if sums.is_file() else b"", path, allowed_signers)
    if not found.good:
        return "", [f"{SIGNATURE_NAME}: {found.reason}"]
    if found.signer:
        return f"good: {found.signer} with key {found.key}", []
    return f"fits, with key {found.key}; whose key that is says --allowed-signers", []


@click.command()
@click.argument("run_id")
@click.option(
    "--key",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="An SSH key; a public one when the agent holds its private half.",
)
@cli_runs.directory_option
@click.pass_context
def sign(ctx: click.Context, run_id: str, key: Path, directory: Path) -> None:
    """Sign the sealed record of RUN_ID with an SSH key. A record that is not intact is not signed."""
    from runbook_lib import archive
    from runbook_lib.adapters import signatures
    from runbook_lib.journal import SIGNATURE_NAME, SUMS_NAME

    folder = cli_runs.folder_of(run_id, directory)
    result = archive.verify(folder)
    if not result.intact:
        click.echo(f"not intact, and not signed: {result.problems[0]}", err=True)
        ctx.exit(_DAMAGED_EXIT_CODE)
    journal = cli_runs.open_folder(folder)
    journal.write(SIGNATURE_NAME, signatures.sign((folder / SUMS_NAME).read_bytes(), key))
    click.echo(f"digest     {result.digest}\nsignature  {_signature(folder, None)[0]}")


COMMANDS = (list_, diff, verify, sign)
