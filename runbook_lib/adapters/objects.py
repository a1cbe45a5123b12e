"""Objects of one S3 bucket, written only on a condition, and the time as S3 sees it. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from runbook_lib.adapters.aws import Aws
from runbook_lib.errors import AwsError


@dataclass(frozen=True)
class StoredObject:
    """One object as S3 holds it.

    Args:
        body: Its bytes.
        etag: Identifies this version for a conditional write.
        age_s: Time since it was written. Both ends are S3's own clock, in whole seconds.
    """

    body: bytes
    etag: str
    age_s: float


class Objects:
    """Small objects of one bucket.

    Args:
        aws: The session.
        bucket: The bucket.
    """

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self.bucket = bucket

    def read(self, key: str) -> StoredObject | None:
        """Return an object, or None when there is none.

        Args:
            key: The object's key.

        Returns:
            The object with its age. `Date` and `LastModified` of one answer are compared, so no other clock counts.

        Raises:
            AwsError: when S3 refuses or does not answer; a missing bucket is an error, not a missing object.

        Source: S3 GetObject.
        """
        try:
            with self._aws.mapped("get_object", "s3"):
                answer = self._aws.client("s3").get_object(Bucket=self.bucket, Key=key)
                body = answer["Body"].read()
        except AwsError as error:
            if error.code == "NoSuchKey":
                return None
            raise
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return StoredObject(body, answer["ETag"], (now - answer["LastModified"]).total_seconds())

    def write(self, key: str, body: bytes, *, replaces: str) -> str:
        """Write an object if it still is the version that is to be replaced.

        Args:
            key: The object's key.
            body: Its new bytes.
            replaces: ETag of the version to replace, or "" when there must be no object yet.

        Returns:
            ETag of the new version.

        Raises:
            AwsError: with code `PreconditionFailed` when another version is there; `ConditionalRequestConflict` when
                somebody writes at this moment; any other when S3 refuses or does not answer.

        Changes:
            The object.

        Source: S3 PutObject with If-Match or If-None-Match.
        """
        condition = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        with self._aws.mapped("put_object", "s3"):
            client = self._aws.client("s3")
            answer = client.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition
            )
        return str(answer["ETag"])
