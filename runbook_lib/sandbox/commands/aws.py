"""``aws ec2`` and ``aws ecs`` on a host, with what the host's role allows: the calls an attach-at-boot unit needs."""

from __future__ import annotations

import json
from typing import Any

from runbook_lib.sandbox import ecs_client
from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import UsageError, read
from runbook_lib.sandbox.ec2_client import Ec2Error, HostEc2
from runbook_lib.sandbox.ecs_client import EcsError
from runbook_lib.sandbox.processes import CommandResult

CALLS = {
    "ec2 attach-volume": (
        "AttachVolume", {"--volume-id": "VolumeId", "--instance-id": "InstanceId", "--device": "Device"}
    ),
    "ec2 detach-volume": ("DetachVolume", {"--volume-id": "VolumeId", "--instance-id": "InstanceId"}),
    "ec2 describe-volumes": ("DescribeVolumes", {"--volume-ids": "VolumeIds"}),
    "ec2 describe-instances": ("DescribeInstances", {"--instance-ids": "InstanceIds"}),
    "ecs list-container-instances": ("ListContainerInstances", {"--cluster": "cluster", "--filter": "filter"}),
    "ecs describe-container-instances": (
        "DescribeContainerInstances", {"--cluster": "cluster", "--container-instances": "containerInstances"}
    ),
    "ecs put-attributes": ("PutAttributes", {"--cluster": "cluster", "--attributes": "attributes"}),
    "ecs delete-attributes": ("DeleteAttributes", {"--cluster": "cluster", "--attributes": "attributes"}),
}  # fmt: skip
LISTS = {"VolumeIds", "InstanceIds", "containerInstances"}
USAGE, CLIENT_ERROR = 252, 254
GLOBAL = ("--region", "--output", "--cli-connect-timeout", "--cli-read-timeout")


def run(call: Call) -> CommandResult:
    """Answer ``aws SERVICE COMMAND`` for the commands in CALLS."""
    name = " ".join(call.arguments[:2])
    if name not in CALLS:
        return failed(f"aws: the simulated host knows only: aws {', aws '.join(CALLS)}", USAGE)
    operation, names = CALLS[name]
    options = read(call.arguments[2:], flags=["--no-cli-pager"], values=[*names, *GLOBAL], exit_code=USAGE)
    if options.words or options.value("--output", "json") != "json":
        raise UsageError("one value for each option, and --output json only", USAGE)
    given = {names[key]: _value(names[key], options.value(key)) for key in names if options.value(key)}
    try:
        answer = (
            _ec2(call, operation, given) if name.startswith("ec2") else ecs_client.call(call.host, operation, given)
        )
    except (Ec2Error, EcsError) as error:
        return failed(
            f"\nAn error occurred ({error.code}) when calling the {operation} operation: {error}", CLIENT_ERROR
        )
    answer.pop("ResponseMetadata", None)
    return printed(json.dumps(answer, indent=4, default=str) + "\n")


def _value(name: str, text: str) -> Any:
    if name == "attributes":
        try:
            return json.loads(text)
        except ValueError as error:
            raise UsageError(f"--attributes: the simulated command takes JSON only: {error}", USAGE) from error
    return [text] if name in LISTS else text


def _ec2(call: Call, operation: str, given: dict[str, Any]) -> dict[str, Any]:
    kinds = (("volume", "VolumeId"), ("instance", "InstanceId"))
    resources = [f"{kind}/{given[name]}" for kind, name in kinds if name in given]
    return HostEc2(call.host).call(operation, resources or None, **given)
