"""``aws ec2`` on a host, with what the host's role allows: the calls an attach-at-boot unit needs."""

from __future__ import annotations

import json
from typing import Any

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import UsageError, read
from runbook_lib.sandbox.ec2_client import Ec2Error, HostEc2
from runbook_lib.sandbox.processes import CommandResult

CALLS = {
    "attach-volume": ("AttachVolume", {"--volume-id": "VolumeId", "--instance-id": "InstanceId", "--device": "Device"}),
    "detach-volume": ("DetachVolume", {"--volume-id": "VolumeId", "--instance-id": "InstanceId"}),
    "describe-volumes": ("DescribeVolumes", {"--volume-ids": "VolumeIds"}),
    "describe-instances": ("DescribeInstances", {"--instance-ids": "InstanceIds"}),
}
USAGE, CLIENT_ERROR = 252, 254
GLOBAL = ("--region", "--output", "--cli-connect-timeout", "--cli-read-timeout")


def run(call: Call) -> CommandResult:
    """Answer ``aws ec2 attach-volume|detach-volume|describe-volumes|describe-instances``."""
    if len(call.arguments) < 2 or call.arguments[0] != "ec2" or call.arguments[1] not in CALLS:  # noqa: PLR2004
        known = ", ".join(CALLS)
        return failed(f"aws: the simulated host knows only: aws ec2 {known}", USAGE)
    operation, names = CALLS[call.arguments[1]]
    options = read(call.arguments[2:], flags=["--no-cli-pager"], values=[*names, *GLOBAL], exit_code=USAGE)
    if options.words or options.value("--output", "json") != "json":
        raise UsageError("one value for each option, and --output json only", USAGE)
    given: dict[str, Any] = {names[key]: options.value(key) for key in names if options.value(key)}
    resources = [
        f"{kind}/{given[name]}" for kind, name in (("volume", "VolumeId"), ("instance", "InstanceId")) if name in given
    ]
    arguments = {key: [value] if key.endswith("Ids") else value for key, value in given.items()}
    try:
        answer = HostEc2(call.host).call(operation, resources or None, **arguments)
    except Ec2Error as error:
        return failed(
            f"\nAn error occurred ({error.code}) when calling the {operation} operation: {error}", CLIENT_ERROR
        )
    answer.pop("ResponseMetadata", None)
    return printed(json.dumps(answer, indent=4, default=str) + "\n")
