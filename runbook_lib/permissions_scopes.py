"""What the operator's IAM policy is divided into: each statement's purpose, resources and conditions.

Which actions a statement holds is generated from what the code was seen to call: `scripts/permissions`. Pure.
Source: Service authorization reference, which says for each action the resources and condition keys that it knows.
"""

from __future__ import annotations

from runbook_lib.permissions_scope import EC2, OF_RUN, RUN_TAG, SNAPSHOTS, Scope
from runbook_lib.permissions_terraform import OPTIONAL, TERRAFORM

LOOKING = (
    Scope(
        "LookAtServersAndVolumes",
        "Facts that decide each step. EC2 and Auto Scaling know no narrower resource for reading.",
        ("*",),
        ("ec2:Describe*", "autoscaling:Describe*"),
    ),
    Scope(
        "LookAtContainers",
        "Cluster, service, tasks and container instances; some of it has no narrower resource.",
        ("*",),
        ("ecs:Describe*", "ecs:List*"),
    ),
    Scope(
        "LookAtCommandsAndLogs",
        "Answers of the commands on hosts, log groups, and the event history for `runbook reconcile`.",
        ("*",),
        (
            "ssm:GetCommandInvocation",
            "ssm:ListCommandInvocations",
            "ssm:DescribeInstanceInformation",
            "logs:DescribeLogGroups",
            "cloudtrail:LookupEvents",
        ),
    ),
    Scope(
        "ReadTheMachineImage",
        "The id of the newest ECS-optimized machine image.",
        ("arn:{partition}:ssm:{region}::parameter/aws/service/ecs/optimized-ami/*",),
        ("ssm:GetParameter",),
    ),
    Scope(
        "LookAtSnapshots",
        "How much two snapshots of the volume differ, for the forecast of the next one.",
        (SNAPSHOTS,),
        ("ebs:ListChangedBlocks",),
        {"StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN}},
    ),
)
HOSTS = (
    Scope(
        "RunScriptsOnTheSource",
        "Scripts of this package on the compose host, by Run Command.",
        ("arn:{partition}:ssm:{region}::document/AWS-RunShellScript", f"{EC2}:instance/{{source_instance_id}}"),
        ("ssm:SendCommand",),
    ),
    Scope(
        "RunScriptsOnTheHosts",
        "Scripts of this package on container instances of this cluster, which its launch template tags.",
        (f"{EC2}:instance/*",),
        ("ssm:SendCommand",),
        {"StringEquals": {"ssm:resourceTag/runbook-cluster": "{cluster}"}},
    ),
    Scope(
        "LetGoOfTheSource",
        "Take the volume from the compose host, keep it when that host ends, give it back, stop the host.",
        (f"{EC2}:instance/{{source_instance_id}}",),
        ("ec2:AttachVolume", "ec2:DetachVolume", "ec2:ModifyInstanceAttribute", "ec2:StopInstances"),
    ),
    Scope(
        "MoveVolumesOfTheHosts",
        "Attach a volume to a container instance of this cluster, and detach it.",
        (f"{EC2}:instance/*",),
        ("ec2:AttachVolume", "ec2:DetachVolume"),
        {"StringEquals": {"aws:ResourceTag/runbook-cluster": "{cluster}"}},
    ),
)
VOLUMES = (
    Scope(
        "MoveAndCopyTheVolume",
        "The data volume: move it, copy it, let it grow, tag it. Nothing here can delete it.",
        (f"{EC2}:volume/{{volume_id}}",),
        tuple(
            f"ec2:{name}"
            for name in (
                "AttachVolume",
                "DetachVolume",
                "CreateSnapshot",
                "CopyVolumes",
                "ModifyVolume",
                "CreateTags",
                "DeleteTags",
            )
        ),
    ),
    Scope(
        "MakeCopies",
        "New snapshots and volumes, which must carry the id of a run of this migration.",
        (f"{EC2}:volume/*", SNAPSHOTS),
        ("ec2:CreateSnapshot", "ec2:CopyVolumes", "ec2:CreateVolume"),
        {"StringLike": {f"aws:RequestTag/{RUN_TAG}": OF_RUN}},
    ),
    Scope(
        "RestoreSnapshots",
        "Make a volume of a snapshot that a run of this migration made.",
        (SNAPSHOTS,),
        ("ec2:CreateVolume",),
        {"StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN}},
    ),
    Scope(
        "TagCopiesWhenMade",
        "Tags of a snapshot or volume in the call that makes it, and at no other time.",
        (f"{EC2}:volume/*", SNAPSHOTS),
        ("ec2:CreateTags",),
        {"StringEquals": {"ec2:CreateAction": ("CreateSnapshot", "CopyVolumes", "CreateVolume")}},
    ),
    Scope(
        "NeverDeleteTheVolume",
        "Nothing deletes the data volume, whatever tags it has and whatever another policy allows.",
        (f"{EC2}:volume/{{volume_id}}",),
        ("ec2:DeleteVolume",),
        denies=True,
    ),
    Scope(
        "DeleteClones",
        "Delete the clone of a rehearsal, by a tag that only a rehearsal sets.",
        (f"{EC2}:volume/*",),
        ("ec2:DeleteVolume",),
        {"StringEquals": {"aws:ResourceTag/runbook-rehearsal": "{cluster}"}},
    ),
    Scope(
        "TryBackups",
        "Move and delete the volume on which a backup is tried, by a tag that only a drill sets.",
        (f"{EC2}:volume/*",),
        ("ec2:AttachVolume", "ec2:DetachVolume", "ec2:DeleteVolume"),
        {"StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN}, "Null": {"aws:ResourceTag/runbook:drill": "false"}},
    ),
    Scope(
        "DeleteProofs",
        "Delete the volume that proved a snapshot of the volume, by a tag that only the proof sets.",
        (f"{EC2}:volume/*",),
        ("ec2:DeleteVolume",),
        {
            "StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN},
            "StringEquals": {"aws:ResourceTag/runbook:point": "proof"},
        },
    ),
    Scope(
        "MarkBackups",
        "Note on a backup that its drill passed.",
        (SNAPSHOTS,),
        ("ec2:CreateTags",),
        {"StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN}},
    ),
    Scope(
        "DeleteExpiredBackups",
        "Delete backups that `policy.backup` keeps no longer; snapshots without its tag stay.",
        (SNAPSHOTS,),
        ("ec2:DeleteSnapshot",),
        {
            "StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN},
            "Null": {"aws:ResourceTag/runbook:backup": "false"},
        },
    ),
    Scope(
        "ProveCopies",
        "Attach a rollback copy to a host that reads it, and detach it, by a tag that only copies have.",
        (f"{EC2}:volume/*",),
        ("ec2:AttachVolume", "ec2:DetachVolume"),
        {"StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN}, "Null": {"aws:ResourceTag/runbook:point": "false"}},
    ),
    Scope(
        "ExchangeVolumes",
        "Put a restored volume in the data volume's place, by a tag that only a restore sets.",
        (f"{EC2}:volume/*",),
        ("ec2:AttachVolume", "ec2:DetachVolume", "ec2:CreateTags", "ec2:DeleteTags"),
        {
            "StringLike": {f"aws:ResourceTag/{RUN_TAG}": OF_RUN},
            "Null": {"aws:ResourceTag/runbook:restored-from": "false"},
        },
    ),
)
SCOPES = (*LOOKING, *HOSTS, *VOLUMES, *TERRAFORM, *OPTIONAL)
"""In the order in which an action that was seen finds its statement: the first that covers the call has it."""
