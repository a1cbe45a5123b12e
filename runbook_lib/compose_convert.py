"""Convert the values of compose keys into fields of a container definition.

Pure. Each conversion puts what it made into the draft, or refuses the key with the fix; it never leaves a value out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.compose_values import duration_s, read_pairs, read_port, size_mib
from runbook_lib.model import KeyMapping
from runbook_lib.parameters import secret_in

MAPPED, DROPPED, REFUSED = "mapped", "dropped", "refused"
LONGEST_STOP_S, SHORTEST_STOP_S = 120, 2
HEALTH_TIMES = (
    ("interval", "interval", 30, 5, 300),
    ("timeout", "timeout", 30, 2, 60),
    ("start_period", "startPeriod", 0, 0, 300),
)
"""Compose key, ECS key, compose's default, and the least and most that ECS takes, in seconds."""
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
"""Source: `UlimitName` of the ECS API."""
SECURITY_OPTIONS = ("no-new-privileges", "apparmor", "label")


@dataclass
class Draft:
    """The container definition while it is made, with what became of each key."""

    service: str
    definition: dict[str, Any] = field(default_factory=dict)
    mappings: list[KeyMapping] = field(default_factory=list)

    def note(self, key: str, outcome: str, target: str = "", consequence: str = "") -> None:
        """Record what became of a key of the service."""
        self.mappings.append(KeyMapping(f"services.{self.service}.{key}", outcome, target, consequence))

    def put(self, key: str, path: str, value: Any, consequence: str = "") -> None:
        """Set one field of the definition and record the key as mapped."""
        holder = self.definition
        *parents, last = path.split(".")
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[last] = value
        self.note(key, MAPPED, path, consequence)

    def refuse(self, key: str, fix: str) -> None:
        """Record a key as refused with what the operator does about it."""
        self.note(key, REFUSED, "", fix)


Convert = Callable[[str, Any, Draft], None]


def map_arguments(name: str, value: Any, draft: Draft) -> None:
    """Map a command line; one that clears the image's, or shows a secret, cannot be."""
    target = {"command": "command", "entrypoint": "entryPoint"}[name]
    if isinstance(value, str) or not value:
        draft.refuse(name, "ECS needs a list and cannot clear the image's; write a list, or change the image")
    elif _shows_secret(value):
        draft.refuse(name, "an argument looks like a secret; read it from a variable and name that in target.secrets")
    else:
        draft.put(name, target, [str(part) for part in value])


def _shows_secret(arguments: Any) -> bool:
    """Return whether an argument, or the value of an option, looks like a secret."""
    pairs = (str(argument).lstrip("-").partition("=") for argument in arguments)
    return any(secret_in(option if value else "", value or option) for option, _, value in pairs)


def map_ports(name: str, value: Any, draft: Draft) -> None:
    """Map each port on its own, so that one that cannot be is named."""
    for index, entry in enumerate(value):
        key = f"{name}[{index}]"
        try:
            port = read_port(entry)
        except (KeyError, ValueError):
            draft.refuse(key, "not one port; ECS maps single ports: write each port on its own")
            continue
        if port.host_ip not in ("", "0.0.0.0", "::"):  # noqa: S104 - what compose means by every address
            draft.refuse(key, f"published on {port.host_ip} only, and ECS publishes on every address; remove the port")
            continue
        mapping = {"containerPort": port.target, "hostPort": port.published, "protocol": port.protocol}
        draft.definition.setdefault("portMappings", []).append(mapping)
        dynamic = "" if port.published else "The host's port is chosen anew for each task."
        draft.note(key, MAPPED, "portMappings", dynamic)


def map_health_check(name: str, value: Any, draft: Draft) -> None:
    """Map the check, its times brought into ECS's limits."""
    test = ["CMD-SHELL", value["test"]] if isinstance(value.get("test"), str) else list(value.get("test") or ())
    if value.get("disable") or test[:1] == ["NONE"]:
        draft.put(name, "healthCheck", {"command": ["NONE"]}, "The image's own check is switched off, as in compose.")
        return
    if not test:
        draft.refuse(name, "has no test, and ECS does not use the image's; write the image's test here")
        return
    if _shows_secret(test):
        draft.refuse(f"{name}.test", "shows what looks like a secret; read it from a variable")
        return
    check: dict[str, Any] = {"command": test, "retries": min(max(int(value.get("retries") or 3), 1), 10)}
    notes = []
    for key, field_name, default, low, high in HEALTH_TIMES:
        wanted = math.ceil(duration_s(value.get(key) or default))
        check[field_name] = min(max(wanted, low), high)
        if check[field_name] != wanted:
            notes.append(f"{key} {wanted} s becomes {check[field_name]} s, because ECS takes {low} to {high}.")
    if value.get("start_interval"):
        notes.append("start_interval is unknown to ECS.")
    draft.put(name, "healthCheck", check, " ".join(notes))


