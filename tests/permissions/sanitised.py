"""What was asked of a policy, without the ids and times of one sandbox; equal askings are one."""

from __future__ import annotations

import json
import re

from runbook_lib.permissions_roles import ROLES
from runbook_lib.sandbox.policies import canonical

VALUES = {
    "partition": ("aws",),
    "region": ("us-east-1",),
    "account_id": ("012345678901",),
    "name": ("visitors",),
    "cluster": ("visitors-cluster",),
    "service": ("visitors-web",),
    "volume_id": ("vol-data",),
    "source_instance_id": ("i-source",),
    "vpc_id": ("vpc-own",),
    "subnet_id": ("subnet-own",),
    "load_balancer": ("visitors-web",),
    "archive_bucket": ("visitors-archive",),
    "archive_prefix": ("runbook",),
    "state_bucket": ("visitors-state",),
    "state_key": ("visitors.tfstate",),
    "secret_parameter": ("visitors/token",),
    "secret_arn": ("arn:aws:secretsmanager:us-east-1:012345678901:secret:visitors/password-000000",),
    "signing_key_arn": ("arn:aws:kms:us-east-1:012345678901:key/00000000-0000-0000-0000-000000000000",),
}
"""The placeholders of the policy, as they are in what is recorded."""
_OTHER = (
    (r"((?:loadbalancer/app|listener/app|targetgroup)/[\w-]+)/[0-9a-f/]+?(/\*)?$", r"\1/0\2"),
    (r"\d{8}T\d{6}Z(-[\w-]+)-[0-9a-f]{4}", r"20000101T000000Z\1-0000"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(\+00:00|Z)", "2000-01-01T00:00:00Z"),
    (r"\b(vol|snap|i|lt|sg|sgr|ami|subnet|vpc)-[0-9a-f]{8,17}\b", r"\1-other"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "00000000-0000-0000-0000-000000000000"),
    (r"(/runs/20000101T000000Z[^/]+)/.+", r"\1/file"),
    (r"(/leases/vol-data)-[0-9a-f]{8}\.", r"\1."),
    (r"(:secret:visitors/password)-\w{6}", r"\1-000000"),
    (r"/[0-9a-f]{32}\b", "/" + 32 * "0"),
    (r"-(rehearsal|drill)-[0-9a-f]+", r"-\1-0000"),
    (r":\d+$", ":1"),
)
WEIGHTY = {
    canonical(key) for scopes in ROLES.values() for scope in scopes for keys in scope.condition.values() for key in keys
}
"""The condition keys that our policies use; what else a request has differs from run to run and decides nothing."""


def sanitised(asked, traveller, by):
    """Return what was asked, the same for every sandbox.

    Args:
        asked: As `GET /_sandbox/iam` has it.
        traveller: Who asked, with the parameters.
        by: Part and role of that.
    """
    migration = traveller.migration
    own = {
        migration["volume"]["volume_id"]: "vol-data",
        migration["source"]["instance_id"]: "i-source",
        migration["target"]["vpc_id"]: "vpc-own",
        **dict.fromkeys(migration["target"]["subnet_ids"], "subnet-own"),
    }
    found = {json.dumps(_of(one, own) | {"by": by}, sort_keys=True) for one in asked}
    return [json.loads(one) for one in sorted(found)]


def _of(fact, own):
    context = {key: value for key, value in fact["context"].items() if key in WEIGHTY}
    kept = {key: fact[key] for key in ("action", "resource", "decision")} | {"context": context}
    text = json.dumps(kept, sort_keys=True)
    for value, name in own.items():
        text = text.replace(value, name)
    fact = json.loads(text)
    fact["context"] = {key: _plain(value) for key, value in sorted(fact["context"].items())}
    return fact | {"resource": _plain(fact["resource"])}


def _plain(value):
    for pattern, replacement in _OTHER:
        value = re.sub(pattern, replacement, value)
    return value
