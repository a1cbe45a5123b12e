"""AssumeRole with a source identity, which moto ignores: CloudTrail shows it with each call of the session.

Source: STS API reference, "AssumeRole"; IAM user guide, "Monitor and control actions taken with assumed roles".
"""

from __future__ import annotations

from typing import Any

from moto.sts.responses import TokenResponse

from runbook_lib.sandbox.backends import install


def apply() -> None:
    """Have AssumeRole keep the source identity, and tell it.

    Changes:
        One method of moto's STS response class.
    """
    assume = TokenResponse.assume_role

    def assume_role(response: Any) -> Any:
        answer = assume(response)
        source = response._get_param("SourceIdentity")
        if source:
            response.backend.assumed_roles[-1].source_identity = source
            answer.result["SourceIdentity"] = source
        return answer

    install(TokenResponse, "assume_role", assume_role)
