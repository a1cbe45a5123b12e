# Every validation refuses what it says it refuses. A run that names several variables expects each of them to fail.

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

run "values_of_the_wrong_shape_are_refused" {
  command = plan

  variables {
    name                       = "guestbook-"
    region                     = "Virginia"
    account_id                 = "12345678901"
    cluster_arn                = "guestbook"
    capacity_provider_name     = " "
    vpc_id                     = "guestbook"
    availability_zone          = "us-east-1"
    instance_security_group_id = "default"
    log_group_name             = "no spaces"
    container_port             = 0
    host_port                  = 70000
    task_role_arn              = "guestbook"
    client_cidr_blocks         = ["everybody"]
  }

  expect_failures = [var.name, var.region, var.account_id, var.cluster_arn, var.capacity_provider_name, var.vpc_id, var.availability_zone, var.instance_security_group_id, var.log_group_name, var.container_port, var.host_port, var.task_role_arn, var.client_cidr_blocks]
}

run "the_volume_id_must_be_an_id" {
  command = plan

  variables {
    volume_id = "guestbook-data"
  }

  expect_failures = [var.volume_id]
}

run "the_serving_container_must_be_one_of_the_definitions" {
  command = plan

  variables {
    container_name = "web"
    task_volume    = null
    volume_id      = null
  }

  expect_failures = [var.container_name]
}

run "a_definition_without_image_is_refused" {
  command = plan

  variables {
    container_definitions = [{ name = "guestbook" }]
    task_volume           = null
    volume_id             = null
  }

  expect_failures = [var.container_definitions]
}

run "no_container_is_no_task" {
  command = plan

  variables {
    container_definitions = []
    task_volume           = null
    volume_id             = null
  }

  expect_failures = [var.container_definitions]
}

run "a_folder_elsewhere_is_refused" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", host_path = "/mnt/runbook/data", required_attribute = { name = "a", value = "b" }, folders = { db = "/mnt/runbook/other" } }
  }

  expect_failures = [var.task_volume]
}

run "a_plugin_shows_no_folders" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", driver = "rexray/ebs", folders = { db = "/mnt/runbook/data/db" } }
  }

  expect_failures = [var.task_volume]
}

run "a_mount_of_a_volume_that_the_task_has_not_is_refused" {
  command = plan

  variables {
    container_definitions = [
      { name = "guestbook", image = "x", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data" }] },
      { name = "backup", image = "x", mountPoints = [{ sourceVolume = "other", containerPath = "/all" }] },
    ]
  }

  expect_failures = [var.task_volume]
}

run "secrets_with_wildcards_are_refused" {
  command = plan

  variables {
    secret_arns = ["arn:aws:ssm:us-east-1:012345678901:parameter/*"]
  }

  expect_failures = [var.secret_arns]
}

run "a_secret_must_be_an_arn" {
  command = plan

  variables {
    secret_arns = ["/guestbook/password"]
  }

  expect_failures = [var.secret_arns]
}

run "a_volume_needs_a_way_to_it" {
  command = plan

  variables {
    task_volume = null
  }

  expect_failures = [var.volume_id]
}

run "two_ways_to_the_volume_are_refused" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", driver = "rexray/ebs", host_path = "/srv/guestbook" }
  }

  expect_failures = [var.task_volume]
}

run "no_way_to_the_volume_is_refused" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data" }
  }

  expect_failures = [var.task_volume]
}

run "a_relative_host_path_is_refused" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", host_path = "srv" }
  }

  expect_failures = [var.task_volume]
}

run "the_root_of_the_host_is_no_data_volume" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", host_path = "/" }
  }

  expect_failures = [var.task_volume]
}

run "a_host_path_without_the_attribute_of_its_mount_is_refused" {
  command = plan

  variables {
    task_volume = { name = "guestbook-data", host_path = "/mnt/runbook/data" }
  }

  expect_failures = [var.task_volume]
}

run "a_volume_name_that_ecs_refuses_is_refused" {
  command = plan

  variables {
    task_volume = { name = "guestbook data", driver = "rexray/ebs" }
  }

  expect_failures = [var.task_volume]
}

