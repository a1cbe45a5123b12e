################################################################################
# Names and place
################################################################################

variable "name" {
  description = "Name of the ECS service and family of its task definition; its roles and load balancer begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name)) && !endswith(var.name, "-")
    error_message = "name must be 2 to 31 characters: lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen."
  }
}

variable "region" {
  description = "AWS region, for log options and IAM policies."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region name such as us-east-1."
  }
}

variable "account_id" {
  description = "AWS account, for the trust policy of the execution role."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be exactly 12 digits, as a string: a leading zero counts."
  }
}

variable "cluster_arn" {
  description = "ECS cluster of the service."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:ecs:[a-z0-9-]+:[0-9]{12}:cluster/.+$", var.cluster_arn))
    error_message = "cluster_arn must be the ARN of an ECS cluster."
  }
}

variable "capacity_provider_name" {
  description = "Capacity provider of the cluster that places the task."
  type        = string

  validation {
    condition     = length(trimspace(var.capacity_provider_name)) > 0
    error_message = "capacity_provider_name must name a capacity provider of the cluster: without it a host is not drained before it ends."
  }
}

variable "vpc_id" {
  description = "VPC of the container instances and the load balancer."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must look like vpc-0123456789abcdef0."
  }
}

variable "availability_zone" {
  description = "Availability Zone of the container instances."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+[a-z]$", var.availability_zone))
    error_message = "availability_zone must be a zone name such as us-east-1a."
  }
}

variable "instance_security_group_id" {
  description = "Security group of the container instances; the ingress rules of this service are added to it."
  type        = string

  validation {
    condition     = can(regex("^sg-[0-9a-z]+$", var.instance_security_group_id))
    error_message = "instance_security_group_id must look like sg-0123456789abcdef0."
  }
}

variable "log_group_name" {
  description = "Log group of the containers."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_/.#-]{1,512}$", var.log_group_name))
    error_message = "log_group_name must be a log group name such as /ecs/guestbook."
  }
}

################################################################################
# Containers
################################################################################

variable "container_definitions" {
  description = "Container definitions as the ECS API takes them (camelCase). A container without logConfiguration logs to the log group."
  type        = any

  validation {
    condition = length(var.container_definitions) > 0 && alltrue([
      for definition in var.container_definitions : can(regex("^[A-Za-z0-9_-]{1,255}$", definition.name)) && can(regex(".+", definition.image))
    ])
    error_message = "container_definitions must be a list of at least one definition, each with a name and an image."
  }
}

variable "container_name" {
  description = "The container that serves container_port and holds the data volume."
  type        = string

  validation {
    condition     = contains([for definition in var.container_definitions : definition.name], var.container_name)
    error_message = "container_name must be the name of one of container_definitions."
  }
}

variable "container_port" {
  description = "Port that the service listens on in the container."
  type        = number

  validation {
    condition     = var.container_port >= 1 && var.container_port <= 65535
    error_message = "container_port must be 1 to 65535."
  }
}

variable "host_port" {
  description = "Port that the container instance publishes. Fixed: clients and security groups know it, and a second task on the host cannot start. 0, for a service behind a load balancer that does not write to its data volume: one that is chosen for each task."
  type        = number

  validation {
    condition     = var.host_port >= 0 && var.host_port <= 65535
    error_message = "host_port must be 1 to 65535, or 0 behind a load balancer."
  }

  validation {
    condition     = var.host_port != 0 || var.load_balancer != null
    error_message = "host_port 0 publishes another port after every start, which only load_balancer finds."
  }

  validation {
    condition     = var.host_port != 0 || var.task_volume == null || local.only_reads
    error_message = "host_port 0 lets a second task start on the host, and a container writes to the data volume: every mountPoint must be readOnly, or host_port fixed."
  }
}

variable "task_role_arn" {
  description = "Role of the application in the containers, or null when it calls no AWS API."
  type        = string
  default     = null

  validation {
    condition     = var.task_role_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.task_role_arn))
    error_message = "task_role_arn must be the ARN of an IAM role, or null."
  }
}

