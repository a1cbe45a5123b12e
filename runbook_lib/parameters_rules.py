"""Rules between parameters, and the rule that no parameter is a secret.

Pure. A rule gets the sections that are valid by themselves, so that every problem shows at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runbook_lib import parameters_model as model
from runbook_lib.parameters_notifications import broken_hooks
from runbook_lib.parameters_storage import HostMount, Rexray, Storage
from runbook_lib.parameters_volume import volume_problems

SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|passw|secret|token|api_?key|private|credential|(^|_)key$|(^|_)pwd", re.IGNORECASE
)
SECRET_VALUES = (
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), "an AWS access key id"),
    (re.compile(r"-----BEGIN [A-Z ]*(PRIVATE KEY|CERTIFICATE)"), "a PEM block"),
    (re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@", re.IGNORECASE), "a URL with a password"),
    (re.compile(r"^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9/+])[A-Za-z0-9/+]{40}$"), "40 characters like an AWS secret key"),
    (re.compile(r"\b(ghp|gho|github_pat|glpat|xox[abprs]|sk_live|rk_live)[_-][A-Za-z0-9_-]{10,}"), "an API token"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."), "a JSON Web Token"),
)
REFERENCES = ("ssm:", "secretsmanager:", "env:")
# DB_PASSWORD_FILE=/run/secrets/db names a file and holds no secret
FILE_NAME = re.compile(r"_(FILE|PATH|DIR)$", re.IGNORECASE)
HARMLESS = re.compile(r"(true|false|yes|no|on|off|none|null)?", re.IGNORECASE)
NOT_SECRET_KEYS = {"credentials_file", "secrets", "not_secret", "key"}


def secret_in(name: str, value: str, *, not_secret: bool = False) -> str:
    """Return why a value looks like a secret.

    Args:
        name: Name of the parameter or environment variable.
        value: Its value.
        not_secret: Whether a person declared that the name says nothing; the value is looked at all the same.

    Returns:
        The reason in words without the value, or "" when it does not look like one.
    """
    for pattern, what in SECRET_VALUES:
        if pattern.search(value):
            return f"its value looks like {what}"
    if not_secret or value.startswith(REFERENCES) or HARMLESS.fullmatch(value):
        return ""
    if not SECRET_NAME.search(name) or (FILE_NAME.search(name) and value.startswith("/")):
        return ""
    return "its name says that its value is a secret"


def secrets_in(data: Any, path: tuple[str | int, ...] = (), waived: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Yield every literal in nested values that looks like a secret.

    Args:
        data: Nested mappings and lists.
        path: Where they are.
        waived: Names of environment variables that a person declared to be no secrets.

    Yields:
        (path, reason) pairs; never the value.
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from secrets_in(value, (*path, key), waived)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from secrets_in(value, (*path, index), waived)
    elif isinstance(data, str):
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        reason = secret_in(name, data, not_secret=name in NOT_SECRET_KEYS or name in waived)
        if reason:
            yield path, reason


Sections = Mapping[str, Any]
"""The sections that are valid by themselves, by name."""


def broken_rules(sections: Sections) -> list[str]:
    """Return what is wrong between parameters.

    Args:
        sections: The valid sections by name; a rule that needs another one is left out.

    Returns:
        One text per broken rule: keys, values, rule and fix.
    """
    return [problem for needed, rule in _RULES if needed <= sections.keys() for problem in rule(sections)]


def _subnets(sections: Sections) -> Iterator[str]:
    target: model.Target = sections["target"]
    balancer = target.load_balancer
    for key, ids in (
        ("target.subnet_ids", target.subnet_ids),
        ("target.load_balancer.subnet_ids", balancer.subnet_ids),
    ):
        doubled = sorted({subnet_id for subnet_id in ids if ids.count(subnet_id) > 1})
        if doubled:
            yield f"migration.{key} names {', '.join(doubled)} twice; rule: each subnet once. Fix: remove the second"
    if balancer.enabled and len(set(balancer.subnet_ids)) < 2:  # noqa: PLR2004 - the API's own minimum
        yield (
            f"migration.target.load_balancer.subnet_ids has {len(set(balancer.subnet_ids))} subnets; rule: an "
            "application load balancer needs at least 2, in different Availability Zones. Fix: add one, or set "
            "load_balancer.enabled to false"
        )


def _health(sections: Sections) -> Iterator[str]:
    health = sections["target"].health_check
    if health.timeout_s >= health.interval_s:
        yield (
            f"migration.target.health_check.timeout_s is {health.timeout_s}; rule: less than interval_s "
            f"({health.interval_s}). Fix: {health.interval_s - 1} or less"
        )


def _exposure(sections: Sections) -> Iterator[str]:
    target: model.Target = sections["target"]
    public = target.load_balancer.enabled and not target.load_balancer.internal
    if any(cidr.endswith("/0") for cidr in target.allowed_cidrs) and not public:
        yield (
            "migration.target.allowed_cidrs holds a /0 network; rule: the whole Internet is let in only through a "
            "load balancer with internal: false. Fix: name the networks of the clients"
        )


def _memory(sections: Sections) -> Iterator[str]:
    target: model.Target = sections["target"]
    others_mib = sum(other.memory_mib or 0 for other in target.other_containers.values())
    total_mib = (target.memory_mib or 0) + others_mib
    beside = " with other_containers" if others_mib else ""
    for instance_type in target.instance_types:
        size_mib = instance_memory_mib(instance_type)
        if size_mib and total_mib > size_mib * 0.9:
            yield (
                f"migration.target.memory_mib is {total_mib}{beside}; rule: it fits into every one of instance_types "
                f"beside the agent, and {instance_type} has {size_mib} MiB. Fix: less memory, or a larger instance type"
            )


def _variables(sections: Sections) -> Iterator[str]:
    target: model.Target = sections["target"]
    yield from _container_variables("target", target)
    for service, other in sorted(target.other_containers.items()):
        yield from _container_variables(f"target.other_containers.{service}", other)
    source = sections.get("source")
    if source is not None and source.service in target.other_containers:
        fix = "move its values to target itself"
        yield f"migration.target.other_containers.{source.service} is source.service; rule: another one. Fix: {fix}"


def _container_variables(where: str, container: model.Target | model.OtherContainer) -> Iterator[str]:
    for name in sorted(container.environment.keys() & container.secrets.keys()):
        yield f"migration.{where}.environment.{name} is also in {where}.secrets; rule: one source. Fix: remove one"
    for name in sorted(container.environment):
        if container.environment[name].startswith(REFERENCES):
            fix = f"move it to {where}.secrets"
            yield f"migration.{where}.environment.{name} is a reference; rule: values here are literal. Fix: {fix}"


def _storage(sections: Sections) -> Iterator[str]:
    storage: Storage = sections["storage"]
    needed = {"rexray": "plugin_reference and volume_name", "host_mount": "volume_name and filesystem_uuid"}
    for driver, keys in needed.items():
        given = getattr(storage, driver) is not None
        if driver == storage.driver and not given:
            fix = f"add it with {keys}"
            yield f"migration.storage.{driver} is missing; rule: driver {driver} needs its options. Fix: {fix}"
        if driver != storage.driver and given:
            rule = f"driver {storage.driver} takes no such options"
            yield f"migration.storage.{driver} is given; rule: {rule}. Fix: remove it"
    if storage.rexray is not None:
        yield from _rexray(storage.rexray)
    if storage.host_mount is not None:
        yield from _host_mount(storage.host_mount)


def _host_mount(host_mount: HostMount) -> Iterator[str]:
    if not re.fullmatch(r"/(mnt|srv|opt)/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", host_mount.mount_path):
        yield (
            f"migration.storage.host_mount.mount_path is {host_mount.mount_path}; rule: two folders below /mnt, /srv "
            "or /opt, because the first of them becomes immutable. Fix: for example /mnt/runbook/data"
        )


def _rexray(rexray: Rexray) -> Iterator[str]:
    if not rexray.allow_unpinned_plugin and not re.search(r"@sha256:[0-9a-f]{64}$", rexray.plugin_reference):
        yield (
            f"migration.storage.rexray.plugin_reference is {rexray.plugin_reference}; rule: pinned by digest, "
            "name@sha256:<64 hex digits>. Fix: pin it, or accept the risk with allow_unpinned_plugin: true"
        )
    if re.match(r"(docker\.io/)?rexray/", rexray.plugin_reference) and not rexray.stock:
        yield (
            f"migration.storage.rexray.plugin_reference is the stock plugin {rexray.plugin_reference}: not "
            "maintained, fails where IMDSv2 is required; rule: only with stock: true. Fix: name a maintained fork"
        )


def _accounts(sections: Sections) -> Iterator[str]:
    account_id, region = sections["aws"].account_id, sections["aws"].region
    target: model.Target = sections["target"]
    arns = {name: value.partition(":")[2] for name, value in target.secret_references.items()}
    arns["target.load_balancer.certificate_arn"] = target.load_balancer.certificate_arn or ""
    for key, arn in arns.items():
        if arn.startswith("arn:") and arn.split(":")[3:5] != [region, account_id]:
            place = f"account {account_id}, Region {region}"
            yield f"migration.{key} is {arn}; rule: it is in {place}. Fix: name one that is there"


def _window(sections: Sections) -> Iterator[str]:
    window = sections["policy"].change_window
    if window is not None and window.closes_utc <= window.opens_utc:
        yield (
            f"migration.policy.change_window closes at {window.closes_utc}; rule: after it opens at "
            f"{window.opens_utc}. Fix: correct one of the times"
        )


def _copies(sections: Sections) -> Iterator[str]:
    archive = sections["archive"]
    if archive.copy_records and archive.bucket is None:
        yield "migration.archive.copy_records is true; rule: archive.bucket says where to. Fix: name a bucket"
    if archive.object_lock != "none" and not archive.copy_records:
        yield (
            f"migration.archive.object_lock is {archive.object_lock}; rule: only a record that is copied can be "
            "locked. Fix: set archive.copy_records to true, or object_lock to none"
        )


def _rehearsal(sections: Sections) -> Iterator[str]:
    driver = sections["storage"].driver
    if sections["policy"].require_rehearsal and driver == "host_mount":
        yield (
            "migration.policy.require_rehearsal is true; rule: only with a storage driver that can be rehearsed, and "
            f"{driver} cannot mount a clone beside the data volume. Fix: false, or storage.driver: rexray"
        )


_RULES: tuple[tuple[set[str], Callable[[Sections], Iterator[str]]], ...] = (
    ({"target"}, _subnets),
    ({"target"}, _health),
    ({"target"}, _exposure),
    ({"target"}, _memory),
    ({"target"}, _variables),
    ({"volume"}, lambda sections: volume_problems(sections["volume"])),
    ({"archive"}, _copies),
    ({"storage"}, _storage),
    ({"aws", "target"}, _accounts),
    ({"policy"}, _window),
    ({"storage", "policy"}, _rehearsal),
    ({"notifications"}, lambda sections: broken_hooks(sections["notifications"])),
)

_T_SIZES_MIB = {
    "nano": 512,
    "micro": 1024,
    "small": 2048,
    "medium": 4096,
    "large": 8192,
    "xlarge": 16384,
    "2xlarge": 32768,
}
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}


def instance_memory_mib(instance_type: str) -> int:
    """Return the memory of the common instance families.

    Args:
        instance_type: For example ``m7i.large``.

    Returns:
        Its memory in MiB; 0 for a family or size whose memory does not follow from its name.

    Source:
        EC2 instance types guide: t sizes; c, m and r of generation 5 and later have 2, 4 and 8 GiB per vCPU.
    """
    family, _, size = instance_type.partition(".")
    if re.fullmatch(r"t[23]a?", family):
        return _T_SIZES_MIB.get(size, 0)
    known = re.fullmatch(r"([cmr])([5-9])[a-z]*", family)
    vcpus = {"medium": 1, "large": 2, "xlarge": 4}.get(size) or int(
        (re.fullmatch(r"(\d+)xlarge", size) or [0, 0])[1]
    ) * 4
    if known is None or (known[1] == "c" and "n" in family):  # c5n has more than its siblings
        return 0
    return _GIB_PER_VCPU[known[1]] * vcpus * 1024
