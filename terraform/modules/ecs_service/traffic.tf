################################################################################
# Clients without a load balancer
################################################################################

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(var.load_balancer == null ? var.client_cidr_blocks : [])

  security_group_id = var.instance_security_group_id
  description       = "Clients of ${var.name}"
  ip_protocol       = "tcp"
  from_port         = var.host_port
  to_port           = var.host_port
  cidr_ipv4         = each.value
}

################################################################################
# Load balancer
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
################################################################################

locals {
  # Docker gives a task without a fixed port one of these.
  first_port = var.host_port == 0 ? 32768 : var.host_port
  last_port  = var.host_port == 0 ? 65535 : var.host_port
}

resource "aws_security_group" "load_balancer" {
  count = var.load_balancer == null ? 0 : 1

  name        = "${var.name}-load-balancer"
  description = "Load balancer of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-load-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each = toset(var.load_balancer == null ? [] : var.load_balancer.client_cidr_blocks)

  security_group_id = aws_security_group.load_balancer[0].id
  description       = "Clients of ${var.name}"
  ip_protocol       = "tcp"
  from_port         = var.load_balancer.port
  to_port           = var.load_balancer.port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  count = var.load_balancer == null ? 0 : 1

  security_group_id            = aws_security_group.load_balancer[0].id
  description                  = "The service and its health check"
  ip_protocol                  = "tcp"
  from_port                    = local.first_port
  to_port                      = local.last_port
  referenced_security_group_id = var.instance_security_group_id
}

resource "aws_vpc_security_group_ingress_rule" "from_load_balancer" {
  count = var.load_balancer == null ? 0 : 1

  security_group_id            = var.instance_security_group_id
  description                  = "Load balancer of ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = local.first_port
  to_port                      = local.last_port
  referenced_security_group_id = aws_security_group.load_balancer[0].id
}

resource "aws_lb" "this" {
  count = var.load_balancer == null ? 0 : 1

  name                       = var.name
  load_balancer_type         = "application"
  internal                   = var.load_balancer.internal
  subnets                    = var.load_balancer.subnet_ids
  security_groups            = [aws_security_group.load_balancer[0].id]
  idle_timeout               = var.load_balancer.idle_timeout_s
  drop_invalid_header_fields = true
  enable_deletion_protection = var.load_balancer.deletion_protection
}

resource "aws_lb_target_group" "this" {
  count = var.load_balancer == null ? 0 : 1

  name                 = var.name
  target_type          = "instance"
  protocol             = "HTTP"
  port                 = var.host_port == 0 ? var.container_port : var.host_port
  vpc_id               = var.vpc_id
  deregistration_delay = var.load_balancer.deregistration_delay_s

  # 2 x 5 s. The defaults (5 x 30 s) add two and a half minutes to every start.
  health_check {
    path                = var.load_balancer.health_check_path
    matcher             = var.load_balancer.health_check_matcher
    interval            = 5
    timeout             = 4
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "this" {
  count = var.load_balancer == null ? 0 : 1

  load_balancer_arn = aws_lb.this[0].arn
  port              = var.load_balancer.port
  protocol          = var.load_balancer.certificate_arn == null ? "HTTP" : "HTTPS"
  certificate_arn   = var.load_balancer.certificate_arn
  ssl_policy        = var.load_balancer.certificate_arn == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[0].arn
  }
}

################################################################################
# Autoscaling of tasks, for services that do not write to a data volume
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html
################################################################################

resource "aws_appautoscaling_target" "this" {
  count = var.autoscaling == null ? 0 : 1

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${split("/", var.cluster_arn)[1]}/${aws_ecs_service.this.name}"
  min_capacity       = var.autoscaling.min_tasks
  max_capacity       = var.autoscaling.max_tasks
}

resource "aws_appautoscaling_policy" "this" {
  count = var.autoscaling == null ? 0 : 1

  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value = var.autoscaling.target_cpu_percent

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
