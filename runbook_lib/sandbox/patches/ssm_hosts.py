"""Which hosts Systems Manager knows: their agent is up, and their instance role lets it speak.

Source: Systems Manager API reference, DescribeInstanceInformation; user guide, "Setting up managed nodes".
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ssm.exceptions import SSMException

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.patches.iam import is_permitted
from runbook_lib.sandbox.world import World

_AGENT_ACTION = "ssm:UpdateInstanceInformation"
_AGENT_VERSION = "3.3.2299.0"


def is_online(world: World, instance_id: str) -> bool:
    """Say whether a command would reach a host now."""
    host = world.hosts.get(instance_id)
    if world.strikes("host-unreachable", instance_id):
        return False
    # Without this permission the agent never registers: "the instance does not appear" in real accounts.
    return bool(host and host.ssm_online and is_permitted(host.launch.role_name, _AGENT_ACTION, "*"))


def targets(world: World, given: list[dict[str, Any]]) -> list[str]:
    """Return the online instances that SendCommand's Targets name."""
    found: list[str] = []
    for instance in backend("ec2").all_instances() if given else []:
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
        if all(_is_target(one, instance.id, tags) for one in given) and is_online(world, instance.id):
            found.append(instance.id)
    return found


def describe_instance_information(world: World, response: Any) -> Any:
    """Answer DescribeInstanceInformation: every host whose agent has ever registered and that still exists."""
    wanted = _filters(response)
    for key in set(wanted) - {"InstanceIds", "PingStatus", "PlatformTypes", "ResourceType"}:
        raise SSMException("InvalidFilterKey", f"The filter key {key} is not valid")
    rows = [_row(world, host) for host in list(world.hosts.values()) if _has_registered(host)]
    kept = [row for row in rows if _matches(row, wanted)]
    return ActionResult({"InstanceInformationList": kept})


def _has_registered(host: Any) -> bool:
    return bool(host.boots > 0 and is_permitted(host.launch.role_name, _AGENT_ACTION, "*"))


def _row(world: World, host: Any) -> dict[str, Any]:
    online = is_online(world, host.instance_id)
    return {
        "InstanceId": host.instance_id,
        "PingStatus": "Online" if online else "ConnectionLost",
        "LastPingDateTime": utcnow(),
        "AgentVersion": _AGENT_VERSION,
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Amazon Linux",
        "PlatformVersion": "2023",
        "ResourceType": "EC2Instance",
        "IPAddress": host.address,
        "ComputerName": f"ip-{host.address.replace('.', '-')}.ec2.internal",
    }


def _filters(response: Any) -> dict[str, list[str]]:
    new = {one["Key"]: one["Values"] for one in response._get_param("Filters", []) or []}
    old = {one["key"]: one["valueSet"] for one in response._get_param("InstanceInformationFilterList", []) or []}
    return new | old


def _matches(row: dict[str, Any], wanted: dict[str, list[str]]) -> bool:
    attribute = {"InstanceIds": "InstanceId", "PingStatus": "PingStatus", "PlatformTypes": "PlatformType"}
    return all(row[attribute.get(key, key)] in values for key, values in wanted.items())


def _is_target(target: dict[str, Any], instance_id: str, tags: dict[str, str]) -> bool:
    key, values = target["Key"], target["Values"]
    if key == "InstanceIds":
        return instance_id in values
    if key.startswith("tag:"):
        return tags.get(key.removeprefix("tag:")) in values
    return key == "tag-key" and bool(set(values) & set(tags))
