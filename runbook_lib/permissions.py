"""The IAM policies of the people of one migration, for its parameters. Contacts nothing and writes nothing.

The statements are those of `permissions_scopes`; which actions stand in each is in `templates/permissions.json`, which
`scripts/permissions` generates from what the code was seen to call.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runbook_lib.parameters_notifications import references
from runbook_lib.permissions_actions import actions_by_statement
from runbook_lib.permissions_roles import ROLES
from runbook_lib.permissions_scope import Scope

if TYPE_CHECKING:
    from runbook_lib.parameters_model import Parameters

MANAGED_POLICY_LIMIT = 6144
"""Most characters of a managed policy without white space. Source: IAM user guide, "IAM and AWS STS quotas"."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
Values = Mapping[str, Sequence[str]]
"""Placeholder → its values; a resource with a placeholder is written once for each value."""


def policy_of(role: str, values: Values) -> dict[str, Any]:
    """Return the policy of one role.

    Args:
        role: One of `ROLES`.
        values: As `policy`.

    Returns:
        As `policy`.
    """
    return policy(values, actions_by_statement(role), ROLES[role])


def policy(values: Values, actions: Mapping[str, Sequence[str]], scopes: Sequence[Scope]) -> dict[str, Any]:
    """Return a policy.

    Args:
        values: What stands for the placeholders; a statement that needs one without a value is left out.
        actions: Sid → the actions of that statement.
        scopes: The statements, but for their actions.

    Returns:
        An identity-based policy, ready to be written as JSON.
    """
    wanted = [scope for scope in scopes if actions.get(scope.sid) and all(values.get(name) for name in scope.needs)]
    return {"Version": "2012-10-17", "Statement": [statement(scope, actions[scope.sid], values) for scope in wanted]}


def statement(scope: Scope, actions: Sequence[str], values: Values) -> dict[str, Any]:
    """Return one statement.

    Args:
        scope: Which.
        actions: What it allows.
        values: As `policy`.
    """
    resources = [filled for resource in scope.resources for filled in _filled(resource, values)]
    written = {
        "Sid": scope.sid,
        "Effect": "Deny" if scope.denies else "Allow",
        "Action": list(actions),
        "Resource": resources,
    }
    conditions = {
        operator: {_one(key, values): _condition_value(value, values) for key, value in keys.items()}
        for operator, keys in scope.condition.items()
    }
    return written | ({"Condition": conditions} if conditions else {})


def placeholders() -> Values:
    """Return every placeholder as its own value, for the policy that shows its shape."""
    scopes = [scope for of_role in ROLES.values() for scope in of_role]
    texts = [text for scope in scopes for text in (*scope.resources, json.dumps(scope.condition))]
    return {name: (f"{{{name}}}",) for text in texts for name in _PLACEHOLDER.findall(text)}


def values_of(parameters: Parameters, *, volume_key: str = "", signing_key: str = "") -> Values:
    """Return what stands for the placeholders.

    Args:
        parameters: Of the migration.
        volume_key: ARN of the customer key that encrypts the volume, "" for none.
        signing_key: ARN of the key that signs records, "" for none.
    """
    region = parameters.aws.region
    partition = next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")
    backend, archive = parameters.terraform.backend, parameters.archive
    state = {"state_bucket": (backend.bucket,), "state_key": (backend.key,)} if backend.type == "s3" else {}
    secrets = {*archive.secrets, *parameters.target.secret_references.values(), *references(parameters.notifications)}
    return {
        "partition": (partition,),
        "region": (region,),
        "account_id": (parameters.aws.account_id,),
        "name": (parameters.name,),
        "cluster": (parameters.target.cluster_name,),
        "service": (parameters.target.service_name,),
        "volume_id": (parameters.volume.volume_id,),
        "source_instance_id": (parameters.source.instance_id,),
        "vpc_id": (parameters.target.vpc_id,),
        "subnet_id": tuple(parameters.target.subnet_ids),
        "load_balancer": (parameters.target.service_name,) if parameters.target.load_balancer.enabled else (),
        "archive_bucket": (archive.bucket,) if archive.bucket else (),
        "archive_prefix": (archive.prefix.strip("/"),),
        "secret_parameter": _named(secrets, "ssm:"),
        "secret_arn": tuple(":".join(one.split(":")[:7]) for one in _named(secrets, "secretsmanager:")),
        "volume_key_arn": (volume_key,) if volume_key else (),
        "signing_key_arn": (signing_key,) if signing_key else (),
        **state,
    }


def parts(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a policy as managed policies that AWS takes, statements in their order.

    Args:
        document: The whole policy.
    """
    found: list[list[Any]] = [[]]
    for one in document["Statement"]:
        if found[-1] and size({**document, "Statement": [*found[-1], one]}) > MANAGED_POLICY_LIMIT:
            found.append([])
        found[-1].append(one)
    return [{**document, "Statement": statements} for statements in found]


def size(document: Mapping[str, Any]) -> int:
    """Return how many characters AWS counts for a policy: all but white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def _named(references_: set[str], kind: str) -> tuple[str, ...]:
    names = (one.removeprefix(kind).lstrip("/") for one in references_ if one.startswith(kind))
    return tuple(sorted(set(names)))


def _filled(text: str, values: Values) -> list[str]:
    names = list(dict.fromkeys(_PLACEHOLDER.findall(text)))
    chosen = itertools.product(*(values[name] for name in names))
    return [_one(text, {name: (value,) for name, value in zip(names, one, strict=True)}) for one in chosen]


def _one(text: str, values: Values) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]][0], text)


def _condition_value(value: str | tuple[str, ...], values: Values) -> str | list[str]:
    return _one(value, values) if isinstance(value, str) else [_one(one, values) for one in value]
