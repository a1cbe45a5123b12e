"""One way to fail: what botocore raises becomes AwsError, and says what to do when no answer came."""

from __future__ import annotations

import botocore.exceptions

from runbook_lib.errors import AwsError

_NO_ANSWER = {
    "NoCredentialsError": "no AWS credentials were found; set aws.profile and aws.credentials_file in the parameters, "
    "or AWS_PROFILE / AWS_ACCESS_KEY_ID in the environment (for the sandbox: start it with `runbook sandbox up`)",
    "ProfileNotFound": "the profile of aws.profile is in no credentials or config file; check its name and "
    "aws.credentials_file (for the sandbox: start it with `runbook sandbox up`)",
    "EndpointConnectionError": "nothing answers at the endpoint; check aws.endpoint_url and aws.region "
    "(for the sandbox: start it with `runbook sandbox up`)",
}


class ErrorMapping:
    """The context in which botocore's exceptions become AwsError.

    Args:
        operation: The API operation, for example `DetachVolume`.
    """

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, botocore.exceptions.ClientError):
            described = error.response.get("Error", {})
            raise AwsError(self.operation, described.get("Code", "Unknown"), described.get("Message", "")) from error
        if isinstance(error, botocore.exceptions.BotoCoreError):
            code = type(error).__name__
            raise AwsError(self.operation, code, _NO_ANSWER.get(code, str(error))) from error
