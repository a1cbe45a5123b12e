"""What a role may do: its policies evaluated as IAM does, for hosts that act with their instance role.

moto checks actions of API calls only; the sandbox's hosts (volume plugin, boot scripts, agent) ask here.
Source: IAM user guide, "Policy evaluation logic", "IAM JSON policy elements"; EC2 service authorization reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse

from runbook_lib.sandbox import policies
from runbook_lib.sandbox.backends import REGION, backend, operations

_TAG_KEYS = ("aws:resourcetag/", "ec2:resourcetag/")


def apply() -> None:
    """Put SimulatePrincipalPolicy into moto, which lacks it.

    Changes:
        One method of moto's IAM response class.
    """
    operations(IamResponse, simulate_principal_policy=_simulate)


def is_permitted(role_name: str, action: str, resource_arn: str) -> bool:
    """Say whether a role may do something.

    Args:
        role_name: The role; "" or an unknown one may do nothing.
        action: For example ``ec2:AttachVolume``.
        resource_arn: What it is done to; ``*`` for calls without a resource.
    """
    return decide(role_name, action, resource_arn) == policies.ALLOWED


def decide(role_name: str, action: str, resource_arn: str) -> str:
    """Return ``allowed``, ``explicitDeny`` or ``implicitDeny`` for a role, an action and a resource."""
    role = find_role(role_name)
    if role is None:
        return policies.IMPLICIT_DENY
    return policies.decide(statements_of(role), policies.Access(action, resource_arn, _context(resource_arn)))


def find_role(name: str) -> Any:
    """Return moto's role of a name, or None."""
    return next((one for one in backend("iam").roles.values() if one.name == name), None)


def statements_of(role: Any) -> Iterable[Mapping[str, Any]]:
    """Yield the statements of a role's inline and attached policies."""
    attached = [
        version.document
        for policy in role.managed_policies.values()
        for version in policy.versions
        if version.version_id == policy.default_version_id
    ]
    texts = [*role.policies.values(), *attached]
    for text in texts:
        document = (
            text if isinstance(text, dict) else json.loads(text if text.lstrip().startswith("{") else unquote(text))
        )
        yield from policies.listed(document.get("Statement", []))


def _context(resource_arn: str) -> dict[str, str]:
    """Return the condition keys of a request, with the tags of an EC2 resource under both of their names."""
    context = {"aws:requestedregion": REGION, "ec2:region": REGION}
    kind_and_id = resource_arn.rsplit(":", 1)[-1]
    head, _, place = resource_arn.partition(":container-instance/")
    if place:
        context["ecs:cluster"] = f"{head}:cluster/{place.split('/', 1)[0]}"
    if ":ec2:" in resource_arn and "/" in kind_and_id:
        for tag in backend("ec2").describe_tags(filters={"resource-id": [kind_and_id.split("/", 1)[1]]}):
            for prefix in _TAG_KEYS:
                context[prefix + tag["key"]] = tag["value"]
    return context


def _simulate(response: Any) -> Any:
    arn = response._get_param("PolicySourceArn")
    name = arn.rsplit("/", 1)[-1]
    if find_role(name) is None:
        raise NotFoundException(f"The role with name {name} cannot be found.")
    results = []
    for action in response._get_param("ActionNames", []):
        for resource in response._get_param("ResourceArns", []) or ["*"]:
            decision = decide(name, action, resource)
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": decision,
                    "MatchedStatements": [],
                    "MissingContextValues": [],
                }
            )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})
