# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Sign a record, by an SSH key or a key in KMS, and say who signed one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from runbook_lib import cli_runs

DAMAGED_EXIT_CODE = 1
"""Of a record that is not what was written."""


@dataclass(frozen=True)
class Told:
    """What is to be said of one signature.

    Args:
        text: A line for a person; "" when the signature is not good.
        problems: What is wrong with it.
    """

    text: str
    problems: tuple[str, ...] = ()


def told(folder: Path, allowed_signers: Path | None = None, public_key: Path | None = None) -> list[Told]:
    """Return what is to be said of a record's signatures.

    Args:
        folder: The run folder.
        allowed_signers: Who may sign with an SSH key; None accepts whoever did, or nobody.
        public_key: The KMS key that must have signed; None accepts whichever did, or none.

    Returns:
        One for each signature that is there or wanted; one that says so when there is none.

    Raises:
        SignatureError: when a signature cannot be checked.
    """
    from runbook_lib.journal import SUMS_NAME

    sums = folder / SUMS_NAME
    signed = sums.read_bytes() if sums.is_file() else b""
    found = [one for one in (_by_ssh(folder, signed, allowed_signers), _by_kms(folder, signed, public_key)) if one]
    return found or [Told("none: nobody signed this record")]


def _by_ssh(folder: Path, signed: bytes, allowed_signers: Path | None) -> Told | None:
    from runbook_lib.adapters import signatures
    from runbook_lib.journal import SIGNATURE_NAME

    path = folder / SIGNATURE_NAME
    if not path.is_file():
        return _missing(SIGNATURE_NAME, allowed_signers)
    found = signatures.check(signed, path, allowed_signers)
    if not found.good:
        return Told("", (f"{SIGNATURE_NAME}: {found.reason}",))
    if found.signer:
        return Told(f"good: {found.signer} with key {found.key}")
    return Told(f"fits, with key {found.key}; whose key that is says --allowed-signers")


def _by_kms(folder: Path, signed: bytes, public_key: Path | None) -> Told | None:
    from runbook_lib.journal import KMS_SIGNATURE_NAME

    path = folder / KMS_SIGNATURE_NAME
    if not path.is_file():
        return _missing(KMS_SIGNATURE_NAME, public_key)
    from runbook_lib.adapters import kms_signatures

    found = kms_signatures.check(signed, path.read_bytes(), public_key)
    if not found.good:
        return Told("", (f"{KMS_SIGNATURE_NAME}: {found.reason}",))
    if found.signer:
        return Told(f"good: {found.signer}; it names KMS key {found.key}")
    return Told(
        f"fits, and names KMS key {found.key}; its public key lies in the record itself, which proves nothing: "
        "whether that key signed says --public-key"
    )


def _missing(name: str, wanted: Path | None) -> Told | None:
    return Told("", (f"{name}: missing; a signature of {wanted} is wanted",)) if wanted else None


@click.command()
@click.argument("run_id")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An SSH key; a public one when the agent holds its private half.",
)
@click.option("--kms-key", default="", metavar="ARN", help="An asymmetric KMS key that signs, or an alias of one.")
@click.option("--profile", help="Your own AWS profile for --kms-key; without it the one that the parameters name.")
@click.option(
    "--credentials-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own AWS credentials file for --kms-key; without it the one that the parameters name.",
)
@cli_runs.directory_option
@click.pass_context
def sign(ctx: click.Context, /, run_id: str, key: Path | None, kms_key: str, directory: Path, **own: Any) -> None:
    """Sign the sealed record of RUN_ID with an SSH key or a KMS key. A record that is not intact is not signed.

    Both may sign the same record, one after the other.
    """
    if bool(key) == bool(kms_key):
        raise click.UsageError("expected one of --key and --kms-key; nothing was signed")
    from runbook_lib import archive
    from runbook_lib.journal import KMS_SIGNATURE_NAME, SIGNATURE_NAME, SUMS_NAME

    folder = cli_runs.folder_of(run_id, directory)
    result = archive.verify(folder)
    if not result.intact:
        click.echo(f"not intact, and not signed: {result.problems[0]}", err=True)
        ctx.exit(DAMAGED_EXIT_CODE)
    journal, sums = cli_runs.open_folder(folder), (folder / SUMS_NAME).read_bytes()
    if key:
        from runbook_lib.adapters import signatures

        journal.write(SIGNATURE_NAME, signatures.sign(sums, key))
    else:
        journal.write(KMS_SIGNATURE_NAME, _signed_by_kms(folder, sums, kms_key, own))
    click.echo("\n".join([f"digest     {result.digest}", *(f"signature  {one.text}" for one in told(folder))]))


def _signed_by_kms(folder: Path, sums: bytes, key_id: str, own: dict[str, Any]) -> bytes:
    """Return a signature by a KMS key, made as whoever is at the keyboard; no role is assumed for that."""
    from runbook_lib import parameters as parameter_file
    from runbook_lib.adapters import kms_signatures
    from runbook_lib.run_approval import own_session

    parameters = parameter_file.load(folder / "parameters.yaml")
    options = {name: value for name, value in own.items() if value}
    if key_id.startswith("arn:"):
        options["region"] = key_id.split(":")[3]
    return kms_signatures.sign(sums, key_id, own_session(parameters, folder.name, **options))
