"""The ECS API as a host's instance role may use it: boto3 against the sandbox's own endpoint.

Every call is first judged by the policies of the role, because the API itself is open to the sandbox's own parts.
Never called while ``World.lock`` is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook_lib.sandbox.ec2_client import client_of

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost

OPERATIONS = {
    "ListContainerInstances": "list_container_instances",
    "DescribeContainerInstances": "describe_container_instances",
    "PutAttributes": "put_attributes",
    "DeleteAttributes": "delete_attributes",
}


class EcsError(Exception):
    """ECS refused a call.

    Args:
        code: For example ``AccessDeniedException``.
        message: What ECS said.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def call(host: BaseHost, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make one call with what the host's instance role allows.

    Args:
        host: Whose role.
        operation: One of OPERATIONS.
        arguments: As boto3 takes them.

    Raises:
        EcsError: The role may not, or ECS refused.
    """
    if host.world.ended.is_set():
        raise EcsError("Unavailable", "the sandbox is going down")
    _authorize(host, operation, arguments)
    try:
        answer: dict[str, Any] = getattr(client_of(host.world, "ecs"), OPERATIONS[operation])(**arguments)
    except ClientError as error:
        raise EcsError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
    except BotoCoreError as error:
        raise EcsError("RequestError", str(error)) from error
    return answer


def _authorize(host: BaseHost, operation: str, arguments: dict[str, Any]) -> None:
    from runbook_lib.sandbox.patches.iam import is_permitted  # noqa: PLC0415 - it needs moto's environment

    cluster = str(arguments.get("cluster") or "default")
    prefix = f"arn:aws:ecs:{host.world.region}:{host.world.account_id}:"
    given = arguments.get("containerInstances") or [one.get("targetId", "") for one in arguments.get("attributes", ())]
    targets = [f"{prefix}container-instance/{cluster}/{one.rpartition('/')[2]}" for one in given]
    for arn in targets or [f"{prefix}cluster/{cluster}"]:
        if not is_permitted(host.launch.role_name, f"ecs:{operation}", arn):
            role = f"arn:aws:sts::{host.world.account_id}:assumed-role/{host.launch.role_name}/{host.instance_id}"
            text = f"User: {role} is not authorized to perform: ecs:{operation} on resource: {arn}"
            raise EcsError("AccessDeniedException", text)