variable "secret_arns" {
  description = "Secrets and SSM parameters that the execution role may read for the containers' `secrets`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.secret_arns : can(regex("^arn:[a-z-]+:(secretsmanager|ssm):[a-z0-9-]+:[0-9]{12}:(secret|parameter).+$", arn)) && !strcontains(arn, "*")])
    error_message = "secret_arns must hold full ARNs of Secrets Manager secrets or SSM parameters, without wildcards."
  }
}

################################################################################
# Data volume
################################################################################

variable "volume_id" {
  description = "The data volume, or null for a service without one. It is read here; the root module imports it after the cutover."
  type        = string
  default     = null

  validation {
    condition     = var.volume_id == null || can(regex("^vol-[0-9a-f]+$", var.volume_id))
    error_message = "volume_id must look like vol-0123456789abcdef0, or be null."
  }

  validation {
    condition     = (var.volume_id == null) == (var.task_volume == null)
    error_message = "volume_id and task_volume belong together: set both or neither."
  }
}

variable "task_volume" {
  description = "How the task refers to the data volume: its name (also the Name tag), and either the plugin's driver, or the host's mount path with the attribute of a host that has it mounted, and folders below it."
  type = object({
    name      = string
    driver    = optional(string)
    host_path = optional(string)
    # Attribute of the container instance, and its value, without which the task is not placed.
    required_attribute = optional(object({ name = string, value = string }))
    # Folders of the volume below host_path, by the name of the task's volume that shows each.
    folders = optional(map(string), {})
  })
  default = null

  validation {
    condition     = var.task_volume == null || can(regex("^[A-Za-z0-9_-]{1,255}$", var.task_volume.name))
    error_message = "task_volume.name must be 1 to 255 letters, digits, hyphens and underscores: ECS takes no other volume name."
  }

  validation {
    condition     = var.task_volume == null || try((var.task_volume.driver == null) != (var.task_volume.host_path == null), true)
    error_message = "task_volume must have exactly one of driver and host_path."
  }

  validation {
    condition     = try(startswith(var.task_volume.host_path, "/") && length(var.task_volume.host_path) > 1, true)
    error_message = "task_volume.host_path must be an absolute path below /."
  }

  validation {
    condition     = try(var.task_volume.host_path == null || can(regex("^[A-Za-z0-9._/-]+$", var.task_volume.required_attribute.name)) && can(regex("^[A-Za-z0-9._/:@-]+$", var.task_volume.required_attribute.value)), true)
    error_message = "task_volume.required_attribute must be given with host_path, as name and value: without it the task could start on a host that has not mounted the volume."
  }

  validation {
    condition = var.task_volume == null || try(alltrue([
      for name, path in var.task_volume.folders : can(regex("^[A-Za-z0-9_-]{1,255}$", name)) && startswith(path, "${var.task_volume.host_path}/") && !strcontains(path, "/..")
    ]), false)
    error_message = "task_volume.folders must be below host_path, each under a name of letters, digits, hyphens and underscores: elsewhere is another disk, and a plugin shows no folders."
  }

  validation {
    condition = var.task_volume == null || try(anytrue(flatten([for definition in var.container_definitions : [
      for mount in try(definition.mountPoints, []) : definition.name == var.container_name && contains(concat([var.task_volume.name], keys(var.task_volume.folders)), mount.sourceVolume)
    ]])), false)
    error_message = "task_volume.name, or one of its folders, must be a sourceVolume of container_name's mountPoints: otherwise the container writes into itself and the data dies with it."
  }

  validation {
    condition = var.task_volume == null || try(alltrue(flatten([for definition in var.container_definitions : [
      for mount in try(definition.mountPoints, []) : contains(concat([var.task_volume.name], keys(var.task_volume.folders)), mount.sourceVolume)
    ]])), false)
    error_message = "every sourceVolume of the mountPoints must be task_volume.name or one of its folders: the task has no other volume."
  }
}

################################################################################
# Clients
################################################################################

variable "client_cidr_blocks" {
  description = "Networks that may reach host_port on the container instance without a load balancer."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for block in var.client_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "client_cidr_blocks must hold CIDR blocks such as 10.0.0.0/16."
  }
}

