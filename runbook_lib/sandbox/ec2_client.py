"""The EC2 API as a host's instance role may use it: boto3 against the sandbox's own endpoint.

Every call is first judged by the policies of the role, because the API itself is open to the sandbox's own parts.
Never called while ``World.lock`` is held.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.world import World

OWN_ACCESS_KEY_ID = "AKIASANDBOXHOST00000"
"""What the sandbox's own parts sign with; their calls were judged by a host's role before, or build the estate."""
_made = threading.Lock()


class Ec2Error(Exception):
    """EC2 refused a call.

    Args:
        operation: For example ``AttachVolume``.
        code: For example ``UnauthorizedOperation``.
        message: What EC2 said.
    """

    def __init__(self, operation: str, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message} (operation {operation})")


def client_of(world: World, service: str = "ec2") -> Any:
    """Return the world's own client; one per service, since making one takes a while.

    Args:
        world: Whose endpoint.
        service: For example ``ec2``.
    """
    key = f"_client_{service}"
    with _made:
        client = getattr(world, key, None)
        if client is None:
            session = boto3.session.Session()
            client = session.client(
                service,
                endpoint_url=world.endpoint_url,
                region_name=world.region,
                aws_access_key_id=OWN_ACCESS_KEY_ID,
                aws_secret_access_key="sandbox",  # noqa: S106 - the sandbox checks roles, not secrets
                config=Config(retries={"max_attempts": 3, "mode": "standard"}, read_timeout=60, connect_timeout=5),
            )
            setattr(world, key, client)
    return client


class HostEc2:
    """EC2 for one host, with what its instance role allows.

    Args:
        host: Whose role.
    """

    def __init__(self, host: BaseHost) -> None:
        self._host = host

    def call(self, operation: str, resources: list[str] | None = None, **arguments: Any) -> dict[str, Any]:
        """Make one call.

        Args:
            operation: As the API names it, for example ``AttachVolume``.
            resources: What it acts on, as ``volume/vol-...`` or ``instance/i-...``; None for ``*``.
            arguments: As boto3 takes them.

        Raises:
            Ec2Error: The role may not, or EC2 refused.
        """
        if self._host.world.ended.is_set():
            raise Ec2Error(operation, "Unavailable", "the sandbox is going down")
        self._authorize(operation, resources)
        name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in operation).lstrip("_")
        try:
            answer: dict[str, Any] = getattr(client_of(self._host.world), name)(**arguments)
        except ClientError as error:
            raise Ec2Error(operation, error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        except BotoCoreError as error:
            raise Ec2Error(operation, "RequestError", str(error)) from error
        return answer

    def _authorize(self, operation: str, resources: list[str] | None) -> None:
        from runbook_lib.sandbox.patches.iam import is_permitted  # noqa: PLC0415 - it needs moto's environment

        world = self._host.world
        prefix = f"arn:aws:ec2:{world.region}:{world.account_id}:"
        for arn in [prefix + one for one in resources] if resources else ["*"]:
            if not is_permitted(self._host.launch.role_name, f"ec2:{operation}", arn):
                message = f"You are not authorized to perform this operation on {arn}."
                raise Ec2Error(operation, "UnauthorizedOperation", message)
