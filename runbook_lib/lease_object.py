"""The lease as an object in S3: holds across machines, by conditional writes and heartbeats.

Writes one object and nothing else; never deletes it. Clocks of machines do not count: how old a heartbeat is says S3,
which dates both the object and the answer. What a machine's own clock says stands in the record for people only.
"""

from __future__ import annotations

from typing import Protocol

from runbook_lib.errors import AwsError, LeaseError
from runbook_lib.lease_record import Holder, Seen

_WHOLE_SECONDS_S = 2.0
"""Both of S3's times are cut to whole seconds."""
_CONTENDED = {"PreconditionFailed", "ConditionalRequestConflict"}


class Stored(Protocol):
    """One object as the bucket holds it; `runbook_lib.adapters.objects.StoredObject`."""

    @property
    def body(self) -> bytes:
        """Its bytes."""

    @property
    def etag(self) -> str:
        """Its version."""

    @property
    def age_s(self) -> float:
        """Time since it was written, by the bucket's clock."""


class Bucket(Protocol):
    """A bucket with conditional writes; `runbook_lib.adapters.objects.Objects`."""

    bucket: str

    def read(self, key: str) -> Stored | None:
        """Return an object, or None."""

    def write(self, key: str, body: bytes, *, replaces: str) -> str:
        """Write an object if it still is the version to be replaced; return its new version."""


class ObjectLease:
    """One volume's lease in a bucket.

    Args:
        objects: The bucket.
        key: The object's key.
    """

    kind = "s3"

    def __init__(self, objects: Bucket, key: str) -> None:
        self.where = f"s3://{objects.bucket}/{key}"
        self._objects = objects
        self._key = key
        self._etag = ""

    def look(self) -> Seen:
        """Return who holds the volume; changes nothing.

        Raises:
            LeaseError: when the object cannot be read, or is no lease.
        """
        found = self._read()
        if found is None:
            return Seen(None)
        stored, holder = found
        age_s, etag = stored.age_s, stored.etag
        if holder.released_utc:
            return Seen(holder, etag, why=f"it was given back at {holder.released_utc}", age_s=age_s)
        if holder.is_here:
            why = "its process runs on this machine" if holder.runs_here else "its process on this machine ended"
            return Seen(holder, etag, alive=holder.runs_here, why=why, age_s=age_s)
        limit_s = holder.expires_after_s + _WHOLE_SECONDS_S
        why = f"last heartbeat {age_s:.0f} s ago by S3's clock, it counts as gone after {limit_s:.0f} s"
        return Seen(holder, etag, alive=age_s <= limit_s, why=why, age_s=age_s)

    def claim(self, holder: Holder, seen: Seen) -> None:
        """Take the volume that was seen free or dead.

        Args:
            holder: The new holder.
            seen: What `look` returned; exactly that version is replaced.

        Raises:
            LeaseError: when somebody was quicker, or S3 did not take it.

        Changes:
            The object.
        """
        self._etag = seen.version
        self._write(holder)

    def beat(self, holder: Holder) -> None:
        """Note that the holder lives, if it still is the holder.

        Args:
            holder: The record with its new heartbeat.

        Raises:
            LeaseError: when somebody else holds the volume now, or S3 did not answer.

        Changes:
            The object.
        """
        self._write(holder)

    def release(self, holder: Holder) -> None:
        """Give the volume back.

        Args:
            holder: The record as released.

        Changes:
            The object, when it still is this holder's.
        """
        if self._etag:
            self._write(holder)
            self._etag = ""

    def _write(self, holder: Holder) -> None:
        """Replace the version that we know; one that a lost answer hid from us is ours too, by its token."""
        try:
            self._etag = self._objects.write(self._key, holder.encode(), replaces=self._etag)
        except AwsError as error:
            if error.code not in _CONTENDED:
                raise self._unknown("written", error) from error
            found = self._read()
            if found is None or found[1].token != holder.token:
                raise LeaseError(
                    f"{self.where} names another holder: {found[1].sentence() if found else 'none'}"
                ) from error
            self._etag = found[0].etag
            self._write_again(holder)

    def _write_again(self, holder: Holder) -> None:
        try:
            self._etag = self._objects.write(self._key, holder.encode(), replaces=self._etag)
        except AwsError as error:
            raise self._unknown("written", error) from error

    def _read(self) -> tuple[Stored, Holder] | None:
        try:
            stored = self._objects.read(self._key)
            return (stored, Holder.decode(stored.body)) if stored else None
        except (AwsError, ValueError) as error:
            raise self._unknown("read", error) from error

    def _unknown(self, verb: str, error: Exception) -> LeaseError:
        return LeaseError(
            f"the lease {self.where} cannot be {verb}: {error}. Nobody can tell who holds the volume, so nothing is "
            "done. Make the bucket reachable (archive.bucket; s3:GetObject, s3:PutObject and s3:ListBucket), then run "
            "again"
        )
