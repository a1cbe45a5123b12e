# What keeps a service with a data volume at one writer.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_ebs_volume" {
    defaults = { availability_zone = "us-east-1a", multi_attach_enabled = false }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::012345678901:role/guestbook-execution" }
  }

  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:012345678901:loadbalancer/app/guestbook/0a" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:012345678901:targetgroup/guestbook/0a" }
  }
}

variables {
  name                       = "guestbook"
  region                     = "us-east-1"
  account_id                 = "012345678901"
  cluster_arn                = "arn:aws:ecs:us-east-1:012345678901:cluster/guestbook"
  capacity_provider_name     = "guestbook"
  vpc_id                     = "vpc-0a"
  availability_zone          = "us-east-1a"
  instance_security_group_id = "sg-0a"
  log_group_name             = "/ecs/guestbook"
  container_name             = "guestbook"
  container_port             = 8080
  host_port                  = 8080
  volume_id                  = "vol-0a"
  task_volume                = { name = "guestbook-data", driver = "rexray/ebs" }

  container_definitions = [{
    name         = "guestbook"
    image        = "registry.example/guestbook:1.0"
    essential    = true
    memory       = 256
    portMappings = [{ containerPort = 8080, hostPort = 8080 }]
    mountPoints  = [{ sourceVolume = "guestbook-data", containerPath = "/data" }]
  }]
}

run "a_deployment_stops_the_writer_before_it_starts_the_next" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 0 && aws_ecs_service.this.deployment_maximum_percent == 100
    error_message = "0 % / 100 %: stop, then start."
  }

  assert {
    condition     = aws_ecs_service.this.availability_zone_rebalancing == "DISABLED"
    error_message = "Rebalancing starts a second task before it stops the first."
  }

  assert {
    condition     = aws_ecs_service.this.deployment_controller[0].type == "ECS"
    error_message = "Blue/green runs both revisions at once."
  }

  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "A deployment that fails must end, and go back."
  }
}

run "a_kept_revision_is_not_moved_by_a_new_one" {
  command = plan

  variables {
    kept_task_definition_arn = "arn:aws:ecs:us-east-1:012345678901:task-definition/guestbook:7"
  }

  assert {
    condition     = aws_ecs_service.this.task_definition == "arn:aws:ecs:us-east-1:012345678901:task-definition/guestbook:7"
    error_message = "The running task stays until somebody moves the service."
  }
}

run "the_service_is_created_without_a_task" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.desired_count == 0
    error_message = "The cutover starts the task."
  }

  assert {
    condition     = length(aws_appautoscaling_target.this) == 0
    error_message = "Nothing else may change the desired count."
  }
}

run "the_task_can_be_placed_in_the_zone_of_the_volume_only" {
  command = plan

  assert {
    condition = [for rule in aws_ecs_service.this.placement_constraints : "${rule.type} ${rule.expression}"] == [
      "memberOf attribute:ecs.availability-zone == us-east-1a"
    ]
    error_message = "The placement constraint must name the volume's zone."
  }

  assert {
    condition     = [for strategy in aws_ecs_service.this.capacity_provider_strategy : strategy.capacity_provider] == ["guestbook"]
    error_message = "The capacity provider drains a host before it ends."
  }
}

run "the_task_finds_the_volume_or_fails" {
  command = plan

  assert {
    condition     = one(aws_ecs_task_definition.this.volume).docker_volume_configuration[0].scope == "shared"
    error_message = "Task scope would delete the volume with the task."
  }

  assert {
    condition     = one(aws_ecs_task_definition.this.volume).docker_volume_configuration[0].autoprovision == false
    error_message = "Autoprovision would create an empty volume."
  }

  assert {
    condition     = one(aws_ecs_task_definition.this.volume).docker_volume_configuration[0].driver == "rexray/ebs"
    error_message = "The driver is the plugin's alias."
  }

  assert {
    condition     = length(coalesce(one(aws_ecs_task_definition.this.volume).docker_volume_configuration[0].driver_opts, {})) == 0
    error_message = "No option means anything for an existing volume."
  }

  assert {
    condition     = one(aws_ecs_task_definition.this.volume).name == "guestbook-data"
    error_message = "The volume's name is the Name tag."
  }

  assert {
    condition     = aws_ecs_task_definition.this.skip_destroy
    error_message = "The previous revision must stay registered."
  }
}

run "a_host_mount_has_no_docker_volume_and_is_placed_only_where_the_volume_is_mounted" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", host_path = "/mnt/runbook/data", required_attribute = { name = "runbook.mounted", value = "vol-0a" } }
  }

  assert {
    condition     = one(aws_ecs_task_definition.this.volume).host_path == "/mnt/runbook/data"
    error_message = "The task binds the host's mount path."
  }

  assert {
    condition     = length(one(aws_ecs_task_definition.this.volume).docker_volume_configuration) == 0
    error_message = "A host mount needs no plugin."
  }

  assert {
    condition     = [for rule in aws_ecs_task_definition.this.placement_constraints : rule.expression] == ["attribute:runbook.mounted == vol-0a"]
    error_message = "A host that has not mounted the volume must not get the task."
  }
}

run "a_plugin_needs_no_placement_constraint_in_the_task_definition" {
  command = plan

  assert {
    condition     = length(aws_ecs_task_definition.this.placement_constraints) == 0
    error_message = "The agent's capability keeps the task from other hosts."
  }
}

run "containers_log_to_the_log_group_unless_they_say_otherwise" {
  command = plan

  variables {
    container_definitions = [
      { name = "guestbook", image = "a:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data" }] },
      { name = "helper", image = "b:1", logConfiguration = { logDriver = "none" } },
    ]
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].logConfiguration.options["awslogs-group"] == "/ecs/guestbook"
    error_message = "The log group must be the cluster's."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[1].logConfiguration.logDriver == "none"
    error_message = "What the definition says wins."
  }
}

