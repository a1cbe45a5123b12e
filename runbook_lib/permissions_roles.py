"""Who needs a policy, and its statements: who acts, who asks, who approves, who audits. Pure.

Which actions a statement holds is generated from what each was seen to call: `scripts/permissions`.
"""

from __future__ import annotations

from collections.abc import Mapping

from runbook_lib.permissions_scope import ROLES as OWN_ROLES
from runbook_lib.permissions_scope import Scope
from runbook_lib.permissions_scopes import HOSTS, LOOKING, SCOPES
from runbook_lib.permissions_terraform import OPTIONAL

_RECORDS = "arn:{partition}:s3:::{archive_bucket}/{archive_prefix}"
_SHARED = {scope.sid: scope for scope in OPTIONAL}
REQUESTER = (
    *LOOKING,
    *(scope for scope in HOSTS if scope.sid.startswith("RunScripts")),
    Scope(
        "LookAtTheRoles",
        "What Terraform reads of the roles that it made, to plan.",
        (
            f"{OWN_ROLES}:role/{{cluster}}-instance",
            f"{OWN_ROLES}:role/{{service}}-execution",
            f"{OWN_ROLES}:instance-profile/{{cluster}}-instance",
        ),
        ("iam:Get*", "iam:List*"),
    ),
    Scope(
        "LookAtTheLogGroup",
        "What Terraform reads of the log group that it made, to plan.",
        ("arn:{partition}:logs:{region}:{account_id}:log-group:/ecs/{cluster}*",),
        ("logs:List*",),
    ),
    _SHARED["LookAtTheLoadBalancer"],
    Scope(
        "HoldTheLease",
        "Say in `archive.bucket` who has the volume, while a run with `--execute` comes to the approval it waits for.",
        (f"{_RECORDS}/leases/*",),
        ("s3:GetObject", "s3:PutObject"),
        needs=("archive_bucket",),
    ),
    Scope(
        "KeepRecords",
        "Sealed records of what was planned.",
        (f"{_RECORDS}/runs/*",),
        ("s3:GetObject", "s3:GetObjectRetention", "s3:PutObject", "s3:PutObjectRetention"),
        needs=("archive_bucket",),
    ),
    _SHARED["LookAtTheArchive"],
    _SHARED["FindTheState"],
    Scope(
        "ReadTheState",
        "Read Terraform's state, to plan. Nothing here writes it.",
        ("arn:{partition}:s3:::{state_bucket}/{state_key}",),
        ("s3:GetObject",),
        needs=("state_bucket",),
    ),
    Scope(
        "LockTheState",
        "Lock the state while a plan is made, so that nobody applies meanwhile, and unlock it.",
        ("arn:{partition}:s3:::{state_bucket}/{state_key}.tflock",),
        ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        needs=("state_bucket",),
    ),
    _SHARED["ReadSecretParameters"],
    _SHARED["ReadSecrets"],
)
APPROVER = (
    Scope(
        "SayWhoYouAre",
        "Who approves or reviews is who AWS says it is. AWS lets everybody ask that; here so that there is a policy.",
        ("*",),
        ("sts:GetCallerIdentity",),
    ),
    _SHARED["SignRecords"],
)
AUDITOR = (
    Scope(
        "CompareWithCloudTrail",
        "The event history, for `runbook reconcile`. CloudTrail knows no narrower resource for it.",
        ("*",),
        ("cloudtrail:LookupEvents",),
    ),
    Scope(
        "ReadRecords",
        "Sealed records in `archive.bucket`, and until when they are locked, for `runbook verify s3://…`.",
        (f"{_RECORDS}/runs/*",),
        ("s3:GetObject", "s3:GetObjectRetention"),
        needs=("archive_bucket",),
    ),
    Scope(
        "FindRecords",
        "The names of the files of a record.",
        ("arn:{partition}:s3:::{archive_bucket}",),
        ("s3:ListBucket",),
        {"StringLike": {"s3:prefix": "{archive_prefix}/runs/*"}},
        needs=("archive_bucket",),
    ),
    Scope(
        "ReadTheSigningKey",
        "The public half of the key that signs, to be kept where no record is: `runbook verify --public-key`.",
        ("{signing_key_arn}",),
        ("kms:GetPublicKey",),
        needs=("signing_key_arn",),
    ),
)
ROLES: Mapping[str, tuple[Scope, ...]] = {
    "operator": SCOPES,
    "requester": REQUESTER,
    "approver": APPROVER,
    "auditor": AUDITOR,
}
"""Role → its statements, in the order in which an action that was seen finds its own: the first that covers it."""
PURPOSES: Mapping[str, str] = {
    "operator": "runs notebooks with `--execute`: the migration, the way back, day two",
    "requester": "plans, and asks for approvals; changes nothing but lease and lock, which say who is at it, and "
    "the record",
    "approver": "looks at what a run waits for, says yes or no, reviews, signs",
    "auditor": "reads records, and compares them with CloudTrail; `list`, `diff` and `lint` contact nobody",
}
"""Role → what it does."""
