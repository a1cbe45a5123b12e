"""One way to fail: what botocore raises becomes AwsError, and says what to do when no answer came."""

from __future__ import annotations

import botocore.exceptions

from runbook_lib.errors import AccessDeniedError, AwsError
from runbook_lib.permissions_actions import Denial, denial_in

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
        service: botocore's name of the service, which names the action where AWS's message does not.
    """

    def __init__(self, operation: str, service: str = "") -> None:
        self.operation = operation
        self.service = service

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, botocore.exceptions.ClientError):
            described = error.response.get("Error", {})
            code, said = described.get("Code", "Unknown"), described.get("Message", "")
            if code in AccessDeniedError.codes:
                raise self._denied(code, said) from error
            raise AwsError(self.operation, code, said) from error
        if isinstance(error, botocore.exceptions.BotoCoreError):
            code = type(error).__name__
            raise AwsError(self.operation, code, _NO_ANSWER.get(code, str(error))) from error

    def _denied(self, code: str, said: str) -> AccessDeniedError:
        told = denial_in(said)
        denial = told or Denial(f"{self.service or 'the action of'}:{self.operation}")
        text = f"{said}. {denial.advice[0].upper()}{denial.advice[1:]}" if said else denial.advice
        return AccessDeniedError(self.operation, code, text, denial.action, denial.resource, denial.principal)
