"""A sealed record copied into a bucket: each file once, the list of digests last, a receipt for each.

Killed between two files, the next call goes on: what has a receipt is done, and what S3 keeps already with the digest
of this file gets its receipt without being put again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from runbook_lib.archive import read_sums, verify
from runbook_lib.errors import JournalError
from runbook_lib.journal import KMS_SIGNATURE_NAME, RECEIPTS_NAME, SIGNATURE_NAME, SUMS_NAME, Journal
from runbook_lib.model import Receipt


class Store(Protocol):
    """As `adapters.record_store.RecordStore`."""

    bucket: str

    def abilities(self) -> dict[str, bool]: ...  # noqa: D102 - as the class says
    def look(self, key: str) -> Receipt | None: ...  # noqa: D102
    def put(  # noqa: D102
        self, key: str, body: bytes, sha256: str, *, mode: str = "", until: datetime | None = None
    ) -> Receipt: ...


@dataclass(frozen=True)
class Terms:
    """Where records go, and how long nobody can delete them there.

    Args:
        prefix: What keys begin with.
        lock: `none`, `governance` or `compliance`.
        lock_days: For how many days.
    """

    prefix: str
    lock: str = "none"
    lock_days: int = 1


@dataclass(frozen=True)
class Copied:
    """What a copy came to.

    Args:
        put: How many files were put.
        kept: How many were there already.
        digest: The record's digest: SHA-256 of SHA256SUMS.
        where: Where it is, as `runbook verify` takes it.
    """

    put: int
    kept: int
    digest: str
    where: str


def key_of(prefix: str, run_id: str, name: str = "") -> str:
    """Return the key of a record's file.

    Args:
        prefix: What keys begin with.
        run_id: The run.
        name: Path below the run folder; "" for what all of them begin with.

    Returns:
        The key.
    """
    return f"{prefix}/runs/{run_id}/{name}"


def copy_record(journal: Journal, store: Store, terms: Terms, now: Callable[[], datetime]) -> Copied:
    """Copy a sealed record into a bucket; what is there already is not put again.

    Args:
        journal: The run.
        store: The bucket.
        terms: Where, and for how long.
        now: The clock.

    Returns:
        What was done.

    Raises:
        JournalError: when the record is not intact, or the bucket cannot keep it as the terms say; nothing was put.
        AwsError: when S3 refuses or does not answer; what has a receipt stays.

    Changes:
        Objects below the run's key; `receipts.json` in the run folder.
    """
    folder = journal.folder
    found = verify(folder)
    if not found.intact:
        raise JournalError(f"{folder}: not intact, and not copied: {found.problems[0]}")
    _refuse_weak_bucket(store, terms)
    receipts = _receipts(folder, store.bucket)
    put = kept = 0
    for name, digest in _files(folder):
        if receipts.get(name, {}).get("sha256") == digest:
            kept += 1
            continue
        key = key_of(terms.prefix, journal.run_id, name)
        receipt = store.look(key)
        if receipt is not None and receipt.sha256 == digest and (terms.lock == "none" or receipt.retain_until_utc):
            kept += 1
        else:
            until = now() + timedelta(days=terms.lock_days)
            mode = "" if terms.lock == "none" else terms.lock.upper()
            receipt = store.put(key, (folder / name).read_bytes(), digest, mode=mode, until=until)
            put += 1
        receipts[name] = asdict(receipt)
        journal.write(RECEIPTS_NAME, json.dumps({"bucket": store.bucket, "objects": receipts}, indent=2) + "\n")
    return Copied(put, kept, found.digest, f"s3://{store.bucket}/{key_of(terms.prefix, journal.run_id)}".rstrip("/"))


def _refuse_weak_bucket(store: Store, terms: Terms) -> None:
    """Refuse a bucket that would let a record be overwritten, or deleted before its time."""
    able = store.abilities()
    if not able["versions"]:
        raise JournalError(
            f"bucket {store.bucket}: expected versioning enabled, found it off: a record there could be overwritten. "
            "Nothing was put. Enable versioning on the bucket, then run `runbook archive` again"
        )
    if terms.lock != "none" and not able["locks"]:
        raise JournalError(
            f"bucket {store.bucket}: expected Object Lock, as archive.object_lock {terms.lock} needs it, found none. "
            "Nothing was put. Make a bucket with Object Lock, or set archive.object_lock to none"
        )


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield path and digest of every sealed file, then of the seal itself and its signatures."""
    yield from read_sums(folder / SUMS_NAME)[0].items()
    for name in (SIGNATURE_NAME, KMS_SIGNATURE_NAME, SUMS_NAME):
        if (folder / name).is_file():
            yield name, hashlib.sha256((folder / name).read_bytes()).hexdigest()


def _receipts(folder: Path, bucket: str) -> dict[str, Any]:
    """Return the receipts that this bucket gave; a damaged file counts as none, and S3 is asked again."""
    try:
        kept = json.loads((folder / RECEIPTS_NAME).read_bytes())
        return dict(kept["objects"]) if kept["bucket"] == bucket else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
