"""A picture of the whole sandbox world, to prove that something changed nothing: every refusal has to.

Three views, none of which trusts the others: what the AWS APIs describe, as anybody with credentials sees it; what each
host shows of itself when asked by its own programs; and what the sandbox holds inside, the content of every file
included. Beside them the digests of Terraform's state files. What is left out is named in `VOLATILE`, with its reason.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

VOLATILE = {
    "ResponseMetadata": "of the answer, not of the world",
    "_tick": "moto counts how often a thing was looked at",
    "RoleLastUsed": "looking at AWS with a role is a use of it",
    "Health": "docker checks health by itself: it begins as starting, and a busy machine may fail a check",
}
"""Fields that change by themselves or by being looked at, and why nothing hides behind them."""

PASSING = frozenset(f'"{state}"' for state in ("creating", "attaching", "detaching", "deleting", "pending", "PENDING"))
"""States at AWS that become others without anybody's doing; a copy is `creating` for a moment."""
SETTLES_S = 10.0

SHOWN_BY_HOSTS = {
    "mounts": ("findmnt", "-rn", "-o", "TARGET,SOURCE,FSTYPE,OPTIONS"),
    "disks": ("lsblk", "-J", "-o", "NAME,SERIAL,FSTYPE,UUID,MOUNTPOINT"),
    "volumes": ("docker", "volume", "ls", "-q"),
    "plugins": ("docker", "plugin", "ls"),
    "containers": ("docker", "ps", "-aq", "--no-trunc"),
}
"""What every host that has power is asked for; each container is inspected too. Its files stand in `inside`."""

_DESCRIBED: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]] = {
    "ec2": (
        ("describe_instances", {}),
        ("describe_volumes", {}),
        ("describe_volumes_modifications", {}),
        ("describe_snapshots", {"OwnerIds": ["self"]}),
        ("describe_tags", {}),
        ("describe_security_groups", {}),
        ("describe_security_group_rules", {}),
        ("describe_launch_templates", {}),
        ("describe_network_interfaces", {}),
        ("describe_subnets", {}),
        ("describe_vpcs", {}),
        ("describe_route_tables", {}),
    ),
    "autoscaling": (
        ("describe_auto_scaling_groups", {}),
        ("describe_launch_configurations", {}),
        ("describe_policies", {}),
        ("describe_tags", {}),
    ),
    "elbv2": (("describe_load_balancers", {}), ("describe_target_groups", {})),
    "iam": (
        ("list_roles", {}),
        ("list_instance_profiles", {}),
        ("list_policies", {"Scope": "Local"}),
        ("get_account_authorization_details", {"Filter": ["Role", "LocalManagedPolicy"]}),
    ),
    "ssm": (("describe_parameters", {}),),
    "logs": (("describe_log_groups", {}), ("describe_metric_filters", {})),
    "kms": (("list_keys", {}), ("list_aliases", {})),
    "application-autoscaling": (("describe_scalable_targets", {"ServiceNamespace": "ecs"}),),
    "cloudwatch": (("describe_alarms", {}),),
}


class Picture(dict[str, Any]):
    """Everything that was seen, as one flat mapping from a path in the world to a value."""

    def differences(self, other: Picture) -> list[str]:
        """Return one line for each path that the pictures do not agree on, sorted.

        Args:
            other: The later picture.
        """
        paths = sorted(self.keys() | other.keys())
        return [
            f"{path}: {self.get(path, '(nothing)')!r} became {other.get(path, '(nothing)')!r}"
            for path in paths
            if self.get(path) != other.get(path)
        ]


def take_picture(sandbox: Any) -> Picture:
    """Return a picture of the world.

    Args:
        sandbox: The running sandbox, its client at rest: a client that writes changes the world itself.
    """
    seen = {
        "api": {service: _describe(sandbox, service, calls) for service, calls in _DESCRIBED.items()}
        | {"ecs": _describe_ecs(sandbox), "s3": _describe_s3(sandbox)},
        "inside": _clean(sandbox.control("GET", "/_sandbox/state")),
        "terraform": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(sandbox.state_dir.glob("*.tfstate*"))
        },
    }
    seen["hosts"] = {
        instance_id: _look_at_host(sandbox, instance_id)
        for instance_id, host in seen["inside"]["hosts"].items()
        if host["powered"]
    }
    return Picture(_flat(seen))


def _take_when_settled(sandbox: Any) -> Picture:
    """Return a picture without states that pass by themselves, unless one lasts."""
    deadline = time.monotonic() + SETTLES_S
    while True:
        seen = take_picture(sandbox)
        passing = [path for path, value in seen.items() if path.startswith("/api/") and value in PASSING]
        if not passing or time.monotonic() > deadline:
            return seen
        time.sleep(0.3)


