"""The statements of the operator's IAM policy that Terraform needs, and those that only some parameters need. Pure."""

from __future__ import annotations

from runbook_lib.permissions_scope import EC2, ECS, GROUP, ROLES, Condition, Scope


def _equals(**tags: str) -> Condition:
    keys = {"made": "aws:RequestTag/migration", "existing": "aws:ResourceTag/migration"}
    return {"StringEquals": {keys[name]: value for name, value in tags.items()}}


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
_BALANCER = "arn:{partition}:elasticloadbalancing:{region}:{account_id}"
OPTIONAL = (
    Scope(
        "LookAtTheLoadBalancer",
        "The load balancer. Elastic Load Balancing knows no narrower resource for reading.",
        ("*",),
        ("elasticloadbalancing:Describe*",),
        needs=("load_balancer",),
    ),
    Scope(
        "ManageTheLoadBalancer",
        "The load balancer, its listener and target group: make them, tag them, change them.",
        (
            f"{_BALANCER}:loadbalancer/app/{{load_balancer}}/*",
            f"{_BALANCER}:listener/app/{{load_balancer}}/*",
            f"{_BALANCER}:targetgroup/{{load_balancer}}/*",
        ),
        tuple(f"elasticloadbalancing:{name}*" for name in ("AddTags", "Create", "Modify", "Set")),
        needs=("load_balancer",),
    ),
    Scope(
        "MakeTheBalancersRole",
        "The role of Elastic Load Balancing itself, where the account has not used it yet.",
        (f"{ROLES}:role/aws-service-role/elasticloadbalancing.amazonaws.com/*",),
        ("iam:CreateServiceLinkedRole",),
        {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        needs=("load_balancer",),
    ),
    Scope(
        "KeepTheLeaseAndRecords",
        "Lease and sealed records in `archive.bucket`.",
        ("arn:{partition}:s3:::{archive_bucket}/{archive_prefix}/*",),
        ("s3:GetObject", "s3:GetObjectRetention", "s3:PutObject", "s3:PutObjectRetention"),
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
