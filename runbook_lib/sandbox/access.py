"""What one API request wants to do to which resources: the questions that IAM asks its policies about. Reads moto.

Implied actions are among them, such as iam:PassRole of a call that hands a role on. A call that is not known here is
made on ``*``, which only a pattern ``*`` covers.
Source: Service authorization reference, "Actions, resources, and condition keys for ..." of each service.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from runbook_lib.sandbox import access_autoscaling, access_ec2, access_ecs, access_elb, access_s3
from runbook_lib.sandbox.access_names import account_arn, arn, request_tags, values
from runbook_lib.sandbox.backends import REGION
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import ApiRequest

FREE = frozenset({"sts:GetCallerIdentity"})
"""What needs no permission."""
_PUBLIC_PARAMETER = "/aws/"


def accesses_of(request: ApiRequest) -> list[Access]:
    """Return everything that must be permitted before a call is carried out.

    Args:
        request: The call.

    Returns:
        At least one, unless the call needs no permission.
    """
    found = _READERS.get(request.service, _plain)(request)
    common = {"aws:requestedregion": REGION, "ec2:region": REGION}
    return [replace(one, context={**common, **one.context}) for one in found if one.action not in FREE]


def _plain(request: ApiRequest) -> list[Access]:
    return [Access(f"{request.service}:{request.operation}")]


def _iam(request: ApiRequest) -> list[Access]:
    action, given = f"iam:{request.operation}", request.parameters
    role = account_arn("iam", f"role/{given['RoleName']}") if "RoleName" in given else ""
    profile = given.get("InstanceProfileName")
    about = account_arn("iam", f"instance-profile/{profile}") if profile else role or "*"
    tags = request_tags(given, "Tags.member")
    attached = {"iam:policyarn": given["PolicyArn"]} if "PolicyArn" in given else {}
    found = [Access(action, about, tags | attached)]
    if tags and request.operation.startswith("Create"):
        found.append(Access(f"iam:Tag{request.operation.removeprefix('Create')}", about, tags))
    if request.operation == "AddRoleToInstanceProfile":
        found.append(Access("iam:PassRole", role, {"iam:passedtoservice": "ec2.amazonaws.com"}))
    return found


def _ssm(request: ApiRequest) -> list[Access]:
    action, given = f"ssm:{request.operation}", request.parameters
    if request.operation == "SendCommand":
        owner = "" if given["DocumentName"].startswith("AWS-") else None
        document = arn("ssm", f"document/{given['DocumentName']}", owner)
        hosts = [access_ec2.existing(action, "instance", one) for one in values(given, "InstanceIds")]
        tagged = [replace(one, context={**one.context, **_ssm_tags(one.context)}) for one in hosts]
        return [Access(action, document), *tagged]
    if request.operation in {"GetParameter", "GetParameters"}:
        names = [given["Name"]] if "Name" in given else values(given, "Names")
        return [Access(action, _parameter(name)) for name in names]
    return [Access(action)]


def _ssm_tags(context: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "aws:resourcetag/"
    return {f"ssm:resourcetag/{key[len(prefix) :]}": tag for key, tag in context.items() if key.startswith(prefix)}


def _parameter(name: str) -> str:
    return arn("ssm", f"parameter/{name.lstrip('/')}", "" if name.startswith(_PUBLIC_PARAMETER) else None)


def _logs(request: ApiRequest) -> list[Access]:
    action, given = f"logs:{request.operation}", request.parameters
    if request.operation == "DescribeLogGroups":
        return [Access(action)]
    group = given.get("resourceArn") or arn("logs", f"log-group:{given.get('logGroupName', '*')}")
    tags = request_tags(given, "tags", mapping=True)
    found = [Access(action, group, tags)]
    if tags and request.operation == "CreateLogGroup":
        found.append(Access("logs:TagResource", group, tags))
    return found


def _kms(request: ApiRequest) -> list[Access]:
    key = request.parameters.get("KeyId", "*")
    about = key if key.startswith("arn:") else arn("kms", key if key.startswith("alias/") else f"key/{key}")
    return [Access(f"kms:{request.operation}", about)]


def _secretsmanager(request: ApiRequest) -> list[Access]:
    name = request.parameters.get("SecretId", "*")
    about = name if name.startswith("arn:") else arn("secretsmanager", f"secret:{name}-??????")
    return [Access(f"secretsmanager:{request.operation}", about)]


def _sts(request: ApiRequest) -> list[Access]:
    role = request.parameters.get("RoleArn", "*")
    found = [Access(f"sts:{request.operation}", role)]
    identity = request.parameters.get("SourceIdentity")
    return found + ([Access("sts:SetSourceIdentity", role, {"sts:sourceidentity": identity})] if identity else [])


def _ebs(request: ApiRequest) -> list[Access]:
    """EBS direct APIs: the snapshot that is compared stands in the path."""
    found = re.search(r"/snapshots/(snap-\w+)/(changedblocks|blocks)", request.operation)
    if not found:
        return _plain(request)
    name = "ListChangedBlocks" if found[2] == "changedblocks" else "ListSnapshotBlocks"
    return [access_ec2.existing(f"ebs:{name}", "snapshot", found[1])]


_READERS: dict[str, Callable[[ApiRequest], list[Access]]] = {
    "ec2": access_ec2.accesses,
    "ecs": access_ecs.accesses,
    "autoscaling": access_autoscaling.accesses,
    "elasticloadbalancing": access_elb.accesses,
    "s3": access_s3.accesses,
    "iam": _iam,
    "ssm": _ssm,
    "logs": _logs,
    "kms": _kms,
    "secretsmanager": _secretsmanager,
    "sts": _sts,
    "ebs": _ebs,
}
