data "aws_partition" "current" {}

data "aws_subnet" "this" {
  for_each = toset(var.subnet_ids)

  id = each.value
}

locals {
  arn_prefix         = "arn:${data.aws_partition.current.partition}"
  availability_zones = distinct([for id in var.subnet_ids : data.aws_subnet.this[id].availability_zone])
  availability_zone  = local.availability_zones[0]
  cluster_arn        = "${local.arn_prefix}:ecs:${var.region}:${var.account_id}:cluster/${var.name}"
  volume_arn         = "${local.arn_prefix}:ec2:${var.region}:${var.account_id}:volume/${var.volume_id}"
  kept_volume_arns   = [for id in var.kept_volume_ids : "${local.arn_prefix}:ec2:${var.region}:${var.account_id}:volume/${id}"]
  volume_arns        = "${local.arn_prefix}:ec2:${var.region}:${var.account_id}:volume/*"
  instance_arns      = "${local.arn_prefix}:ec2:${var.region}:${var.account_id}:instance/*"

  # The tag by which IAM knows the instances of this cluster.
  cluster_tag = "runbook-cluster"

  # The tag by which IAM knows a clone that 25_rehearse_on_clone made; only whoever may tag volumes can set it.
  rehearsal_tag = "runbook-rehearsal"

  ecs_config = merge(var.ecs_agent_settings, {
    ECS_CLUSTER = var.name
    # The image was pulled before the cutover: the outage never waits for a registry.
    ECS_IMAGE_PULL_BEHAVIOR       = lookup(var.ecs_agent_settings, "ECS_IMAGE_PULL_BEHAVIOR", "prefer-cached")
    ECS_CONTAINER_STOP_TIMEOUT    = "${var.container_stop_timeout_s}s"
    ECS_AVAILABLE_LOGGING_DRIVERS = lookup(var.ecs_agent_settings, "ECS_AVAILABLE_LOGGING_DRIVERS", jsonencode(["json-file", "awslogs"]))
    # Logs are written with the execution role, so the instance role needs no logs permission.
    ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE = "true"
    # With true an existing volume, which has no Docker options, mismatches and the task fails.
    ECS_SHARED_VOLUME_MATCH_FULL_CONFIG = "false"
    ECS_INSTANCE_ATTRIBUTES = jsonencode(merge(
      { "runbook.storage" = var.storage_boot.driver, "runbook.volume" = var.volume_id },
      # Only a host whose boot script has verified its mount point reads this file, so the attribute is a capability.
      local.is_host_mount ? { "runbook.host-mount" = var.volume_id } : {},
    ))
  })

  is_host_mount = var.storage_boot.driver == "host_mount"

  # Hosts of the former driver need their permissions until they are gone: the unit tells ECS before it unmounts.
  has_host_mount_hosts = local.is_host_mount || var.keeps_host_mount_hosts

  # A host asks for its own place in the cluster, and says there whether it has the volume mounted. ECS knows no
  # permission for one's own container instance only. In the agent's policy, so that a change of the storage driver
  # alters a policy and deletes none.
  own_place_statements = [
    {
      Sid      = "FindThisHost"
      Effect   = "Allow"
      Action   = ["ecs:ListContainerInstances"]
      Resource = local.cluster_arn
    },
    {
      Sid       = "SayWhetherTheVolumeIsMounted"
      Effect    = "Allow"
      Action    = ["ecs:DescribeContainerInstances", "ecs:PutAttributes", "ecs:DeleteAttributes"]
      Resource  = "${local.arn_prefix}:ecs:${var.region}:${var.account_id}:container-instance/*"
      Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } }
    },
  ]

  boot_configuration = jsonencode({
    ecs_config = local.ecs_config
    storage    = { for key, value in var.storage_boot : key => value if value != null }
    retries    = { attempts = 6, delay_s = 10, install_timeout_s = 300, enable_timeout_s = 120 }
  })

  user_data = local.is_host_mount ? templatefile("${path.module}/templates/user_data_host_mount.yaml.tftpl", {
    cluster_name       = var.name
    boot_configuration = local.boot_configuration
    scripts            = { for name in ["runbook_boot.py", "runbook_host_mount.py", "runbook_volume_host.py"] : name => file("${path.module}/files/${name}") }
    }) : templatefile("${path.module}/templates/user_data.yaml.tftpl", {
    cluster_name       = var.name
    boot_configuration = local.boot_configuration
    boot_script        = file("${path.module}/files/runbook_boot.py")
  })
}

################################################################################
# Cluster and logs
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/clusters.html
################################################################################

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = var.container_insights
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
}

