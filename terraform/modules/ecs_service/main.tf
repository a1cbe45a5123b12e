data "aws_partition" "current" {}

locals {
  arn_prefix = "arn:${data.aws_partition.current.partition}"

  # A service with a data volume has one writer, always; every setting that could start a second one follows from this.
  is_single_writer = var.task_volume != null

  # A reader: every mount of the data volume is read-only. It is read from the containers, never chosen. Several tasks of
  # a reader can run, but on one host, where the volume is: behind a load balancer, each with a host port of its own.
  mounts     = flatten([for definition in var.container_definitions : try(definition.mountPoints, [])])
  only_reads = length(local.mounts) > 0 && alltrue([for mount in local.mounts : try(mount.readOnly, false) == true])

  can_have_more_tasks = !local.is_single_writer || (local.only_reads && var.load_balancer != null && var.host_port == 0)

  # A folder of the data volume is a volume of its own for the task, on the same mount of the host.
  task_volumes = local.is_single_writer ? concat(
    [{ name = var.task_volume.name, host_path = var.task_volume.host_path, driver = var.task_volume.driver }],
    [for name, path in var.task_volume.folders : { name = name, host_path = path, driver = null }]
  ) : []

  log_group_arn = "${local.arn_prefix}:logs:${var.region}:${var.account_id}:log-group:${var.log_group_name}"

  container_definitions = [
    for definition in var.container_definitions : merge({
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = var.log_group_name
          "awslogs-region"        = var.region
          "awslogs-stream-prefix" = var.name
        }
      }
    }, definition)
  ]
}

################################################################################
# Data volume: read, not owned
# The storage driver attaches it, so there is no aws_volume_attachment; 45_adopt_volume imports it in the root module.
################################################################################

data "aws_ebs_volume" "data" {
  count = local.is_single_writer ? 1 : 0

  filter {
    name   = "volume-id"
    values = [var.volume_id]
  }

  lifecycle {
    postcondition {
      condition     = self.availability_zone == var.availability_zone
      error_message = "The data volume ${var.volume_id} is in ${self.availability_zone}, the container instances are in ${var.availability_zone}. A volume cannot leave its zone: choose subnets of ${self.availability_zone}."
    }

    postcondition {
      condition     = self.multi_attach_enabled != true
      error_message = "The data volume ${var.volume_id} has Multi-Attach enabled: ext4 and xfs have one writer, and the plugin waits for exactly one attachment."
    }
  }
}

################################################################################
# Execution role: what ECS needs to start the containers
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
################################################################################

resource "aws_iam_role" "execution" {
  name        = "${var.name}-execution"
  description = "Starts the containers of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EcsTasks"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  name = "execution"
  role = aws_iam_role.execution.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${local.log_group_arn}:*"
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
      {
        Sid      = "ReadTheNamedSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
        Resource = var.secret_arns
      },
      # A statement without a resource is not valid.
    ] : statement if length(statement.Resource) > 0]
  })
}

################################################################################
# Task definition
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/docker-volumes.html
################################################################################

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["EC2"]
  network_mode             = "bridge"
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = var.task_role_arn
  container_definitions    = jsonencode(local.container_definitions)

  # The previous revision stays registered: a rollback has something to go back to.
  skip_destroy = true

  # As a plugin's capability does: a host without the mount does not get the task, so it does not fail there.
  dynamic "placement_constraints" {
    for_each = try([var.task_volume.required_attribute.name], [])

    content {
      type       = "memberOf"
      expression = "attribute:${var.task_volume.required_attribute.name} == ${var.task_volume.required_attribute.value}"
    }
  }

  dynamic "volume" {
    for_each = local.task_volumes

    content {
      name      = volume.value.name
      host_path = volume.value.host_path

      dynamic "docker_volume_configuration" {
        for_each = volume.value.driver == null ? [] : [volume.value.driver]

        content {
          driver = docker_volume_configuration.value
          # task scope would remove the volume with the task, which the plugin turns into DeleteVolume.
          scope = "shared"
          # true would create an empty volume when the name is not found.
          autoprovision = false
        }
      }
    }
  }
}

################################################################################
# Service
# The controller type ECS makes rolling deployments. Blue/green runs both revisions at once, which one volume cannot.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service_definition_parameters.html
################################################################################

resource "aws_ecs_service" "this" {
  name            = var.name
  cluster         = var.cluster_arn
  task_definition = var.kept_task_definition_arn != null ? var.kept_task_definition_arn : aws_ecs_task_definition.this.arn

  # The cutover starts the task, after the volume has left the source; see ignore_changes.
  desired_count                 = local.is_single_writer ? 0 : 1
  scheduling_strategy           = "REPLICA"
  availability_zone_rebalancing = "DISABLED"
  # Stop, then start: with 100/200 the new task would wait for a port and a volume that the running one holds. For a
  # reader too: a host that drains would keep its tasks until others run elsewhere, where the volume is not.
  deployment_minimum_healthy_percent = local.is_single_writer ? 0 : 100
  deployment_maximum_percent         = local.is_single_writer ? 100 : 200

  enable_ecs_managed_tags           = true
  propagate_tags                    = "SERVICE"
  enable_execute_command            = false
  wait_for_steady_state             = false
  health_check_grace_period_seconds = var.load_balancer == null ? null : var.load_balancer.health_check_grace_s

  deployment_controller {
    type = "ECS"
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = var.circuit_breaker_rollback
  }

  capacity_provider_strategy {
    capacity_provider = var.capacity_provider_name
    weight            = 1
    base              = 0
  }

  dynamic "placement_constraints" {
    for_each = local.is_single_writer ? [1] : []

    content {
      type       = "memberOf"
      expression = "attribute:ecs.availability-zone == ${data.aws_ebs_volume.data[0].availability_zone}"
    }
  }

  dynamic "load_balancer" {
    for_each = var.load_balancer == null ? [] : [1]

    content {
      target_group_arn = aws_lb_target_group.this[0].arn
      container_name   = var.container_name
      container_port   = var.container_port
    }
  }

  lifecycle {
    # The cutover, the rollback and the autoscaling own the desired count; no apply may start or stop the writer.
    ignore_changes = [desired_count]
  }

  # ECS takes a target group only once a listener uses it.
  depends_on = [aws_lb_listener.this, aws_iam_role_policy.execution]
}
