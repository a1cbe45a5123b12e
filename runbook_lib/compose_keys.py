"""The table of compose keys: what becomes of each one in an ECS container definition, and why.

Pure. A key is mapped, dropped with its consequence, or refused with its fix; a key that is not in the table is refused,
because leaving it out could change how the service behaves. docs/compose-mapping.md is made from this table; see
`compose_page`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runbook_lib.compose_convert import (
    DROPPED,
    MAPPED,
    REFUSED,
    Convert,
    Draft,
    map_arguments,
    map_capabilities,
    map_cpus,
    map_dns,
    map_extra_hosts,
    map_health_check,
    map_labels,
    map_memory,
    map_memory_reservation,
    map_ports,
    map_security_opt,
    map_shm_size,
    map_stop_grace_period,
    map_sysctls,
    map_tmpfs,
    map_ulimits,
)
from runbook_lib.compose_host import (
    map_devices,
    map_logging,
    map_memory_and_swap,
    map_network_mode,
    map_swappiness,
)


@dataclass(frozen=True)
class Key:
    """What becomes of one compose key.

    Args:
        outcome: ``mapped``, ``dropped`` or ``refused``; a conversion may still refuse a value.
        target: Field of the container definition, for mapped keys.
        consequence: What the operator should know; the fix of a refusal.
        convert: How a value is converted; without it the value is copied, dropped or refused as the outcome says.
        harmless: Values that change nothing, so that the key can be left out.
    """

    outcome: str
    target: str = ""
    consequence: str = ""
    convert: Convert | None = None
    harmless: tuple[Any, ...] = ()

    def apply(self, name: str, value: Any, draft: Draft) -> None:
        """Bring one value of the service into the draft."""
        if value in self.harmless:
            draft.note(name, DROPPED, "", "Means the same as leaving it out.")
        elif self.convert is not None:
            self.convert(name, value, draft)
        elif self.outcome == MAPPED:
            draft.put(name, self.target, value, self.consequence)
        else:
            draft.note(name, self.outcome, "", self.consequence)


def _deploy(name: str, value: Any, draft: Draft) -> None:
    """Map what one container gets; refuse more replicas than the one writer that a volume can have."""
    if int(value.get("replicas") or 1) != 1:
        draft.refuse(f"{name}.replicas", "the data volume has one writer; set replicas to 1")
    if str(value.get("mode") or "").endswith("-job"):
        draft.refuse(f"{name}.mode", "an ECS service keeps its task running, it is no job; set mode to replicated")
    for part, settings in sorted((value.get("resources") or {}).items()):
        for resource, amount in sorted((settings or {}).items()):
            if amount:
                _resource(f"{name}.resources.{part}.{resource}", part, resource, amount, draft)
    rest = sorted(key for key in value.keys() - {"replicas", "resources", "mode"} if value[key])
    if rest:
        note = f"{', '.join(rest)}: the ECS service replaces its task itself, stopping it before it starts the next."
        draft.note(name, DROPPED, "", note)


def _resource(name: str, part: str, resource: str, amount: Any, draft: Draft) -> None:
    known = _RESOURCES.get((part, resource))
    if known is None:
        draft.refuse(name, "the container instance has other devices than the source; remove it")
    elif (part, resource) == ("reservations", "cpus") and "cpu" in draft.definition:
        draft.note(name, DROPPED, "", "limits.cpus is what ECS reserves.")
    else:
        KEYS[known].apply(name, amount, draft)


_RESOURCES = {
    ("limits", "cpus"): "cpus",
    ("limits", "memory"): "mem_limit",
    ("limits", "pids"): "pids_limit",
    ("reservations", "cpus"): "cpus",
    ("reservations", "memory"): "mem_reservation",
}


def _copied(target: str, consequence: str = "") -> Key:
    return Key(MAPPED, target, consequence)


def _converted(target: str, convert: Convert, consequence: str = "") -> Key:
    return Key(MAPPED, target, consequence, convert)


def _dropped(consequence: str) -> Key:
    return Key(DROPPED, "", consequence)


def _refused(fix: str, *harmless: Any) -> Key:
    return Key(REFUSED, "", fix, None, harmless)


_NO_COUNTERPART = "ECS has no counterpart; remove it and see that the service works without"
_OTHER_CGROUP = "ECS sets the container's limits itself; remove it and set target.cpu and target.memory_mib"

KEYS: dict[str, Key] = {
    "annotations": _dropped("Nothing in ECS reads them."),
    "attach": _dropped("It concerns the terminal of `docker compose up` only."),
    "blkio_config": _refused(_OTHER_CGROUP),
    "build": _dropped("ECS builds nothing; the image must be in a registry that the container instance can reach."),
    "cap_add": _converted("linuxParameters.capabilities.add", map_capabilities),
    "cap_drop": _converted("linuxParameters.capabilities.drop", map_capabilities),
    "cgroup": _refused(_OTHER_CGROUP, "private"),
    "cgroup_parent": _refused(_OTHER_CGROUP),
    "command": _converted("command", map_arguments, "Refused when it clears the image's or shows a secret."),
    "configs": _refused("ECS has no configs; put the file into the image or onto the data volume"),
    "container_name": _dropped("ECS names containers itself; find it by the label com.amazonaws.ecs.container-name."),
    "cpu_count": _refused(_OTHER_CGROUP),
    "cpu_percent": _refused(_OTHER_CGROUP),
    "cpu_period": _refused(_OTHER_CGROUP),
    "cpu_quota": _refused(_OTHER_CGROUP),
    "cpu_rt_period": _refused(_OTHER_CGROUP),
    "cpu_rt_runtime": _refused(_OTHER_CGROUP),
    "cpu_shares": _copied("cpu"),
    "cpus": _converted("cpu", map_cpus, "A share of the processor, no longer a cap."),
    "cpuset": _refused(_OTHER_CGROUP),
    "credential_spec": _refused(_NO_COUNTERPART),
    "deploy": _converted("cpu, memory, memoryReservation", _deploy, "More than one replica is refused."),
    "develop": _dropped("It concerns `docker compose watch` only."),
    "device_cgroup_rules": _refused("the container instance has other devices than the source; remove it"),
    "devices": _converted("linuxParameters.devices", map_devices, "One that not every host has is refused."),
    "dns": _converted("dnsServers", map_dns),
    "dns_opt": _refused(_NO_COUNTERPART),
    "dns_search": _converted("dnsSearchDomains", map_dns),
    "domainname": _refused(_NO_COUNTERPART),
    "entrypoint": _converted("entryPoint", map_arguments, "Refused when it clears the image's or shows a secret."),
    "env_file": _dropped("`docker compose config` has merged it into the environment already."),
    "expose": _dropped("Containers reach each other on every port anyway."),
    "extends": _dropped("`docker compose config` has merged it already."),
    "external_links": _refused("linked containers do not move; give the service their addresses"),
    "extra_hosts": _converted("extraHosts", map_extra_hosts, "The address host-gateway is refused."),
    "gpus": _refused("choose a GPU instance type and write the task definition by hand"),
    "group_add": _refused("ECS cannot add groups; give the image's user the group, or set user to uid:gid"),
    "healthcheck": _converted("healthCheck", map_health_check, "Times are brought into the limits of ECS."),
    "hostname": _copied("hostname"),
    "init": _copied("linuxParameters.initProcessEnabled"),
    "ipc": _refused("each container of a task has shared memory of its own; remove it", "private", "shareable"),
    "isolation": _refused(_NO_COUNTERPART, "default"),
    "label_file": _dropped("`docker compose config` has merged it into the labels already."),
    "labels": _converted("dockerLabels", map_labels, "Compose's own labels are left out."),
    "logging": Key(DROPPED, "", "Logs go to CloudWatch Logs; a driver that sent them elsewhere is named.", map_logging),
    "mac_address": _refused(_NO_COUNTERPART),
    "mem_limit": _converted("memory", map_memory),
    "mem_reservation": _converted("memoryReservation", map_memory_reservation),
    "mem_swappiness": _converted("linuxParameters.swappiness", map_swappiness),
    "memswap_limit": _converted("linuxParameters.maxSwap", map_memory_and_swap, "Refused without a memory limit."),
    "models": _refused(_NO_COUNTERPART),
    "network_mode": Key(
        MAPPED,
        "disableNetworking",
        "`none` is mapped; that of the host or of another container is refused.",
        map_network_mode,
        ("bridge", "default"),
    ),
    "oom_kill_disable": _refused(_OTHER_CGROUP),
    "oom_score_adj": _refused(_OTHER_CGROUP),
    "pid": _refused("the processes of a task's containers do not see each other; remove it"),
    "pids_limit": _refused(_OTHER_CGROUP, -1),
    "platform": _refused("container instances are linux/amd64; build the image for it", "linux/amd64", "linux"),
    "ports": _converted("portMappings", map_ports, "A port on one address of the host only is refused."),
    "post_start": _refused(_NO_COUNTERPART),
    "pre_stop": _refused(_NO_COUNTERPART),
    "privileged": _refused("a privileged container reaches the volume below its driver; name capabilities in cap_add"),
    "profiles": _dropped("They choose what `docker compose up` starts."),
    "provider": _refused(_NO_COUNTERPART),
    "pull_policy": _dropped("ECS_IMAGE_PULL_BEHAVIOR of the container instance decides."),
    "pull_refresh_after": _dropped("ECS_IMAGE_PULL_BEHAVIOR of the container instance decides."),
    "read_only": _copied("readonlyRootFilesystem"),
    "runtime": _refused(_NO_COUNTERPART, "runc"),
    "scale": _refused("the data volume has one writer; set scale to 1", 1),
    "security_opt": _converted("dockerSecurityOptions", map_security_opt, "A seccomp profile is refused."),
    "shm_size": _converted("linuxParameters.sharedMemorySize", map_shm_size),
    "stdin_open": _copied("interactive"),
    "stop_grace_period": _converted("stopTimeout", map_stop_grace_period, "More than 120 s is refused."),
    "stop_signal": _refused("ECS sends the image's STOPSIGNAL; set it in the image", "SIGTERM", "TERM", "15"),
    "storage_opt": _refused(_NO_COUNTERPART),
    "sysctls": _converted("systemControls", map_sysctls),
    "tmpfs": _converted("linuxParameters.tmpfs", map_tmpfs, "One without a size is refused."),
    "tty": _copied("pseudoTerminal"),
    "ulimits": _converted("ulimits", map_ulimits),
    "use_api_socket": _refused("the container instance's Docker socket is not the source's; remove it"),
    "user": _copied("user", "The files' owners stay as they are, so the ids must too."),
    "userns_mode": _refused(_NO_COUNTERPART, "host"),
    "uts": _refused(_NO_COUNTERPART),
    "working_dir": _copied("workingDirectory"),
}
"""Every known key that says something by itself; see `IN_CONTEXT` for the others."""

IN_CONTEXT: dict[str, Key] = {
    "depends_on": Key(MAPPED, "dependsOn", "The service moves along. Waiting for health needs a health check here."),
    "environment": Key(
        MAPPED, "environment, secrets", "What looks like a secret is refused without a reference to it."
    ),
    "image": Key(MAPPED, "image", "A service that is only built is refused."),
    "links": Key(MAPPED, "links", "The service moves along. A link to one that starts later is refused."),
    "networks": Key(
        MAPPED,
        "links",
        "A container reaches by name and alias those that started before it, no others. A fixed address is refused.",
    ),
    "restart": Key(
        MAPPED,
        "essential",
        "With an essential container the whole task ends and ECS starts another; without a policy a container beside "
        "the moved one may end alone. on-failure is refused there",
    ),
    "secrets": Key(
        MAPPED,
        "secrets",
        "A file becomes a variable: where NAME_FILE names it and NAME has a reference. Every other one is refused.",
    ),
    "volumes": Key(MAPPED, "mountPoints", "What is not on the data volume is refused; tmpfs mounts are mapped."),
    "volumes_from": Key(MAPPED, "mountPoints", "The other service moves along. Another container's is refused."),
}
"""The keys that need the parameters or the other services; see `compose_service`, `_mounts` and `_together`."""
