"""What a call of EC2 Auto Scaling wants to do to which resources. Reads moto.

Source: Service authorization reference, "Amazon EC2 Auto Scaling"; Auto Scaling user guide, "Control Amazon EC2 launch
template usage in Auto Scaling groups", "Service-linked roles".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbook_lib.sandbox import access_ec2
from runbook_lib.sandbox.access_names import Context, account_arn, arn, request_tags, tag_context
from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import ApiRequest

_LINKED_ROLE = "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
_TEMPLATE = (
    "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplate",
    "LaunchTemplate.LaunchTemplate",
)


def accesses(request: ApiRequest) -> list[Access]:
    """Return what a call wants."""
    action, given = f"autoscaling:{request.operation}", request.parameters
    if request.operation.startswith("Describe"):
        return [Access(action)]
    name = given.get("AutoScalingGroupName") or _group_with(given.get("InstanceId", ""))
    about = arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")
    tags = request_tags(given, "Tags.member")
    found = [Access(action, about, {**_own_tags(name), **tags})]
    if request.operation == "CreateAutoScalingGroup":
        service: Context = {"iam:awsservicename": "autoscaling.amazonaws.com"}
        found.append(Access("iam:CreateServiceLinkedRole", account_arn("iam", _LINKED_ROLE), service))
        found += [Access("autoscaling:CreateOrUpdateTags", about, tags)] if tags else []
    if request.operation in {"CreateAutoScalingGroup", "UpdateAutoScalingGroup"}:
        found += _launches(given, name)
    return found


def _launches(given: Mapping[str, str], name: str) -> list[Access]:
    ec2 = backend("ec2")
    for prefix in _TEMPLATE:
        template_id = given.get(f"{prefix}Id") or ec2.launch_template_name_to_ids.get(given.get(f"{prefix}Name", ""))
        template = ec2.launch_templates.get(template_id)
        if template is not None:
            version = given.get(f"{prefix.removesuffix('LaunchTemplate')}Version", "$Default")
            subnets = given.get("VPCZoneIdentifier") or getattr(_group(name), "vpc_zone_identifier", "") or ""
            return access_ec2.launches(template, _version(template, version), subnets.split(",") if subnets else [])
    return []


def _version(template: Any, version: str) -> Any:
    if version.isdigit():
        return template.get_version(int(version))
    return template.latest_version() if version == "$Latest" else template.default_version()


def _group(name: str) -> Any:
    return backend("autoscaling").autoscaling_groups.get(name)


def _group_with(instance_id: str) -> str:
    groups = backend("autoscaling").autoscaling_groups.items()
    return next((name for name, one in groups if any(i.instance.id == instance_id for i in one.instance_states)), "*")


def _own_tags(name: str) -> Context:
    given = getattr(_group(name), "tags", None) or ()
    tags = {one.get("Key", one.get("key")): one.get("Value", one.get("value")) or "" for one in given}
    return tag_context("aws:resourcetag/", tags) | tag_context("autoscaling:resourcetag/", tags)
