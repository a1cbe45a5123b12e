"""Records of runs in an S3 bucket: put once with a checksum and a lock, looked up, read back. It decides nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from runbook_lib.adapters.aws import Aws
from runbook_lib.errors import AwsError
from runbook_lib.model import Receipt


class RecordStore:
    """Objects of records in one bucket.

    Args:
        aws: The session.
        bucket: The bucket.
    """

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self.bucket = bucket

    def abilities(self) -> dict[str, bool]:
        """Return what the bucket does with what is put into it.

        Returns:
            Keys `versions` and `locks`.

        Raises:
            AwsError: when S3 refuses, or there is no such bucket.

        Source: S3 GetBucketVersioning, GetObjectLockConfiguration.
        """
        versions = self._call("get_bucket_versioning").get("Status") == "Enabled"
        try:
            lock = self._call("get_object_lock_configuration")["ObjectLockConfiguration"]
        except AwsError as error:
            if error.code != "ObjectLockConfigurationNotFoundError":
                raise
            return {"versions": versions, "locks": False}
        return {"versions": versions, "locks": lock.get("ObjectLockEnabled") == "Enabled"}

    def look(self, key: str) -> Receipt | None:
        """Return what S3 keeps under a key, None when there is nothing.

        Args:
            key: The object's key.

        Returns:
            The newest version's; its digest is "" when it was put without one.

        Raises:
            AwsError: when S3 refuses.

        Source: S3 HeadObject.
        """
        try:
            return _receipt(self._call("head_object", Key=key, ChecksumMode="ENABLED"))
        except AwsError as error:
            if error.code in {"404", "NoSuchKey", "NotFound"}:
                return None
            raise

    def put(self, key: str, body: bytes, sha256: str, *, mode: str = "", until: datetime | None = None) -> Receipt:
        """Put an object in one call; S3 refuses it when what arrived has another digest.

        Args:
            key: The object's key.
            body: Its bytes.
            sha256: Their SHA-256 in hex.
            mode: `GOVERNANCE` or `COMPLIANCE`; "" locks nothing.
            until: Until when it is locked.

        Returns:
            What S3 keeps.

        Raises:
            AwsError: when S3 refuses.

        Changes:
            A new version of the object.

        Source: S3 PutObject.
        """
        lock = {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": until} if mode else {}
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode("ascii")
        answer = self._call(
            "put_object", Key=key, Body=body, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum, **lock
        )
        return Receipt(sha256, answer.get("VersionId", ""), until.isoformat() if mode and until else "")

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a prefix.

        Args:
            prefix: What they begin with.

        Yields:
            One key after the other.

        Raises:
            AwsError: when S3 refuses.

        Source: S3 ListObjectsV2.
        """
        with self._aws.mapped("list_objects_v2", "s3"):
            for page in (
                self._aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            ):
                yield from (item["Key"] for item in page.get("Contents", ()))

    def read(self, key: str) -> tuple[bytes, Receipt]:
        """Return an object's bytes, and what S3 says of them.

        Args:
            key: The object's key.

        Returns:
            The newest version's.

        Raises:
            AwsError: when S3 refuses.

        Source: S3 GetObject.
        """
        with self._aws.mapped("get_object", "s3"):
            answer = self._aws.client("s3").get_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
            return bytes(answer["Body"].read()), _receipt(answer)

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with self._aws.mapped(operation, "s3"):
            return dict(getattr(self._aws.client("s3"), operation)(Bucket=self.bucket, **arguments))


def _receipt(answer: dict[str, Any]) -> Receipt:
    until = answer.get("ObjectLockRetainUntilDate")
    digest = base64.b64decode(answer.get("ChecksumSHA256", "")).hex()
    return Receipt(digest, answer.get("VersionId", ""), until.isoformat() if until else "")
