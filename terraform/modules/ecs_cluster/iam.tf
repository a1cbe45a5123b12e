################################################################################
# Instance role
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/instance_IAM_role.html
################################################################################

resource "aws_iam_role" "instance" {
  name        = "${var.name}-instance"
  description = "Container instances of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Ec2"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_instance_profile" "instance" {
  name = "${var.name}-instance"
  role = aws_iam_role.instance.name
}

# Run Command is the only way to these hosts. What it grants beyond that is denied below.
resource "aws_iam_role_policy_attachment" "ssm" {
  role       = aws_iam_role.instance.name
  policy_arn = "${local.arn_prefix}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

# Instead of AmazonEC2ContainerServiceforEC2Role, which lets a host join and create any cluster. Without ECS_CLUSTER
# the agent tries the cluster "default"; this policy refuses that too.
resource "aws_iam_role_policy" "agent" {
  name = "ecs-agent"
  role = aws_iam_role.instance.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "FindTheControlPlane"
        Effect   = "Allow"
        Action   = ["ecs:DiscoverPollEndpoint"]
        Resource = "*"
      },
      {
        Sid    = "JoinThisCluster"
        Effect = "Allow"
        Action = [
          "ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance",
          "ecs:SubmitTaskStateChange", "ecs:SubmitContainerStateChange", "ecs:SubmitAttachmentStateChanges",
        ]
        Resource = local.cluster_arn
      },
      {
        Sid       = "ActInThisCluster"
        Effect    = "Allow"
        Action    = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState", "ecs:PutSystemLogEvents"]
        Resource  = "${local.arn_prefix}:ecs:${var.region}:${var.account_id}:container-instance/*"
        Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } }
      },
      {
        Sid       = "TagOnRegistration"
        Effect    = "Allow"
        Action    = ["ecs:TagResource"]
        Resource  = "${local.arn_prefix}:ecs:${var.region}:${var.account_id}:container-instance/${var.name}/*"
        Condition = { StringEquals = { "ecs:CreateAction" = "RegisterContainerInstance" } }
      },
      {
        Sid      = "LogInToTheRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid      = "PullImages"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        Resource = "${local.arn_prefix}:ecr:${var.region}:*:repository/*"
      },
    ], [for statement in local.own_place_statements : statement if local.has_host_mount_hosts])
  })
}

################################################################################
# The data volume: this one and a rehearsal's clone of it, on instances of this cluster, and nothing that makes, removes
# or renames a volume
# https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
################################################################################

resource "aws_iam_role_policy" "volume" {
  name = "data-volume"
  role = aws_iam_role.instance.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        # DescribeVolumes knows no resource-level permission.
        Sid      = "FindTheVolume"
        Effect   = "Allow"
        Action   = ["ec2:DescribeVolumes"]
        Resource = "*"
      },
      {
        Sid      = "MoveThisVolume"
        Effect   = "Allow"
        Action   = ["ec2:AttachVolume", "ec2:DetachVolume"]
        Resource = local.volume_arn
      },
      {
        # A clone that a rehearsal mounts and the operator deletes again. The role cannot set the tag; see below.
        Sid       = "MoveARehearsalsClone"
        Effect    = "Allow"
        Action    = ["ec2:AttachVolume", "ec2:DetachVolume"]
        Resource  = local.volume_arns
        Condition = { StringEquals = { "aws:ResourceTag/${local.rehearsal_tag}" = var.name } }
      },
      {
        Sid       = "BetweenInstancesOfThisCluster"
        Effect    = "Allow"
        Action    = ["ec2:AttachVolume", "ec2:DetachVolume"]
        Resource  = local.instance_arns
        Condition = { StringEquals = { "aws:ResourceTag/${local.cluster_tag}" = var.name } }
      },
      ], [
      for arns in [local.kept_volume_arns] : {
        # The one that a restore takes out of service: its host must be able to let it go.
        Sid      = "MoveTheFormerVolume"
        Effect   = "Allow"
        Action   = ["ec2:AttachVolume", "ec2:DetachVolume"]
        Resource = arns
      } if length(arns) > 0
    ])
  })
}

# Only for a volume that a customer key encrypts: the attaching principal must let EBS use the key.
resource "aws_iam_role_policy" "volume_key" {
  count = var.volume_kms_key_arn == null ? 0 : 1

  name = "data-volume-key"
  role = aws_iam_role.instance.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "UseTheVolumesKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource = var.volume_kms_key_arn
      },
      {
        Sid       = "GrantTheKeyToEbs"
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = var.volume_kms_key_arn
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
    ]
  })
}

# Denied and not merely absent: a policy that somebody attaches later cannot give it back. The plugin creates an empty
# volume when it does not find the name, and deletes the volume on `docker volume rm`; here both end as errors.
resource "aws_iam_role_policy" "denied" {
  name = "denied"
  role = aws_iam_role.instance.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "NothingThatMakesRemovesOrRenamesVolumes"
        Effect = "Deny"
        Action = [
          "ec2:CreateVolume", "ec2:CopyVolumes", "ec2:DeleteVolume", "ec2:ModifyVolume", "ec2:ModifyVolumeAttribute",
          "ec2:CreateSnapshot", "ec2:CreateSnapshots", "ec2:CopySnapshot", "ec2:DeleteSnapshot", "ec2:ModifySnapshotAttribute",
          "ec2:CreateTags", "ec2:DeleteTags", "ec2:ModifyInstanceAttribute",
        ]
        Resource = "*"
      },
      {
        # Without the tag the condition holds as well: an untagged volume is refused.
        Sid         = "NoOtherVolume"
        Effect      = "Deny"
        Action      = ["ec2:AttachVolume", "ec2:DetachVolume"]
        NotResource = concat([local.volume_arn], local.kept_volume_arns, [local.instance_arns])
        Condition   = { StringNotEquals = { "aws:ResourceTag/${local.rehearsal_tag}" = var.name } }
      },
      {
        Sid       = "NoOtherInstance"
        Effect    = "Deny"
        Action    = ["ec2:AttachVolume", "ec2:DetachVolume"]
        Resource  = local.instance_arns
        Condition = { StringNotEquals = { "aws:ResourceTag/${local.cluster_tag}" = var.name } }
      },
      {
        # AmazonSSMManagedInstanceCore would let every process on the host read every parameter of the account.
        Sid      = "NoParameters"
        Effect   = "Deny"
        Action   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
        Resource = "*"
      },
      {
        Sid      = "NoOtherCluster"
        Effect   = "Deny"
        Action   = ["ecs:CreateCluster"]
        Resource = "*"
      },
    ]
  })
}
