"""Secrets behind references: read into memory, handed to nobody but the caller, never written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from runbook_lib.adapters.aws import Aws
from runbook_lib.errors import AwsError, OutsideError


class SecretError(OutsideError):
    """A reference cannot be resolved.

    Args:
        reference: The reference.
        reason: Why, without any value.
    """

    def __init__(self, reference: str, reason: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(f"{reference}: cannot be resolved: {reason}")


def resolve(reference: str, aws: Callable[[], Aws]) -> str:
    """Return the secret behind a reference.

    Args:
        reference: `env:<NAME>`, `ssm:<parameter name>` or `secretsmanager:<ARN>[:<JSON key>[:<stage>[:<version>]]]`.
        aws: Returns the session; asked only when AWS has to be.

    Returns:
        The value. Whoever gets it keeps it in memory.

    Raises:
        SecretError: when there is no such secret, or it may not be read.

    Source: SSM GetParameter, Secrets Manager GetSecretValue; the suffix is that of ECS's `valueFrom`.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        if name not in os.environ:
            raise SecretError(reference, f"there is no environment variable {name}")
        return os.environ[name]
    try:
        if kind == "ssm":
            return str(aws().call("ssm", "get_parameter", Name=name, WithDecryption=True)["Parameter"]["Value"])
        return _from_secrets_manager(reference, name, aws())
    except AwsError as error:
        raise SecretError(reference, f"{error.operation}: {error.code}") from error


def _from_secrets_manager(reference: str, name: str, aws: Aws) -> str:
    """Return a secret, or one value of it when the reference names a JSON key."""
    parts = name.split(":")
    key, stage, version = (*parts[7:], "", "", "")[:3]
    which = ({"VersionStage": stage} if stage else {}) | ({"VersionId": version} if version else {})
    answer = aws.call("secretsmanager", "get_secret_value", SecretId=":".join(parts[:7]), **which)
    value = str(answer.get("SecretString") or answer.get("SecretBinary", b"").decode("utf-8", "replace"))
    if not key:
        return value
    try:
        return str(json.loads(value)[key])
    except (ValueError, KeyError, TypeError):
        raise SecretError(reference, f"the secret is no JSON object with key {key}") from None