run "a_container_that_does_not_mount_the_volume_is_refused" {
  command = plan

  variables {
    task_volume = { name = "other", driver = "rexray/ebs" }
  }

  expect_failures = [var.task_volume]
}

run "autoscaling_is_refused_for_a_single_writer" {
  command = plan

  variables {
    autoscaling = { min_tasks = 1, max_tasks = 2 }
  }

  expect_failures = [var.autoscaling]
}

run "autoscaling_of_a_reader_needs_a_load_balancer" {
  command = plan

  variables {
    container_definitions = [{ name = "guestbook", image = "a:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data", readOnly = true }] }]
    autoscaling           = { min_tasks = 1, max_tasks = 2 }
  }

  expect_failures = [var.autoscaling]
}

run "autoscaling_of_a_reader_needs_a_port_for_each_task" {
  command = plan

  variables {
    container_definitions = [{ name = "guestbook", image = "a:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data", readOnly = true }] }]
    load_balancer         = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"] }
    autoscaling           = { min_tasks = 1, max_tasks = 2 }
  }

  expect_failures = [var.autoscaling]
}

run "one_container_that_writes_makes_a_writer" {
  command = plan

  variables {
    host_port     = 0
    load_balancer = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"] }
    container_definitions = [
      { name = "guestbook", image = "a:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data", readOnly = true }] },
      { name = "indexer", image = "b:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data" }] },
    ]
  }

  expect_failures = [var.host_port]
}

run "a_port_of_its_own_for_each_task_is_refused_for_a_writer" {
  command = plan

  variables {
    host_port     = 0
    load_balancer = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"] }
  }

  expect_failures = [var.host_port]
}

run "a_port_of_its_own_for_each_task_needs_a_load_balancer" {
  command = plan

  variables {
    host_port             = 0
    container_definitions = [{ name = "guestbook", image = "a:1", mountPoints = [{ sourceVolume = "guestbook-data", containerPath = "/data", readOnly = true }] }]
  }

  expect_failures = [var.host_port]
}

run "autoscaling_needs_a_range" {
  command = plan

  variables {
    volume_id             = null
    task_volume           = null
    container_definitions = [{ name = "guestbook", image = "a:1" }]
    autoscaling           = { min_tasks = 3, max_tasks = 2 }
  }

  expect_failures = [var.autoscaling]
}

run "autoscaling_needs_a_reachable_target" {
  command = plan

  variables {
    volume_id             = null
    task_volume           = null
    container_definitions = [{ name = "guestbook", image = "a:1" }]
    autoscaling           = { min_tasks = 1, max_tasks = 2, target_cpu_percent = 100 }
  }

  expect_failures = [var.autoscaling]
}

run "a_load_balancer_in_one_subnet_is_refused" {
  command = plan

  variables {
    load_balancer = { subnet_ids = ["subnet-0a"], client_cidr_blocks = ["10.0.0.0/8"] }
  }

  expect_failures = [var.load_balancer]
}

run "a_health_check_path_begins_with_a_slash" {
  command = plan

  variables {
    load_balancer = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"], health_check_path = "health" }
  }

  expect_failures = [var.load_balancer]
}

run "a_long_deregistration_delay_is_refused_because_it_is_outage" {
  command = plan

  variables {
    load_balancer = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"], deregistration_delay_s = 300 }
  }

  expect_failures = [var.load_balancer]
}

run "a_load_balancer_without_clients_is_refused" {
  command = plan

  variables {
    load_balancer = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = [] }
  }

  expect_failures = [var.load_balancer]
}

run "a_certificate_must_be_an_arn" {
  command = plan

  variables {
    load_balancer = { subnet_ids = ["subnet-0a", "subnet-0b"], client_cidr_blocks = ["10.0.0.0/8"], certificate_arn = "example.org" }
  }

  expect_failures = [var.load_balancer]
}

run "a_kept_revision_must_be_an_arn_with_a_revision" {
  command = plan

  variables {
    kept_task_definition_arn = "arn:aws:ecs:us-east-1:012345678901:task-definition/guestbook"
  }

  expect_failures = [var.kept_task_definition_arn]
}
