"""Convert the compose keys that reach into the host: devices, swap, the network mode, where logs go.

Pure. As `compose_convert`, whose draft it fills; here are the keys of which ECS takes some values and not others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.compose_convert import DROPPED, Draft
from runbook_lib.compose_values import size_mib

PORTABLE_DEVICES = frozenset(
    {"/dev/fuse", "/dev/net/tun", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}
)
"""Devices that the kernel of every Linux host makes itself; every other one belongs to the source host."""
_PERMISSIONS = {"r": "read", "w": "write", "m": "mknod"}
_LOGS_ELSEWHERE = frozenset({"awslogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog"})


def map_devices(name: str, value: Any, draft: Draft) -> None:
    """Map the devices that every host has; another one is not there on the container instance."""
    devices = [_device(entry) for entry in value]
    for device in devices:
        if device["hostPath"] not in PORTABLE_DEVICES:
            draft.refuse(name, f"the container instance has other devices than the source; remove {device['hostPath']}")
            return
    draft.put(name, "linuxParameters.devices", devices)


def _device(entry: Any) -> dict[str, Any]:
    if isinstance(entry, Mapping):
        source, target, letters = entry["source"], entry.get("target"), entry.get("permissions")
    else:
        source, target, letters = (*str(entry).split(":"), "", "")[:3]
    permissions = [_PERMISSIONS[letter] for letter in letters or "rwm"]
    return {"hostPath": source, "containerPath": target or source, "permissions": permissions}


def map_memory_and_swap(name: str, value: Any, draft: Draft) -> None:
    """Map the limit of memory and swap together, which ECS counts without the memory."""
    memory = draft.definition.get("memory")
    if str(value) == "-1" or memory is None:
        draft.refuse(name, "ECS takes a limit only, beside a memory limit; set it to that limit, or remove it")
        return
    note = "Container instances have no swap of their own."
    draft.put(name, "linuxParameters.maxSwap", max(size_mib(value) - memory, 0), note)


def map_swappiness(name: str, value: Any, draft: Draft) -> None:
    """Map how readily the kernel swaps."""
    draft.put(name, "linuxParameters.swappiness", int(value), "Without effect: container instances have no swap.")


def map_network_mode(name: str, value: Any, draft: Draft) -> None:
    """Map no network; the network of the host, or of another container, is none that this task has."""
    kind, _, other = str(value).partition(":")
    if kind == "none":
        draft.put(name, "disableNetworking", value=True)
    elif kind == "service":
        fix = f"in bridge mode each container has an address of its own; reach it as {other}, not as localhost, and"
        draft.refuse(name, f"{fix} remove network_mode")
    else:
        draft.refuse(name, "the task uses the bridge network; publish ports instead and remove it")


def map_logging(name: str, value: Any, draft: Draft) -> None:
    """Drop the log driver: the module sends every container's output to CloudWatch Logs."""
    driver = str(value.get("driver") or "")
    lost = f" {driver} gets nothing any more." if driver in _LOGS_ELSEWHERE else ""
    kept = " They were thrown away so far." if driver == "none" else ""
    draft.note(name, DROPPED, "", f"Logs go to CloudWatch Logs, `docker logs` shows nothing.{lost}{kept}")
