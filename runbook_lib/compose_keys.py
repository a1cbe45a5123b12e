"""The table of compose keys: what becomes of each one in an ECS container definition, and why.

Pure. A key is mapped, dropped with its consequence, or refused with its fix; a key that is not in the table is refused,
because leaving it out could change how the service behaves. docs/compose-mapping.md is made from this table.
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
    for part, settings in sorted((value.get("resources") or {}).items()):
        for resource, amount in sorted((settings or {}).items()):
            known = KEYS[_RESOURCES.get((part, resource), "devices")]
            if amount:
                known.apply(f"{name}.resources.{part}.{resource}", amount, draft)
    rest = sorted(key for key in value.keys() - {"replicas", "resources"} if value[key])
    if rest:
        note = f"{', '.join(rest)}: the ECS service replaces its task itself, stopping it before it starts the next."
        draft.note(name, DROPPED, "", note)


_RESOURCES = {
    ("limits", "cpus"): "cpus",
    ("limits", "memory"): "mem_limit",
    ("limits", "pids"): "pids_limit",
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
    "cpu_percent": _refused(_OTHER_CGROUP),
    "cpu_period": _refused(_OTHER_CGROUP),
    "cpu_quota": _refused(_OTHER_CGROUP),
    "cpu_shares": _copied("cpu"),
    "cpus": _converted("cpu", map_cpus, "A share of the processor, no longer a cap."),
    "cpuset": _refused(_OTHER_CGROUP),
    "credential_spec": _refused(_NO_COUNTERPART),
    "depends_on": _refused("one service moves in this release; make it start without the others, or move them first"),
    "deploy": _converted("cpu, memory, memoryReservation", _deploy, "More than one replica is refused."),
    "develop": _dropped("It concerns `docker compose watch` only."),
    "device_cgroup_rules": _refused("the container instance has other devices than the source; remove it"),
    "devices": _refused("the container instance has other devices than the source; remove it"),
    "dns": _converted("dnsServers", map_dns),
    "dns_opt": _refused(_NO_COUNTERPART),
    "dns_search": _converted("dnsSearchDomains", map_dns),
    "domainname": _refused(_NO_COUNTERPART),
    "entrypoint": _converted("entryPoint", map_arguments, "Refused when it clears the image's or shows a secret."),
    "env_file": _dropped("`docker compose config` has merged it into the environment already."),
    "expose": _dropped("Containers reach each other on every port anyway."),
    "external_links": _refused("linked containers do not move; give the service their addresses"),
    "extra_hosts": _converted("extraHosts", map_extra_hosts, "The address host-gateway is refused."),
    "gpus": _refused("choose a GPU instance type and write the task definition by hand"),
    "group_add": _refused("ECS cannot add groups; give the image's user the group, or set user to uid:gid"),
    "healthcheck": _converted("healthCheck", map_health_check, "Times are brought into the limits of ECS."),
    "hostname": _copied("hostname"),
    "init": _copied("linuxParameters.initProcessEnabled"),
    "ipc": _refused(_NO_COUNTERPART, "private", "shareable"),
    "isolation": _refused(_NO_COUNTERPART, "default"),
    "label_file": _dropped("`docker compose config` has merged it into the labels already."),
    "labels": _converted("dockerLabels", map_labels, "Compose's own labels are left out."),
    "links": _refused("linked containers do not move; give the service their addresses"),
    "logging": _dropped("Logs go to CloudWatch Logs through awslogs; `docker logs` on the host shows nothing."),
    "mac_address": _refused(_NO_COUNTERPART),
    "mem_limit": _converted("memory", map_memory),
    "mem_reservation": _converted("memoryReservation", map_memory_reservation),
    "mem_swappiness": _refused(_OTHER_CGROUP),
    "memswap_limit": _refused(_OTHER_CGROUP),
    "models": _refused(_NO_COUNTERPART),
    "network_mode": _refused("the task uses the bridge network; remove it", "bridge", "default"),
    "networks": _dropped("The task uses the bridge network; names of other services do not resolve."),
    "oom_kill_disable": _refused(_OTHER_CGROUP),
    "oom_score_adj": _refused(_OTHER_CGROUP),
    "pid": _refused(_NO_COUNTERPART),
    "pids_limit": _refused(_OTHER_CGROUP),
    "platform": _refused("container instances are linux/amd64; build the image for it", "linux/amd64", "linux"),
    "ports": _converted("portMappings", map_ports, "A port on one address of the host only is refused."),
    "post_start": _refused(_NO_COUNTERPART),
    "pre_stop": _refused(_NO_COUNTERPART),
    "privileged": _refused("a privileged container reaches the volume below its driver; name capabilities in cap_add"),
    "profiles": _dropped("They choose what `docker compose up` starts."),
    "provider": _refused(_NO_COUNTERPART),
    "pull_policy": _dropped("ECS_IMAGE_PULL_BEHAVIOR of the container instance decides."),
    "read_only": _copied("readonlyRootFilesystem"),
    "restart": _dropped("The ECS service starts a new task whenever one ends, whatever its exit code."),
    "runtime": _refused(_NO_COUNTERPART, "runc"),
    "scale": _refused("the data volume has one writer; set scale to 1", 1),
    "secrets": _refused("put each into SSM Parameter Store or Secrets Manager and name it in target.secrets"),
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
    "userns_mode": _refused(_NO_COUNTERPART),
    "uts": _refused(_NO_COUNTERPART),
    "volumes_from": _refused("write the mounts out under volumes"),
    "working_dir": _copied("workingDirectory"),
}
"""Every known key but `image`, `environment` and `volumes`, which need the parameters; see `compose`."""

_ELSEWHERE = {
    "environment": Key(
        MAPPED, "environment, secrets", "What looks like a secret is refused without a reference to it."
    ),
    "image": Key(MAPPED, "image", "A service that is only built is refused."),
    "volumes": Key(MAPPED, "mountPoints", "What is not on the data volume is refused; tmpfs mounts are mapped."),
}


def as_markdown() -> str:
    """Return docs/compose-mapping.md.

    Returns:
        The page: what happens to every key of a compose service, in alphabetical order.
    """
    rows = [
        f"| `{name}` | {key.outcome} | {f'`{key.target}`' if key.target else ''} | {_advice(key)} |"
        for name, key in sorted((KEYS | _ELSEWHERE).items())
    ]
    return "\n".join([_PAGE, *rows, ""])


def _advice(key: Key) -> str:
    """Return the last column: the consequence or the fix, and which values change nothing."""
    text = key.consequence[:1].upper() + key.consequence[1:]
    harmless = ", ".join(f"`{value}`" for value in key.harmless)
    return f"{text.rstrip('.')}. Left out when it is {harmless}." if harmless else text.rstrip(".") + "." * bool(text)


_PAGE = """# What becomes of a compose service

Generated from `runbook_lib/compose_keys.py` by `scripts/documents`; a test compares them.

The input is what `docker compose config --format json` prints on the source host, so variables, `env_file`, `extends`
and several files are resolved already. Every key of the service is **mapped** to a field of the ECS container
definition, **dropped** with a consequence that the runbook shows, or **refused** with a fix before anything changes.
A key that is not in this table is refused. Keys that start with `x-` are no part of the service.

A variable is refused when its name or value looks like a secret. Put the value into SSM Parameter Store or Secrets
Manager and name the reference in `target.secrets`. A variable whose *name* only looks like one (`TOKEN_TTL`) is let
through by naming it in `target.not_secret`; a *value* that looks like a credential is never let through.

One service moves. Another service that uses the data volume is refused; the other services stay on the source host.

| compose key | outcome | container definition | consequence, or fix |
|---|---|---|---|"""
