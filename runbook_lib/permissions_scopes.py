"""What the operator's IAM policy is divided into: each statement's purpose, resources and conditions.

Which actions a statement holds is generated from what the code was seen to call: `scripts/permissions`. Pure.
Source: Service authorization reference, which says for each action the resources and condition keys that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EC2 = "arn:{partition}:ec2:{region}:{account_id}"
ECS = "arn:{partition}:ecs:{region}:{account_id}"
ROLES = "arn:{partition}:iam::{account_id}"
GROUP = "arn:{partition}:autoscaling:{region}:{account_id}:autoScalingGroup:*:autoScalingGroupName/{cluster}"
SNAPSHOTS = "arn:{partition}:ec2:{region}::snapshot/*"
BALANCING = "arn:{partition}:elasticloadbalancing:{region}:{account_id}"
RUN_TAG = "runbook:run-id"
OF_RUN = "*-{name}-????"
"""How the run ids of this migration look: the time, its name, four hexadecimal digits."""
Condition = Mapping[str, Mapping[str, str | tuple[str, ...]]]


@dataclass(frozen=True)
class Scope:
    """One statement of the policy, but for its actions.

    Args:
        sid: Its name.
        purpose: What it is for, one sentence.
        resources: ARNs with placeholders in braces; one with a list is written once for each of its values.
        admits: Patterns of the actions that may stand in it.
        condition: As IAM writes it, with placeholders.
        needs: Placeholders without which there is no such statement, since nothing of the kind is used.
        denies: Whether it denies what it names, whatever other statements and policies allow.
    """

    sid: str
    purpose: str
    resources: tuple[str, ...]
    admits: tuple[str, ...]
    condition: Condition = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    denies: bool = False


def _equals(**tags: str) -> Condition:
    keys = {"made": "aws:RequestTag/migration", "existing": "aws:ResourceTag/migration"}
    return {"StringEquals": {keys[name]: value for name, value in tags.items()}}


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
TERRAFORM = (
    Scope(
        "MakeTheNetwork",
        "The security group of the container instances, in this VPC.",
        (f"{EC2}:vpc/{{vpc_id}}",),
        ("ec2:CreateSecurityGroup",),
    ),
    Scope(
        "MakeTaggedObjects",
        "Security group, its rules and launch template, tagged with this migration when they are made.",
        (f"{EC2}:security-group/*", f"{EC2}:security-group-rule/*", f"{EC2}:launch-template/*"),
        ("ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroup*", "ec2:CreateLaunchTemplate", "ec2:CreateTags"),
        _equals(made="{name}"),
    ),
    Scope(
        "ChangeTaggedObjects",
        "Rules of that security group, versions of that launch template.",
        (f"{EC2}:security-group/*", f"{EC2}:launch-template/*"),
        (
            "ec2:AuthorizeSecurityGroup*",
            "ec2:RevokeSecurityGroup*",
            "ec2:CreateLaunchTemplateVersion",
            "ec2:ModifyLaunchTemplate",
        ),
        _equals(existing="{name}"),
    ),
    Scope(
        "ManageTheGroup",
        "The Auto Scaling group of the container instances: make it, change it, replace its hosts.",
        (GROUP,),
        ("autoscaling:*",),
    ),
    Scope(
        "LaunchTheHosts",
        "What Auto Scaling asks of whoever names a launch template: to launch from it, and from nothing else.",
        (
            f"{EC2}:instance/*",
            f"{EC2}:volume/*",
            f"{EC2}:network-interface/*",
            f"{EC2}:security-group/*",
            f"{EC2}:launch-template/*",
            f"{EC2}:subnet/{{subnet_id}}",
            "arn:{partition}:ec2:{region}::image/*",
        ),
        ("ec2:RunInstances",),
        {"ArnLike": {"ec2:LaunchTemplate": f"{EC2}:launch-template/*"}},
    ),
    Scope(
        "TagTheHostsWhenLaunched",
        "The cluster's tag of its hosts and of their volumes, in the launch and at no other time.",
        (f"{EC2}:instance/*", f"{EC2}:volume/*"),
        ("ec2:CreateTags",),
        {"StringEquals": {"ec2:CreateAction": "RunInstances", "aws:RequestTag/runbook-cluster": "{cluster}"}},
    ),
    Scope(
        "ManageTheCluster",
        "Cluster, capacity provider, service, its tasks and hosts.",
        (
            f"{ECS}:cluster/{{cluster}}",
            f"{ECS}:capacity-provider/{{cluster}}",
            f"{ECS}:service/{{cluster}}/{{service}}",
            f"{ECS}:task/{{cluster}}/*",
            f"{ECS}:container-instance/{{cluster}}/*",
        ),
        ("ecs:*",),
    ),
    Scope(
        "DefineTasks",
        "Task definitions of the service and of its rehearsals and drills.",
        (f"{ECS}:task-definition/{{service}}:*", f"{ECS}:task-definition/{{service}}-*:*"),
        ("ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:TagResource"),
    ),
    Scope(
        "RetireTaskDefinitions",
        "Deregister what a rehearsal or drill registered; ECS knows no narrower resource for it.",
        ("*",),
        ("ecs:DeregisterTaskDefinition",),
    ),
    Scope(
        "ManageTheRoles",
        "The hosts' role and the execution role of the tasks, by name, with the policies that Terraform writes.",
        (
            f"{ROLES}:role/{{cluster}}-instance",
            f"{ROLES}:role/{{service}}-execution",
            f"{ROLES}:instance-profile/{{cluster}}-instance",
        ),
        (
            "iam:Get*",
            "iam:List*",
            "iam:CreateRole",
            "iam:TagRole",
            "iam:PutRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:*InstanceProfile",
        ),
    ),
    Scope(
        "AttachRunCommand",
        "The one AWS managed policy that the hosts' role gets, and no other.",
        (f"{ROLES}:role/{{cluster}}-instance",),
        ("iam:AttachRolePolicy",),
        {"ArnEquals": {"iam:PolicyARN": "arn:{partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"}},
    ),
    Scope(
        "PassTheHostsRole",
        "Hand the hosts' role to EC2, and to nothing else.",
        (f"{ROLES}:role/{{cluster}}-instance",),
        ("iam:PassRole",),
        {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
    Scope(
        "PassTheTasksRole",
        "Hand the execution role to ECS tasks, and to nothing else.",
        (f"{ROLES}:role/{{service}}-execution",),
        ("iam:PassRole",),
        {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    ),
    Scope(
        "MakeLinkedRoles",
        "The roles of ECS and Auto Scaling themselves, where the account has not used them yet.",
        (f"{ROLES}:role/aws-service-role/*",),
        ("iam:CreateServiceLinkedRole",),
        {"StringEquals": {"iam:AWSServiceName": ("autoscaling.amazonaws.com", "ecs.amazonaws.com")}},
    ),
    Scope(
        "ManageTheLogGroup",
        "The log group of the containers.",
        ("arn:{partition}:logs:{region}:{account_id}:log-group:/ecs/{cluster}*",),
        ("logs:*",),
    ),
)
OPTIONAL = (
    Scope(
        "KeepTheLeaseAndRecords",
        "Lease and sealed records in `archive.bucket`.",
        ("arn:{partition}:s3:::{archive_bucket}/{archive_prefix}/*",),
        ("s3:GetObject", "s3:PutObject", "s3:PutObjectRetention"),
        needs=("archive_bucket",),
    ),
    Scope(
        "LookAtTheArchive",
        "Whether that bucket keeps versions and locks objects, and which records it has.",
        ("arn:{partition}:s3:::{archive_bucket}",),
        ("s3:ListBucket", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration"),
        needs=("archive_bucket",),
    ),
    Scope(
        "FindTheState",
        "Find Terraform's state in its bucket.",
        ("arn:{partition}:s3:::{state_bucket}",),
        ("s3:ListBucket",),
        needs=("state_bucket",),
    ),
    Scope(
        "KeepTheState",
        "Read and write Terraform's state and its lock file.",
        ("arn:{partition}:s3:::{state_bucket}/{state_key}", "arn:{partition}:s3:::{state_bucket}/{state_key}.tflock"),
        ("s3:GetObject", "s3:PutObject"),
        needs=("state_bucket",),
    ),
    Scope(
        "UnlockTheState",
        "Remove the lock file, and never the state.",
        ("arn:{partition}:s3:::{state_bucket}/{state_key}.tflock",),
        ("s3:DeleteObject",),
        needs=("state_bucket",),
    ),
    Scope(
        "ReadSecretParameters",
        "Secrets that the parameters refer to, so that they stay out of the record.",
        ("arn:{partition}:ssm:{region}:{account_id}:parameter/{secret_parameter}",),
        ("ssm:GetParameter",),
        needs=("secret_parameter",),
    ),
    Scope(
        "ReadSecrets",
        "Secrets of Secrets Manager that the parameters refer to, so that they stay out of the record.",
        ("{secret_arn}",),
        ("secretsmanager:GetSecretValue",),
        needs=("secret_arn",),
    ),
    Scope(
        "SignRecords",
        "Sign records and approvals with a KMS key: `runbook permissions --signing-key`.",
        ("{signing_key_arn}",),
        ("kms:Sign", "kms:GetPublicKey"),
        needs=("signing_key_arn",),
    ),
    Scope(
        "UseTheVolumesKey",
        "Copy and restore a volume that a customer key encrypts: `runbook permissions --volume-key`.",
        ("{volume_key_arn}",),
        ("kms:DescribeKey", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"),
        needs=("volume_key_arn",),
    ),
    Scope(
        "GrantTheKeyToEbs",
        "Let EBS use that key for a volume, and nothing else.",
        ("{volume_key_arn}",),
        ("kms:CreateGrant",),
        {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        needs=("volume_key_arn",),
    ),
)
SCOPES = (*LOOKING, *HOSTS, *VOLUMES, *TERRAFORM, *OPTIONAL)
"""In the order in which an action that was seen finds its statement: the first that covers the call has it."""
