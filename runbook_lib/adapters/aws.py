"""The AWS API: one session, one way to call, one way to fail.

Owns boto3 together with `host.py`. It decides nothing: `ec2.py` and `ecs.py` turn answers into facts,
procedures decide. Retries are the client configuration's; `aws_record` sees every mutating call.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.session

from runbook_lib.adapters.aws_errors import ErrorMapping
from runbook_lib.adapters.aws_record import watch
from runbook_lib.adapters.aws_role import session_of


def tags_of(item: dict[str, Any]) -> dict[str, str]:
    """Return the tags of an EC2 answer as a mapping.

    Args:
        item: Part of an answer that may have `Tags`.

    Returns:
        Tag keys and values.
    """
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags in the shape that EC2 takes.

    Args:
        tags: Keys and values.

    Returns:
        One mapping with `Key` and `Value` per tag, sorted by key.
    """
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


class Aws:
    """A session with one account in one region.

    Args:
        region: AWS region.
        endpoint_url: Where the API is, or "" for AWS itself.
        profile: Named profile, or "".
        credentials_file: Shared credentials file, or None for the default one.
        role_arn: Role to assume, or "".
        source_identity: Whether the role session carries the run id as its source identity, too.
        run_id: Put into the user agent and the role session name.
        record: Called once per mutating call, as `aws_record.watch` says.
        attempts: How often a call is tried in all.
        read_timeout_s: How long to wait for an answer.
    """

    def __init__(
        self,
        *,
        region: str,
        endpoint_url: str = "",
        profile: str = "",
        credentials_file: Path | None = None,
        role_arn: str = "",
        source_identity: bool = True,
        run_id: str = "",
        record: Callable[..., Any] | None = None,
        attempts: int = 6,
        read_timeout_s: int = 60,
    ) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        self.run_id = run_id
        self._profile = profile
        self._credentials_file = credentials_file
        self._role_arn = role_arn
        self._source_identity = source_identity
        self._record = record
        self._making = threading.Lock()
        self._under_way = threading.local()
        self._attempts = attempts
        self._read_timeout_s = read_timeout_s
        self._clients: dict[str, Any] = {}
        self._session: Any = None

    def _open_session(self) -> Any:
        core = botocore.session.Session(profile=self._profile or None)
        if self._credentials_file is not None:
            core.set_config_variable("credentials_file", str(self._credentials_file))
        session = boto3.Session(botocore_session=core, region_name=self.region)
        if not self._role_arn:
            return session
        sts = session.client("sts", endpoint_url=self.endpoint_url or None, config=self._config())
        name = re.sub(r"[^\w+=,.@-]", "-", self.run_id or "runbook")[:64]
        role = session_of(sts, self._role_arn, name, source_identity=name if self._source_identity else "")
        return boto3.Session(botocore_session=role, region_name=self.region)

    def _config(self) -> botocore.config.Config:
        return botocore.config.Config(
            user_agent_extra=f"runbook/{self.run_id}",
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            connect_timeout=5,
            read_timeout=self._read_timeout_s,
        )

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service.

        Args:
            service: botocore service name, for example `ec2`.

        Returns:
            The client; made once.
        """
        with self._making:  # boto3 cannot make two clients at once, and the probe asks from a thread of its own
            if service not in self._clients:
                self._session = self._session or self._open_session()
                self._clients[service] = self._session.client(
                    service, endpoint_url=self.endpoint_url or None, config=self._config()
                )
                if self._record is not None:
                    watch(self._clients[service], service, self._record, lambda: getattr(self._under_way, "target", ""))
            return self._clients[service]

    def call(self, service: str, operation: str, /, *, target: str = "", **arguments: Any) -> dict[str, Any]:
        """Call one API operation.

        Args:
            service: botocore service name.
            operation: Method name, for example `detach_volume`.
            target: What a mutating call changes, for the record.
            **arguments: The operation's arguments.

        Returns:
            The answer without its metadata.

        Raises:
            AwsError: when AWS refuses, or no answer came.

        Changes:
            Whatever the operation changes.
        """
        self._under_way.target = target
        try:
            with self.mapped(operation, service):
                answer = getattr(self.client(service), operation)(**arguments)
        finally:
            self._under_way.target = ""
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def pages(self, service: str, operation: str, key: str, /, **arguments: Any) -> Iterator[Any]:
        """Yield the items of a paginated read.

        Args:
            service: botocore service name.
            operation: Method name.
            key: Key of the list in each answer.
            **arguments: The operation's arguments.

        Yields:
            One item after the other.

        Raises:
            AwsError: when AWS refuses, or no answer came.
        """
        with self.mapped(operation, service):
            for page in self.client(service).get_paginator(operation).paginate(**arguments):
                yield from page[key]

    def mapped(self, operation: str, service: str = "") -> ErrorMapping:
        """Return the context in which botocore's exceptions become AwsError.

        Args:
            operation: Method name, for example `get_object`.
            service: botocore service name.

        Returns:
            A context manager.
        """
        return ErrorMapping("".join(part.title() for part in operation.split("_")), service)

    def identity(self) -> dict[str, Any]:
        """Return who we are.

        Returns:
            Keys `account_id`, `arn`, `region`.

        Raises:
            AwsError: when there are no valid credentials.

        Source: STS GetCallerIdentity.
        """
        answer = self.call("sts", "get_caller_identity")
        return {"account_id": answer["Account"], "arn": answer["Arn"], "region": self.region}

    def caller(self) -> dict[str, str]:
        """Return who we are, and by which request AWS said so, so that it can be found in CloudTrail.

        Returns:
            Keys `arn`, `account_id`, `request_id`.

        Raises:
            AwsError: when there are no valid credentials.

        Source: STS GetCallerIdentity.
        """
        with self.mapped("get_caller_identity"):
            answer = self.client("sts").get_caller_identity()
        request_id = str(answer["ResponseMetadata"].get("RequestId", ""))
        return {"arn": answer["Arn"], "account_id": answer["Account"], "request_id": request_id}

    def parameter(self, name: str) -> str:
        """Return the value of a public SSM parameter.

        Args:
            name: Parameter name.

        Returns:
            Its value.

        Raises:
            AwsError: when it does not exist.

        Source: SSM GetParameter.
        """
        return str(self.call("ssm", "get_parameter", Name=name)["Parameter"]["Value"])

    def terraform_environment(self) -> dict[str, str]:
        """Return the environment that lets Terraform's provider act as this session.

        Returns:
            Environment variables; no secret values, only where to find them.
        """
        environment = {"AWS_REGION": self.region}
        if self.endpoint_url:
            environment |= {"AWS_ENDPOINT_URL": self.endpoint_url, "AWS_EC2_METADATA_DISABLED": "true"}
        if self._profile:
            environment["AWS_PROFILE"] = self._profile
        if self._credentials_file is not None:
            environment["AWS_SHARED_CREDENTIALS_FILE"] = str(self._credentials_file)
        return environment