run "the_execution_role_reads_named_secrets_only" {
  command = plan

  variables {
    secret_arns = ["arn:aws:ssm:us-east-1:012345678901:parameter/guestbook/password"]
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "ReadTheNamedSecrets"
    ] == [["arn:aws:ssm:us-east-1:012345678901:parameter/guestbook/password"]]
    error_message = "No other secret."
  }

  assert {
    condition     = jsondecode(aws_iam_role.execution.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "012345678901"
    error_message = "Only this account's tasks may use the role."
  }
}

run "clients_reach_the_published_port_only" {
  command = plan

  variables {
    client_cidr_blocks = ["10.0.0.0/16"]
  }

  assert {
    condition = [
      for rule in aws_vpc_security_group_ingress_rule.clients : "${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"
    ] == ["8080-8080 10.0.0.0/16"]
    error_message = "One port, for the given networks."
  }
}

run "without_clients_nothing_is_opened" {
  command = plan

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.clients) + length(aws_lb.this) == 0
    error_message = "The default is closed."
  }
}

run "the_load_balancer_finds_the_task_in_ten_seconds" {
  command = plan

  variables {
    client_cidr_blocks = ["10.0.0.0/16"]
    load_balancer      = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"], health_check_path = "/health" }
  }

  assert {
    condition     = aws_lb_target_group.this[0].health_check[0].interval == 5 && aws_lb_target_group.this[0].health_check[0].healthy_threshold == 2
    error_message = "2 x 5 s."
  }

  assert {
    condition     = tonumber(aws_lb_target_group.this[0].deregistration_delay) == 10
    error_message = "The default of 300 s would be part of every outage."
  }

  assert {
    condition     = aws_lb.this[0].internal
    error_message = "A load balancer is public only when somebody says so."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.clients) == 0
    error_message = "With a load balancer clients do not reach the host."
  }

  assert {
    condition     = one(aws_ecs_service.this.load_balancer).container_name == "guestbook" && one(aws_ecs_service.this.load_balancer).container_port == 8080
    error_message = "The container that serves is registered."
  }

  assert {
    condition     = aws_ecs_service.this.health_check_grace_period_seconds == 60
    error_message = "A task must not be killed while its volume mounts."
  }

  assert {
    condition     = aws_lb_listener.this[0].protocol == "HTTP"
    error_message = "Without a certificate it is HTTP."
  }
}

run "a_certificate_makes_it_https" {
  command = plan

  variables {
    load_balancer = {
      subnet_ids         = ["subnet-0a", "subnet-0b"]
      client_cidr_blocks = ["10.0.0.0/8"]
      port               = 443
      certificate_arn    = "arn:aws:acm:us-east-1:012345678901:certificate/0a"
    }
  }

  assert {
    condition     = aws_lb_listener.this[0].protocol == "HTTPS" && startswith(aws_lb_listener.this[0].ssl_policy, "ELBSecurityPolicy-TLS13")
    error_message = "HTTPS with a policy that includes TLS 1.3."
  }
}

run "a_service_without_data_may_scale" {
  command = plan

  variables {
    volume_id             = null
    task_volume           = null
    container_definitions = [{ name = "guestbook", image = "a:1" }]
    autoscaling           = { min_tasks = 2, max_tasks = 4 }
  }

  assert {
    condition     = aws_appautoscaling_target.this[0].max_capacity == 4 && aws_appautoscaling_target.this[0].resource_id == "service/guestbook/guestbook"
    error_message = "The target is this service."
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100 && length(aws_ecs_service.this.placement_constraints) == 0
    error_message = "Nothing binds a service without data to one writer or zone."
  }

  assert {
    condition     = length(data.aws_ebs_volume.data) == 0
    error_message = "There is no volume to read."
  }
}

run "a_reader_behind_a_load_balancer_may_scale_on_the_host_that_has_the_volume" {
  command = plan

  variables {
    host_port             = 0
    container_definitions = [{ name = "guestbook", image = "a:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data", readOnly = true }] }]
    load_balancer         = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"] }
    autoscaling           = { min_tasks = 1, max_tasks = 3 }
  }

  assert {
    condition     = aws_appautoscaling_target.this[0].min_capacity == 1 && aws_appautoscaling_target.this[0].max_capacity == 3
    error_message = "The target has the range that was asked for."
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 0 && aws_ecs_service.this.deployment_maximum_percent == 100 && aws_ecs_service.this.desired_count == 0
    error_message = "A reader too stops before it starts elsewhere: the volume is on one host."
  }

  assert {
    condition     = length(aws_ecs_service.this.placement_constraints) == 1 && length(data.aws_ebs_volume.data) == 1
    error_message = "The tasks stay in the zone of the volume."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.from_load_balancer[0].from_port == 32768 && aws_vpc_security_group_ingress_rule.from_load_balancer[0].to_port == 65535
    error_message = "The load balancer reaches the ports that Docker chooses, and no other."
  }

  assert {
    condition     = aws_lb_target_group.this[0].port == 8080
    error_message = "A target group has a port, though each target has its own."
  }
}

run "a_volume_in_another_zone_is_refused" {
  command = plan

  override_data {
    target = data.aws_ebs_volume.data[0]
    values = { availability_zone = "us-east-1b", multi_attach_enabled = false }
  }

  expect_failures = [data.aws_ebs_volume.data[0]]
}

run "a_volume_with_multi_attach_is_refused" {
  command = plan

  override_data {
    target = data.aws_ebs_volume.data[0]
    values = { availability_zone = "us-east-1a", multi_attach_enabled = true }
  }

  expect_failures = [data.aws_ebs_volume.data[0]]
}
