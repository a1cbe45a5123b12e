"""A session of a role, named after the run, renewed before it expires."""

from __future__ import annotations

from typing import Any

import botocore.credentials
import botocore.session

from runbook_lib.adapters.aws_errors import ErrorMapping
from runbook_lib.errors import AwsError

_ABOUT_SOURCE_IDENTITY = (
    "The role's trust policy must allow sts:SetSourceIdentity beside sts:AssumeRole; where it cannot, or where the "
    "caller's session has a source identity already, set aws.source_identity to false"
)


def session_of(sts: Any, role_arn: str, name: str, *, source_identity: str = "") -> botocore.session.Session:
    """Return a session that assumes a role at its first call, and again before its credentials expire.

    Args:
        sts: The boto3 client that may assume it.
        role_arn: The role.
        name: Name of the role session.
        source_identity: What CloudTrail shows with each of its calls; "" sets none.

    Returns:
        The session; its calls raise AwsError when the role cannot be assumed.

    Source: STS AssumeRole; a run may take longer than the hour that credentials last.
    """
    session = botocore.session.Session()
    session._credentials = botocore.credentials.DeferredRefreshableCredentials(  # noqa: SLF001 - no public way in
        lambda: _assume(sts, role_arn, name, source_identity), "assume-role"
    )
    return session


def _assume(sts: Any, role_arn: str, name: str, source_identity: str) -> dict[str, str]:
    """Return credentials of the role in the shape that botocore takes."""
    identity = {"SourceIdentity": source_identity} if source_identity else {}
    try:
        with ErrorMapping("AssumeRole"):
            answer = sts.assume_role(RoleArn=role_arn, RoleSessionName=name, **identity)["Credentials"]
    except AwsError as error:
        if error.code == "AccessDenied" and identity:
            said = str(error).partition(f"{error.code}: ")[2]
            raise AwsError(error.operation, error.code, f"{said}. {_ABOUT_SOURCE_IDENTITY}") from error
        raise
    return {
        "access_key": answer["AccessKeyId"],
        "secret_key": answer["SecretAccessKey"],
        "token": answer["SessionToken"],
        "expiry_time": answer["Expiration"].isoformat(),
    }
