# What the control plane must bring up, plan as unchanged, change in place, and take down.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
}
provider "aws" { region = "us-east-1" }
variable "mixed" {
  description = "Use a mixed instances policy; false uses the launch template alone."
  type        = bool
  default     = true
}
data "aws_ssm_parameter" "ami" { name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended" }
data "aws_vpc" "d" { default = true }
data "aws_subnet" "a" {
  vpc_id            = data.aws_vpc.d.id
  availability_zone = "us-east-1a"
}
data "aws_partition" "p" {}
data "aws_caller_identity" "me" {}
data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}
resource "aws_iam_role" "host" {
  name               = "host"
  assume_role_policy = data.aws_iam_policy_document.ec2.json
  tags               = { a = "b" }
}
resource "aws_iam_role_policy_attachment" "ecs" {
  role       = aws_iam_role.host.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}
resource "aws_iam_role_policy_attachment" "ssm" {
  role       = aws_iam_role.host.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}
resource "aws_iam_role_policy" "vol" {
  role   = aws_iam_role.host.name
  name   = "vol"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["ec2:AttachVolume"], Resource = "*" }] })
}
resource "aws_iam_instance_profile" "host" {
  name = "host"
  role = aws_iam_role.host.name
}
resource "aws_security_group" "host" {
  name   = "host"
  vpc_id = data.aws_vpc.d.id
  tags   = { Name = "host" }
}
resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.host.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}
resource "aws_vpc_security_group_ingress_rule" "web" {
  security_group_id = aws_security_group.host.id
  ip_protocol       = "tcp"
  from_port         = 8080
  to_port           = 8080
  cidr_ipv4         = "10.0.0.0/8"
}
resource "aws_launch_template" "host" {
  name                   = "host"
  image_id               = nonsensitive(jsondecode(data.aws_ssm_parameter.ami.value)).image_id
  instance_type          = "t3.small"
  update_default_version = true
  user_data              = base64encode("#cloud-config\n{}\n# ${var.mixed}")
  iam_instance_profile { arn = aws_iam_instance_profile.host.arn }
  vpc_security_group_ids = [aws_security_group.host.id]
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    http_endpoint               = "enabled"
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = 30
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }
  monitoring { enabled = true }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "host" }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { Name = "host-root" }
  }
  tags       = { own = "tag" }
  depends_on = [aws_iam_role_policy_attachment.ssm]
}
resource "aws_ecs_cluster" "c" {
  name = "c"
  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}
resource "aws_autoscaling_group" "g" {
  name                      = "g"
  min_size                  = 0
  max_size                  = 2
  desired_capacity          = 1
  vpc_zone_identifier       = [data.aws_subnet.a.id]
  health_check_type         = "EC2"
  health_check_grace_period = 60
  default_instance_warmup   = 0
  max_instance_lifetime     = 0
  protect_from_scale_in     = false
  suspended_processes       = ["AZRebalance"]
  enabled_metrics           = ["GroupInServiceInstances"]
  force_delete              = true
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 200
  }
  dynamic "launch_template" {
    for_each = var.mixed ? [] : [1]
    content {
      id      = aws_launch_template.host.id
      version = aws_launch_template.host.latest_version
    }
  }
  dynamic "mixed_instances_policy" {
    for_each = var.mixed ? [1] : []
    content {
      launch_template {
        launch_template_specification {
          launch_template_id = aws_launch_template.host.id
          version            = aws_launch_template.host.latest_version
        }
        override { instance_type = "t3.small" }
        override { instance_type = "t3a.small" }
      }
      instances_distribution {
        on_demand_percentage_above_base_capacity = 100
      }
    }
  }
  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 200
      instance_warmup        = 0
    }
  }
  initial_lifecycle_hook {
    name                 = "hook"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 30
    default_result       = "CONTINUE"
  }
  tag {
    key                 = "AmazonECSManaged"
    value               = ""
    propagate_at_launch = true
  }
  lifecycle { ignore_changes = [desired_capacity] }
}
resource "aws_ecs_capacity_provider" "p" {
  name = "p"
  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.g.arn
    managed_draining               = "ENABLED"
    managed_termination_protection = "DISABLED"
    managed_scaling {
      status = "DISABLED"
    }
  }
}
resource "aws_ecs_cluster_capacity_providers" "c" {
  cluster_name       = aws_ecs_cluster.c.name
  capacity_providers = [aws_ecs_capacity_provider.p.name]
  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.p.name
    weight            = 1
  }
}
resource "aws_cloudwatch_log_group" "l" {
  name              = "/ecs/c"
  retention_in_days = 30
}
resource "aws_ecs_task_definition" "t" {
  family                   = "t"
  network_mode             = "bridge"
  requires_compatibilities = ["EC2"]
  container_definitions    = jsonencode([{ name = "web", image = "registry.sandbox/guestbook:1.0", memory = 256, essential = true, portMappings = [{ containerPort = 8080, hostPort = 8080, protocol = "tcp" }], mountPoints = [{ sourceVolume = "data", containerPath = "/data", readOnly = false }], environment = [], systemControls = [], volumesFrom = [], logConfiguration = { logDriver = "awslogs", options = { awslogs-group = aws_cloudwatch_log_group.l.name, awslogs-region = "us-east-1", awslogs-stream-prefix = "web" } } }])
  volume {
    name = "data"
    docker_volume_configuration {
      driver        = "rexray/ebs"
      scope         = "shared"
      autoprovision = false
    }
  }
}
resource "aws_ecs_service" "s" {
  name                               = "s"
  cluster                            = aws_ecs_cluster.c.id
  task_definition                    = aws_ecs_task_definition.t.arn
  desired_count                      = 0
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  availability_zone_rebalancing      = "DISABLED"
  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.p.name
    weight            = 1
  }
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  placement_constraints {
    type       = "memberOf"
    expression = "attribute:ecs.availability-zone == us-east-1a"
  }
  lifecycle { ignore_changes = [desired_count] }
  depends_on = [aws_ecs_cluster_capacity_providers.c]
}
variable "volume_id" {
  description = "The data volume, which exists already."
  type        = string
}

variable "adopted" {
  description = "Take the data volume into the state."
  type        = bool
  default     = false
}
data "aws_ebs_volume" "v" {
  filter {
    name   = "volume-id"
    values = [var.volume_id]
  }
}

import {
  for_each = var.adopted ? toset([var.volume_id]) : toset([])
  to       = aws_ebs_volume.data[each.key]
  id       = each.key
}

resource "aws_ebs_volume" "data" {
  for_each          = var.adopted ? toset([var.volume_id]) : toset([])
  availability_zone = "us-east-1a"
  size              = 8
  type              = "gp3"
  tags              = { Name = "adopted" }

  lifecycle {
    prevent_destroy = true
  }
}