variable "load_balancer" {
  description = "Application load balancer in front of the service, or null. The health check is 2 x 5 s, because the default (5 x 30 s) would be the largest part of the outage."
  type = object({
    subnet_ids             = list(string)
    internal               = optional(bool, true)
    port                   = optional(number, 80)
    certificate_arn        = optional(string)
    client_cidr_blocks     = list(string)
    health_check_path      = optional(string, "/")
    health_check_matcher   = optional(string, "200-399")
    health_check_grace_s   = optional(number, 60)
    deregistration_delay_s = optional(number, 10)
    idle_timeout_s         = optional(number, 60)
    deletion_protection    = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.load_balancer == null || try(length(distinct(var.load_balancer.subnet_ids)) >= 2, false)
    error_message = "load_balancer.subnet_ids must hold subnets of at least two Availability Zones: an application load balancer needs two, whatever the volume needs."
  }

  validation {
    condition     = var.load_balancer == null || try(startswith(var.load_balancer.health_check_path, "/"), false)
    error_message = "load_balancer.health_check_path must begin with /."
  }

  validation {
    condition     = var.load_balancer == null || try(var.load_balancer.deregistration_delay_s >= 0 && var.load_balancer.deregistration_delay_s <= 60, false)
    error_message = "load_balancer.deregistration_delay_s must be 0 to 60: every second of it belongs to the outage of a single writer."
  }

  validation {
    condition     = var.load_balancer == null || try(alltrue([for block in var.load_balancer.client_cidr_blocks : can(cidrhost(block, 0))]) && length(var.load_balancer.client_cidr_blocks) > 0, false)
    error_message = "load_balancer.client_cidr_blocks must name who may reach it, as CIDR blocks."
  }

  validation {
    condition     = try(startswith(var.load_balancer.certificate_arn, "arn:"), true)
    error_message = "load_balancer.certificate_arn must be the ARN of a certificate, or null for HTTP."
  }
}

################################################################################
# Deployments
################################################################################

variable "kept_task_definition_arn" {
  description = "Revision that the service stays on while another one is registered: with it no apply moves the task. null: the newest."
  type        = string
  default     = null

  validation {
    condition     = var.kept_task_definition_arn == null || can(regex("^arn:[a-z-]+:ecs:[a-z0-9-]+:[0-9]{12}:task-definition/[A-Za-z0-9_-]+:[0-9]+$", var.kept_task_definition_arn))
    error_message = "kept_task_definition_arn must be the ARN of a task definition with its revision."
  }
}

variable "circuit_breaker_rollback" {
  description = "Whether a deployment that fails goes back to the last one that completed."
  type        = bool
  default     = true
  nullable    = false
}

variable "autoscaling" {
  description = "Target tracking by CPU, or null: for a service without data volume, or one that only reads it, behind a load balancer, with host_port 0. A data volume has one writer, so for a service that writes there is none."
  type = object({
    min_tasks          = number
    max_tasks          = number
    target_cpu_percent = optional(number, 60)
  })
  default = null

  validation {
    condition     = var.autoscaling == null || var.task_volume == null || local.only_reads
    error_message = "autoscaling must be null for a service that writes to its data volume: the volume has one writer. Scale the host instead (62_resize)."
  }

  validation {
    condition     = var.autoscaling == null || local.can_have_more_tasks
    error_message = "autoscaling of a service that reads its data volume needs load_balancer and host_port 0: every task runs on the one host that has the volume, where a fixed port is taken."
  }

  validation {
    condition     = var.autoscaling == null || try(var.autoscaling.min_tasks >= 1 && var.autoscaling.max_tasks >= var.autoscaling.min_tasks, false)
    error_message = "autoscaling.min_tasks must be at least 1 and autoscaling.max_tasks not below it."
  }

  validation {
    condition     = var.autoscaling == null || try(var.autoscaling.target_cpu_percent >= 10 && var.autoscaling.target_cpu_percent <= 90, false)
    error_message = "autoscaling.target_cpu_percent must be 10 to 90."
  }
}
