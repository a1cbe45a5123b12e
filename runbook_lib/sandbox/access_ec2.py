"""What a call of EC2 wants to do to which resources. Reads moto.

Source: Service authorization reference, "Amazon EC2"; EC2 user guide, "Grant permission to tag resources during
creation".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox.access_names import Context, account_arn, arn, request_tags, tag_context, values
from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import ApiRequest

# operation -> parameters that name resources, with the kinds of them
_NAMED: dict[str, tuple[tuple[str, str], ...]] = {
    "AttachVolume": (("VolumeId", "volume"), ("InstanceId", "instance")),
    "DetachVolume": (("VolumeId", "volume"), ("InstanceId", "instance")),
    "CreateSnapshot": (("VolumeId", "volume"),),
    "CopyVolumes": (("SourceVolumeId", "volume"),),
    "CreateVolume": (("SnapshotId", "snapshot"),),
    "DeleteVolume": (("VolumeId", "volume"),),
    "ModifyVolume": (("VolumeId", "volume"),),
    "DeleteSnapshot": (("SnapshotId", "snapshot"),),
    "ModifyInstanceAttribute": (("InstanceId", "instance"),),
    "StopInstances": (("InstanceId", "instance"),),
    "StartInstances": (("InstanceId", "instance"),),
    "RebootInstances": (("InstanceId", "instance"),),
    "TerminateInstances": (("InstanceId", "instance"),),
    "CreateSecurityGroup": (("VpcId", "vpc"),),
    "AuthorizeSecurityGroupEgress": (("GroupId", "security-group"),),
    "AuthorizeSecurityGroupIngress": (("GroupId", "security-group"),),
    "RevokeSecurityGroupEgress": (("GroupId", "security-group"),),
    "RevokeSecurityGroupIngress": (("GroupId", "security-group"),),
    "ModifySecurityGroupRules": (("GroupId", "security-group"),),
    "DeleteSecurityGroup": (("GroupId", "security-group"),),
    "CreateLaunchTemplate": (),
    "CreateLaunchTemplateVersion": (("LaunchTemplateId", "launch-template"),),
    "ModifyLaunchTemplate": (("LaunchTemplateId", "launch-template"),),
    "DeleteLaunchTemplate": (("LaunchTemplateId", "launch-template"),),
}
# operation -> kind of what it makes; rules of a security group count as made only when they are tagged
_MADE = {
    "CreateSnapshot": "snapshot",
    "CopyVolumes": "volume",
    "CreateVolume": "volume",
    "CreateSecurityGroup": "security-group",
    "CreateLaunchTemplate": "launch-template",
}
_KINDS = {
    "vol": "volume",
    "i": "instance",
    "snap": "snapshot",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "lt": "launch-template",
}
_WITHOUT_ACCOUNT = frozenset({"snapshot", "image"})


def accesses(request: ApiRequest) -> list[Access]:
    """Return what a call wants."""
    action, given = f"ec2:{request.operation}", request.parameters
    if request.operation in {"CreateTags", "DeleteTags"}:
        tags = request_tags(given, "Tag")
        return [_tagged(action, one, tags) for one in values(given, "ResourceId")]
    if request.operation not in _NAMED:
        return [Access(action)]
    found = [
        existing(action, kind, one)
        for name, kind in _NAMED[request.operation]
        for one in ([given[name]] if name in given else values(given, name))
    ]
    return found + _made(request)


def existing(action: str, kind: str, resource_id: str) -> Access:
    """Return the wish to do something to a resource that exists, with its tags.

    Args:
        action: What.
        kind: For example ``volume``.
        resource_id: Its id.
    """
    context: Context = {}
    tags = dict(backend("ec2").tags.get(resource_id, {}))
    for prefix in ("aws:resourcetag/", "ec2:resourcetag/"):
        context |= tag_context(prefix, tags)
    snapshot = backend("ec2").snapshots.get(resource_id) if kind == "snapshot" else None
    if snapshot is not None:
        context["ec2:parentvolume"] = arn("ec2", f"volume/{snapshot.volume_id}")
    return Access(action, arn_of(kind, resource_id), context)


def arn_of(kind: str, resource_id: str) -> str:
    """Return the ARN of a resource of EC2; snapshots and images have no account in theirs."""
    return arn("ec2", f"{kind}/{resource_id}", "" if kind in _WITHOUT_ACCOUNT else None)


def launches(template: Any, version: Any, subnet_ids: list[str]) -> list[Access]:
    """Return what somebody must be permitted who has Auto Scaling launch instances from a launch template.

    Args:
        template: moto's launch template.
        version: moto's version of it.
        subnet_ids: Where the instances will be.

    Source: Auto Scaling user guide, "Control Amazon EC2 launch template usage in Auto Scaling groups".
    """
    data, action = version.data, "ec2:RunInstances"
    of_template: Context = {"ec2:launchtemplate": arn_of("launch-template", template.id)}
    named = [("launch-template", template.id), ("image", data.get("ImageId", ""))]
    named += [("security-group", one) for one in data.get("SecurityGroupIds") or data.get("SecurityGroupId") or ()]
    named += [("subnet", one) for one in subnet_ids]
    found = [existing(action, kind, one) for kind, one in named if one]
    specifications = data.get("TagSpecifications") or data.get("TagSpecification") or ()
    tags = {one["ResourceType"]: _wanted(one) for one in specifications}
    made = {kind: tags.get(kind, {}) for kind in ("instance", "volume", "network-interface")}
    found += [Access(action, arn_of(kind, "*"), wanted) for kind, wanted in made.items()]
    found += [_tags_at_creation(kind, wanted, "RunInstances") for kind, wanted in made.items() if wanted]
    return [Access(one.action, one.resource, {**one.context, **of_template}) for one in found] + _passed(data)


def _passed(data: Mapping[str, Any]) -> list[Access]:
    """Return the wish to hand the role of a launch template's instance profile to EC2."""
    profile = data.get("IamInstanceProfile") or {}
    name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
    known = next((one for one in backend("iam").instance_profiles.values() if one.name == name), None)
    roles = [role.arn for role in known.roles] if known else [account_arn("iam", "role/*")] if name else []
    return [Access("iam:PassRole", role, {"iam:passedtoservice": "ec2.amazonaws.com"}) for role in roles]


def _made(request: ApiRequest) -> list[Access]:
    given, kinds = request.parameters, {}
    for name, kind in given.items():
        found = re.fullmatch(r"(TagSpecification\.\d+)\.ResourceType", name)
        if found:
            kinds[kind] = request_tags(given, f"{found[1]}.Tag")
    made = {_MADE[request.operation]} if request.operation in _MADE else set()
    action = f"ec2:{request.operation}"
    wishes = [Access(action, arn_of(kind, "*"), kinds.get(kind, {})) for kind in sorted(made | set(kinds))]
    return wishes + [_tags_at_creation(kind, tags, request.operation) for kind, tags in kinds.items() if tags]


def _tags_at_creation(kind: str, tags: Context, operation: str) -> Access:
    return Access("ec2:CreateTags", arn_of(kind, "*"), {**tags, "ec2:createaction": operation})


def _tagged(action: str, resource_id: str, tags: Context) -> Access:
    kind = _KINDS.get(resource_id.partition("-")[0], "*")
    wish = existing(action, kind, resource_id)
    return Access(action, wish.resource, {**wish.context, **tags})


def _wanted(specification: Mapping[str, Any]) -> Context:
    tags = {one["Key"]: one["Value"] for one in specification.get("Tags") or specification.get("Tag") or ()}
    return tag_context("aws:requesttag/", tags) | {"aws:tagkeys": tuple(sorted(tags))}
