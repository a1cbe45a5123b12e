"""What a call of S3 wants to do to which bucket or object. Pure.

Source: Service authorization reference, "Amazon S3"; S3 user guide, "Required permissions for S3 API operations".
"""

from __future__ import annotations

from runbook_lib.sandbox.access_names import Context
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import LOCK_HEADER, ApiRequest

_OF_BUCKET = {"versioning": "BucketVersioning", "object-lock": "BucketObjectLockConfiguration"}
_OF_OBJECT = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


def accesses(request: ApiRequest) -> list[Access]:
    """Return what a call wants."""
    method, _, path = request.operation.partition(" ")
    bucket, _, key = path.lstrip("/").partition("/")
    given = request.parameters
    if not key:
        return [_about_bucket(method, bucket, dict(given))]
    about = f"arn:aws:s3:::{bucket}/{key}"
    version = "Version" if "versionId" in given and method in {"GET", "HEAD", "DELETE"} else ""
    found = [Access(f"s3:{_OF_OBJECT.get(method, method)}{version}", about)]
    if method == "PUT" and LOCK_HEADER in given:
        found.append(Access("s3:PutObjectRetention", about, {"s3:object-lock-mode": given[LOCK_HEADER]}))
    return found


def _about_bucket(method: str, bucket: str, given: dict[str, str]) -> Access:
    about = f"arn:aws:s3:::{bucket}" if bucket else "*"
    for name, noun in _OF_BUCKET.items():
        if name in given:
            return Access(f"s3:{'Get' if method == 'GET' else 'Put'}{noun}", about)
    if method in {"GET", "HEAD"} and bucket:
        prefix: Context = {"s3:prefix": given["prefix"]} if "prefix" in given else {}
        return Access("s3:ListBucket", about, prefix)
    verb = {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "GET": "ListAllMyBuckets"}.get(method, method)
    return Access(f"s3:{verb}", about)