################################################################################
# Network
# Ingress belongs to the service, which knows its port and who may reach it. No SSH: hosts are reached by SSM.
################################################################################

resource "aws_security_group" "instance" {
  name        = "${var.name}-instance"
  description = "Container instances of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-instance" }

  lifecycle {
    precondition {
      condition     = alltrue([for subnet in data.aws_subnet.this : subnet.vpc_id == var.vpc_id])
      error_message = "Every subnet of subnet_ids must belong to ${var.vpc_id}."
    }
  }
}

resource "aws_vpc_security_group_egress_rule" "instance" {
  security_group_id = aws_security_group.instance.id
  description       = "AWS APIs, image registry and plugin registry"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

################################################################################
# Launch template
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/launch_container_instance.html
################################################################################

resource "aws_launch_template" "this" {
  name                   = var.name
  description            = "Container instances of ${var.name}"
  image_id               = var.ami_id
  instance_type          = var.instance_types[0]
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.instance.id]

  user_data = base64encode(local.user_data)

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = var.http_tokens
    # The plugin uses the host's network and needs one hop; containers use their task role, never the host's.
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_volume_size_gib
      encrypted             = true
      kms_key_id            = var.root_volume_kms_key_arn
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${var.name}-instance", (local.cluster_tag) = var.name }
  }

  # Never a Name here: the plugin finds the data volume by that tag, among root volumes too.
  tag_specifications {
    resource_type = "volume"
    tags          = { (local.cluster_tag) = var.name }
  }

  # The instances need these permissions from their first second on.
  depends_on = [aws_iam_role_policy.agent, aws_iam_role_policy.volume, aws_iam_role_policy.denied, aws_iam_role_policy_attachment.ssm]
}

################################################################################
# Auto Scaling group
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/instance-maintenance-policy.html
# No instance_refresh block: a refresh moves the only task, so the library starts it, at a time somebody chose.
################################################################################

resource "aws_autoscaling_group" "this" {
  name                      = var.name
  min_size                  = var.min_size
  max_size                  = var.max_size
  desired_capacity          = var.min_size
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  health_check_grace_period = 60
  default_instance_warmup   = var.instance_warmup_s

  # Rebalancing would end a healthy host at a time nobody chose.
  suspended_processes = ["AZRebalance"]

  # Launch before terminate: the outage of a replacement is one task move, not a boot.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 200
  }

  dynamic "launch_template" {
    for_each = length(var.instance_types) == 1 ? [1] : []

    content {
      id      = aws_launch_template.this.id
      version = aws_launch_template.this.latest_version
    }
  }

  dynamic "mixed_instances_policy" {
    for_each = length(var.instance_types) > 1 ? [1] : []

    content {
      # Prioritized on-demand: the first type that the zone has. Never Spot: a two-minute notice ends the only writer.
      instances_distribution {
        on_demand_percentage_above_base_capacity = 100
        on_demand_allocation_strategy            = "prioritized"
      }

      launch_template {
        launch_template_specification {
          launch_template_id = aws_launch_template.this.id
          version            = aws_launch_template.this.latest_version
        }

        dynamic "override" {
          for_each = var.instance_types

          content {
            instance_type = override.value
          }
        }
      }
    }
  }

  # ECS adds this tag when the group becomes a capacity provider; stating it keeps the plan empty.
  tag {
    key                 = "AmazonECSManaged"
    value               = ""
    propagate_at_launch = true
  }

  lifecycle {
    # Scaling belongs to whoever replaces hosts, not to the next apply.
    ignore_changes = [desired_capacity]

    precondition {
      condition     = length(local.availability_zones) == 1
      error_message = "subnet_ids must all be in one Availability Zone, the data volume's: EBS volumes cannot leave theirs. Found: ${join(", ", local.availability_zones)}."
    }
  }

  # A host that boots before its cluster exists could not join it. The launch template does not wait for the cluster:
  # both take the provider seconds, and they take them at the same time.
  depends_on = [aws_ecs_cluster.this]
}

################################################################################
# Capacity provider
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/enable-managed-instance-draining.html
################################################################################

resource "aws_ecs_capacity_provider" "this" {
  name = var.name

  auto_scaling_group_provider {
    auto_scaling_group_arn = aws_autoscaling_group.this.arn
    # Replacing a host means SIGTERM, unmount, detach, and only then terminate.
    managed_draining = "ENABLED"
    # Needs managed scaling and scale-in protection, which would keep a host that is to be replaced.
    managed_termination_protection = "DISABLED"

    # One writer needs one host: there is nothing to scale.
    managed_scaling {
      status = "DISABLED"
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = [aws_ecs_capacity_provider.this.name]

  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.this.name
    weight            = 1
  }
}