def map_stop_grace_period(name: str, value: Any, draft: Draft) -> None:
    """Map the grace period; a longer one than ECS waits is refused."""
    wanted = math.ceil(duration_s(value))
    if wanted > LONGEST_STOP_S:
        draft.refuse(name, f"{wanted} s is longer than ECS waits ({LONGEST_STOP_S} s); make the service stop sooner")
        return
    note = f"{wanted} s becomes {SHORTEST_STOP_S} s, the least that ECS takes." if wanted < SHORTEST_STOP_S else ""
    draft.put(name, "stopTimeout", max(wanted, SHORTEST_STOP_S), note)


def map_ulimits(name: str, value: Any, draft: Draft) -> None:
    """Map limits given as one number or as soft and hard."""
    limits = []
    if unknown := sorted(value.keys() - set(ULIMITS)):
        draft.refuse(name, f"{unknown[0]} is a limit that ECS does not know; ECS knows {', '.join(ULIMITS)}")
        return
    for limit, found in sorted(value.items()):
        soft, hard = (found["soft"], found["hard"]) if isinstance(found, Mapping) else (found, found)
        limits.append({"name": limit, "softLimit": int(soft), "hardLimit": int(hard)})
    draft.put(name, "ulimits", limits)


def map_labels(name: str, value: Any, draft: Draft) -> None:
    """Map labels without compose's own."""
    labels = {
        label: str(text or "")
        for label, text in read_pairs(value).items()
        if not label.startswith("com.docker.compose")
    }
    if any(secret_in(label, text) for label, text in labels.items()):
        draft.refuse(name, "a label looks like a secret; remove it")
        return
    draft.put(name, "dockerLabels", labels)


def map_extra_hosts(name: str, value: Any, draft: Draft) -> None:
    """Map names and addresses."""
    pairs = read_pairs(value, "=:")
    if "host-gateway" in pairs.values():
        draft.refuse(name, "host-gateway has no counterpart in ECS; name an address")
        return
    hosts = [{"hostname": host, "ipAddress": address} for host, address in pairs.items()]
    draft.put(name, "extraHosts", hosts)


def map_capabilities(name: str, value: Any, draft: Draft) -> None:
    """Map capabilities, whose names ECS writes without CAP_."""
    target = "add" if name == "cap_add" else "drop"
    draft.put(
        name, f"linuxParameters.capabilities.{target}", [str(item).upper().removeprefix("CAP_") for item in value]
    )


def map_tmpfs(name: str, value: Any, draft: Draft) -> None:
    """Map the short form of tmpfs mounts."""
    for entry in [value] if isinstance(value, str) else value:
        path, _, options = str(entry).partition(":")
        add_tmpfs(name, path, [option for option in options.split(",") if option], draft)


def add_tmpfs(key: str, path: str, options: list[str], draft: Draft) -> None:
    """Add a tmpfs mount to the draft; one without a size is refused, because ECS takes none.

    Args:
        key: The compose key it comes from.
        path: Path in the container.
        options: Mount options, ``size=...`` among them.
        draft: The draft.
    """
    size = next((option.removeprefix("size=") for option in options if option.startswith("size=")), "")
    if not size:
        draft.refuse(key, f"tmpfs {path} has no size and ECS needs one; write {path}:size=64m")
        return
    rest = [option for option in options if not option.startswith("size=")]
    mount = {"containerPath": path, "size": size_mib(size), **({"mountOptions": rest} if rest else {})}
    draft.definition.setdefault("linuxParameters", {}).setdefault("tmpfs", []).append(mount)
    draft.note(key, MAPPED, "linuxParameters.tmpfs", "It counts towards the container's memory limit.")


def map_shm_size(name: str, value: Any, draft: Draft) -> None:
    """Map the size of /dev/shm."""
    draft.put(name, "linuxParameters.sharedMemorySize", size_mib(value))


def map_sysctls(name: str, value: Any, draft: Draft) -> None:
    """Map kernel parameters."""
    controls = [{"namespace": key, "value": str(text)} for key, text in sorted(read_pairs(value).items())]
    draft.put(name, "systemControls", controls)


def map_security_opt(name: str, value: Any, draft: Draft) -> None:
    """Map the security options that ECS passes on."""
    for option in value:
        kind, _, _ = str(option).replace("=", ":").partition(":")
        if kind not in SECURITY_OPTIONS:
            draft.refuse(name, f"{option} is unknown to ECS, which takes {', '.join(SECURITY_OPTIONS)}; remove it")
            return
    draft.put(name, "dockerSecurityOptions", [str(option).replace("=", ":") for option in value])


def map_memory(name: str, value: Any, draft: Draft) -> None:
    """Map the hard memory limit."""
    draft.put(name, "memory", size_mib(value))


def map_memory_reservation(name: str, value: Any, draft: Draft) -> None:
    """Map the soft memory limit."""
    draft.put(name, "memoryReservation", size_mib(value))


def map_cpus(name: str, value: Any, draft: Draft) -> None:
    """Map processors to CPU units."""
    units = max(math.ceil(float(value) * 1024), 2)
    draft.put(name, "cpu", units, "On container instances this is a share of the processor, no longer a cap.")


def map_dns(name: str, value: Any, draft: Draft) -> None:
    """Map one address or a list of them."""
    target = {"dns": "dnsServers", "dns_search": "dnsSearchDomains"}[name]
    draft.put(name, target, [value] if isinstance(value, str) else [str(item) for item in value])
