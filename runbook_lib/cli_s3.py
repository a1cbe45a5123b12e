# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""Records in a bucket: copied there when they are sealed, brought here for commands that take a folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_log
from runbook_lib.errors import ParameterError, RunbookError

if TYPE_CHECKING:
    from runbook_lib.journal import Journal

_HOW = "expected s3://BUCKET/PREFIX/runs/RUN_ID"


def copy_to_bucket(parameters: Any, journal: Journal) -> None:
    """Copy a sealed record into the bucket of the parameters, if they want that; a failure ends nothing else.

    Args:
        parameters: What to migrate.
        journal: The run.
    """
    if not parameters.archive.copy_records:
        return
    try:
        cli_log.say(copied(parameters, journal), "record_copied", journal.run_id)
    except RunbookError as error:
        text = f"{error}\n            `runbook archive {journal.run_id}` copies what is missing"
        cli_log.warn("not copied", text, colour="red", run_id=journal.run_id)


def copied(parameters: Any, journal: Journal) -> str:
    """Copy a sealed record into the bucket of the parameters, and say what came of it.

    Args:
        parameters: As `copy_to_bucket`.
        journal: As `copy_to_bucket`.

    Returns:
        A sentence.
    """
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.adapters.record_store import RecordStore
    from runbook_lib.archive_copy import Terms, copy_record
    from runbook_lib.run_lease import open_session

    archive = parameters.archive
    terms = Terms(archive.prefix, archive.object_lock, archive.object_lock_days)
    store = RecordStore(open_session(parameters, journal.run_id), archive.bucket)
    done = copy_record(journal, store, terms, Clock().now_utc)
    return f"record    {done.where}: {done.put} files put, {done.kept} there already; digest {done.digest}"


def fetched(url: str, scratch: Path) -> Path:
    """Bring a record here, and say until when S3 keeps it.

    Args:
        url: `s3://BUCKET/KEY`, all that its keys begin with.
        scratch: Where it may lie.

    Returns:
        Its folder, named after the run.

    Raises:
        ParameterError: when the address is none, there is nothing, or a key leads out of the folder.
        AwsError: when S3 refuses or does not answer.
    """
    from runbook_lib.adapters.aws import Aws
    from runbook_lib.adapters.record_store import RecordStore

    bucket, _, prefix = url.removeprefix("s3://").rstrip("/").partition("/")
    if not bucket or not prefix:
        raise ParameterError([f"{url}: {_HOW}"])
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    store = RecordStore(Aws(region=region, endpoint_url=os.environ.get("AWS_ENDPOINT_URL", "")), bucket)
    folder, until = scratch / prefix.rpartition("/")[2], []
    for key in store.keys(f"{prefix}/"):
        name = key.removeprefix(f"{prefix}/")
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise ParameterError([f"{url}: the key {key!r} leads out of its folder; nothing was read further"])
        body, receipt = store.read(key)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
        until.append(receipt.retain_until_utc)
    if not until:
        raise ParameterError([f"{url}: {_HOW}, found nothing there"])
    click.echo(f"read       {len(until)} objects; {_kept(until)}")
    return folder


def _kept(until: list[str]) -> str:
    """Return until when S3 keeps objects, in words."""
    if all(until):
        return f"each is locked, the first until {min(until)[:10]}"
    return f"{until.count('')} of them without a lock"