@contextmanager
def unchanged(sandbox: Any, but: tuple[str, ...] = ()) -> Iterator[None]:
    """Prove that what happens inside changes nothing in the world; the client rests meanwhile.

    Args:
        sandbox: The running sandbox.
        but: Beginnings of paths that somebody else changes meanwhile.
    """
    at_work = sandbox.control("GET", "/_sandbox/client").get("running")
    if at_work:
        sandbox.control("POST", "/_sandbox/client", {"running": False})
    try:
        before = _take_when_settled(sandbox)
        yield
        differences = [line for line in before.differences(take_picture(sandbox)) if not line.startswith(but or "\0")]
    finally:
        if at_work:
            sandbox.control("POST", "/_sandbox/client", {"running": True})
    assert differences == [], "\n".join(["a refusal changed the world:", *differences[:20]])


def _describe(sandbox: Any, service: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    client = sandbox.client(service)
    found = {operation: _all(client, operation, arguments) for operation, arguments in calls}
    if service == "autoscaling":
        for group in client.describe_auto_scaling_groups()["AutoScalingGroups"]:
            name = group["AutoScalingGroupName"]
            found[f"{name} hooks"] = _clean(client.describe_lifecycle_hooks(AutoScalingGroupName=name))
            found[f"{name} refreshes"] = _clean(client.describe_instance_refreshes(AutoScalingGroupName=name))
    if service == "ec2":
        for template in client.describe_launch_templates()["LaunchTemplates"]:
            name = template["LaunchTemplateName"]
            found[f"{name} versions"] = _clean(client.describe_launch_template_versions(LaunchTemplateName=name))
    if service == "elbv2":
        for group in client.describe_target_groups()["TargetGroups"]:
            arn = group["TargetGroupArn"]
            found[f"{arn} health"] = _clean(client.describe_target_health(TargetGroupArn=arn))
    if service == "logs":
        for group in client.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            found[f"{name} streams"] = _clean(client.describe_log_streams(logGroupName=name))
    return found


def _all(client: Any, operation: str, arguments: Mapping[str, Any]) -> Any:
    """Return every page of an operation's answer."""
    if not client.can_paginate(operation):
        return _clean(getattr(client, operation)(**arguments))
    return [_clean(page) for page in client.get_paginator(operation).paginate(**arguments)]


def _describe_ecs(sandbox: Any) -> dict[str, Any]:
    ecs = sandbox.client("ecs")
    clusters = ecs.list_clusters()["clusterArns"]
    found = {
        "clusters": _clean(ecs.describe_clusters(clusters=clusters)),
        "capacity providers": _clean(ecs.describe_capacity_providers()),
        "task definitions": {
            arn: _clean(ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"]))
            for status in ("ACTIVE", "INACTIVE")
            for arn in ecs.list_task_definitions(status=status)["taskDefinitionArns"]
        },
    }
    for arn in clusters:
        services = ecs.list_services(cluster=arn)["serviceArns"]
        hosts = ecs.list_container_instances(cluster=arn)["containerInstanceArns"]
        tasks = [t for s in ("RUNNING", "STOPPED") for t in ecs.list_tasks(cluster=arn, desiredStatus=s)["taskArns"]]
        found[arn] = {
            "services": _clean(ecs.describe_services(cluster=arn, services=services)) if services else [],
            "hosts": _clean(ecs.describe_container_instances(cluster=arn, containerInstances=hosts)) if hosts else [],
            "tasks": _clean(ecs.describe_tasks(cluster=arn, tasks=tasks)) if tasks else [],
        }
    return found


def _describe_s3(sandbox: Any) -> dict[str, Any]:
    s3 = sandbox.client("s3")
    return {
        bucket["Name"]: _clean(s3.list_object_versions(Bucket=bucket["Name"]))
        for bucket in s3.list_buckets()["Buckets"]
    }


def _look_at_host(sandbox: Any, instance_id: str) -> dict[str, Any]:
    seen: dict[str, Any] = {what: _ask(sandbox, instance_id, line) for what, line in SHOWN_BY_HOSTS.items()}
    for container_id in seen["containers"][1:]:
        inspected = _ask(sandbox, instance_id, ("docker", "inspect", container_id))
        seen[container_id] = _clean(json.loads("\n".join(inspected[1:])))
    return seen


def _ask(sandbox: Any, instance_id: str, line: Sequence[str]) -> list[str]:
    """Return what a program on a host says, its exit code first."""
    answer = sandbox.control("POST", f"/_sandbox/hosts/{instance_id}/call", {"argv": list(line)})
    return [str(answer["exit_code"]), *answer["stdout"].splitlines(), *answer["stderr"].splitlines()]


def _clean(value: Any) -> Any:
    """Return an answer without its volatile fields, as plain JSON."""
    if isinstance(value, Mapping):
        return {str(key): _clean(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its path; an empty mapping or list is a leaf too, so that its going is seen."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}/{key}")
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}/{index}")
    else:
        yield path, json.dumps(value, sort_keys=True)
