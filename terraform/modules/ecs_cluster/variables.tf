################################################################################
# Names and place
################################################################################

variable "name" {
  description = "Name of the ECS cluster; launch template, Auto Scaling group and roles begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 characters: lower-case letters, digits and hyphens, beginning with a letter."
  }

  validation {
    # ECS reserves these prefixes for capacity provider names.
    condition     = !can(regex("^(aws|ecs|fargate)", var.name))
    error_message = "name must not begin with aws, ecs or fargate: ECS refuses a capacity provider of that name."
  }
}

variable "region" {
  description = "AWS region, for resource names in IAM policies."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region name such as us-east-1."
  }
}

variable "account_id" {
  description = "AWS account, for resource names in IAM policies."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be exactly 12 digits, as a string: a leading zero counts."
  }
}

variable "vpc_id" {
  description = "VPC of the container instances. It exists already; this module creates no network."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must look like vpc-0123456789abcdef0."
  }
}

variable "subnet_ids" {
  description = "Subnets of the container instances, all in the data volume's Availability Zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0 && alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids must hold at least one id that looks like subnet-0123456789abcdef0."
  }
}

################################################################################
# Container instances
################################################################################

variable "ami_id" {
  description = "ECS-optimized AL2023 image. Read once from its SSM parameter and pinned, so that an unrelated apply never replaces the only host."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.ami_id))
    error_message = "ami_id must be one image id such as ami-0123456789abcdef0, not a parameter name."
  }
}

variable "instance_types" {
  description = "Instance types, preferred first. More than one makes a mixed instances policy, for the day the zone has no capacity."
  type        = list(string)

  validation {
    condition     = length(var.instance_types) > 0 && alltrue([for type in var.instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))])
    error_message = "instance_types must hold at least one type such as t3.small."
  }

  validation {
    condition     = alltrue([for type in var.instance_types : !can(regex("^(a1|mac2[a-z0-9-]*|[a-z]+[0-9]+g[a-z]*)\\.", type))])
    error_message = "instance_types must be x86_64: the volume plugin does not start on arm64 hosts (rexray issue 1255)."
  }
}

variable "min_size" {
  description = "Smallest number of container instances."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_size >= 1 && floor(var.min_size) == var.min_size
    error_message = "min_size must be a whole number of at least 1: the service needs a host that is warm."
  }
}

variable "max_size" {
  description = "Largest number of container instances."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.max_size >= 2 && var.max_size > var.min_size && floor(var.max_size) == var.max_size
    error_message = "max_size must be at least 2 and above min_size: a replacement host is launched before the other one ends."
  }
}

variable "root_volume_size_gib" {
  description = "Size of the encrypted root volume in GiB."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.root_volume_size_gib >= 30 && var.root_volume_size_gib <= 16384
    error_message = "root_volume_size_gib must be 30 to 16384: the ECS-optimized image has 30 GiB."
  }
}

variable "root_volume_kms_key_arn" {
  description = "Customer key for the root volume; null uses the account's default EBS key."
  type        = string
  default     = null

  validation {
    condition     = var.root_volume_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:", var.root_volume_kms_key_arn))
    error_message = "root_volume_kms_key_arn must be the ARN of a KMS key, or null."
  }
}

variable "keeps_host_mount_hosts" {
  description = "Whether hosts of the storage driver host_mount still run in this cluster, whose driver is another one by now: they keep their permissions."
  type        = bool
  default     = false
  nullable    = false
}

variable "kept_volume_ids" {
  description = "Volumes that hosts of this cluster may attach and detach beside volume_id, while the service moves from one of them to it."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.kept_volume_ids : can(regex("^vol-[0-9a-f]+$", id))])
    error_message = "Each of kept_volume_ids must look like vol-0123456789abcdef0."
  }
}

variable "http_tokens" {
  description = "Instance metadata service: required means IMDSv2 only. optional is for the stock plugin, which cannot use IMDSv2."
  type        = string
  default     = "required"
  nullable    = false

  validation {
    condition     = contains(["required", "optional"], var.http_tokens)
    error_message = "http_tokens must be required or optional."
  }

  validation {
    condition     = var.http_tokens == "required" || can(regex("^(docker\\.io/)?rexray/ebs[:@]", var.storage_boot.plugin_reference))
    error_message = "http_tokens may be optional only with the stock plugin rexray/ebs; the maintained fork works with IMDSv2."
  }
}

variable "instance_warmup_s" {
  description = "Seconds after which a new instance counts for an instance refresh."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.instance_warmup_s >= 0 && var.instance_warmup_s <= 3600
    error_message = "instance_warmup_s must be 0 to 3600."
  }
}

################################################################################
# ECS agent
################################################################################

variable "container_stop_timeout_s" {
  description = "Seconds between SIGTERM and SIGKILL for containers that state no stopTimeout of their own."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.container_stop_timeout_s >= 2 && var.container_stop_timeout_s <= 600
    error_message = "container_stop_timeout_s must be 2 to 600, and at least what the application needs to close its files."
  }
}

variable "ecs_agent_settings" {
  description = "Further lines of /etc/ecs/ecs.config, for example { ECS_LOGLEVEL = \"warn\" }."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key, value in var.ecs_agent_settings : can(regex("^ECS_[A-Z0-9_]+$", key)) && can(regex("^[^\\n\\r]*$", value))])
    error_message = "ecs_agent_settings must have names that begin with ECS_ and values of one line."
  }

  validation {
    condition = length(setintersection(keys(var.ecs_agent_settings), [
      "ECS_CLUSTER", "ECS_INSTANCE_ATTRIBUTES", "ECS_SHARED_VOLUME_MATCH_FULL_CONFIG", "ECS_CONTAINER_STOP_TIMEOUT",
    ])) == 0
    error_message = "ecs_agent_settings must not set what this module sets: ECS_CLUSTER, ECS_INSTANCE_ATTRIBUTES, ECS_SHARED_VOLUME_MATCH_FULL_CONFIG, ECS_CONTAINER_STOP_TIMEOUT."
  }
}

variable "log_retention_days" {
  description = "Days that container logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a retention that CloudWatch Logs knows, such as 30, 90 or 365."
  }
}

variable "container_insights" {
  description = "Container Insights of the cluster: disabled, enabled or enhanced."
  type        = string
  default     = "disabled"
  nullable    = false

  validation {
    condition     = contains(["disabled", "enabled", "enhanced"], var.container_insights)
    error_message = "container_insights must be disabled, enabled or enhanced."
  }
}

################################################################################
# Data volume
################################################################################

variable "volume_id" {
  description = "The data volume: the only one that container instances may attach or detach."
  type        = string

  validation {
    condition     = can(regex("^vol-[0-9a-f]+$", var.volume_id))
    error_message = "volume_id must look like vol-0123456789abcdef0."
  }
}

variable "volume_kms_key_arn" {
  description = "Customer key that encrypts the data volume; null when it is not encrypted or uses the AWS managed key."
  type        = string
  default     = null

  validation {
    condition     = var.volume_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.volume_kms_key_arn))
    error_message = "volume_kms_key_arn must be the ARN of a KMS key (not of an alias), or null."
  }
}

variable "storage_boot" {
  description = "What the storage driver needs at boot. rexray: the Docker volume plugin, its alias and its whole environment. host_mount: the filesystem it may mount, where, and the tag that hands the volume over."
  type = object({
    driver      = string
    volume_name = string
    volume_id   = string

    plugin_reference   = optional(string)
    plugin_alias       = optional(string)
    plugin_environment = optional(map(string))

    allow_unpinned_plugin = optional(bool)

    region          = optional(string)
    mount_path      = optional(string)
    filesystem_type = optional(string)
    filesystem_uuid = optional(string)
    handed_over_tag = optional(string)
    device_name     = optional(string)
    poll_s          = optional(number)
  })

  validation {
    condition     = contains(["rexray", "host_mount"], var.storage_boot.driver)
    error_message = "storage_boot.driver must be rexray or host_mount: these are the drivers this module can prepare at boot."
  }

  validation {
    condition = var.storage_boot.driver != "rexray" || can(regex(
      coalesce(var.storage_boot.allow_unpinned_plugin, false) ? "^[a-z0-9][a-z0-9._/:@-]*$" : "^[a-z0-9][a-z0-9._/:-]*@sha256:[0-9a-f]{64}$",
      var.storage_boot.plugin_reference
    ))
    error_message = "storage_boot.plugin_reference must be pinned by digest (name@sha256:...): the plugin has root's power on the host. allow_unpinned_plugin = true accepts that it may change between two boots."
  }

  validation {
    condition     = var.storage_boot.driver != "rexray" || can(regex("^[a-z0-9]+(/[a-z0-9._-]+)+$", var.storage_boot.plugin_alias))
    error_message = "storage_boot.plugin_alias must be a name without a tag such as rexray/ebs: the ECS agent registers it as the driver."
  }

  validation {
    condition     = var.storage_boot.driver != "rexray" || try(lookup(var.storage_boot.plugin_environment, "REXRAY_PREEMPT", "") == "false", false)
    error_message = "storage_boot.plugin_environment must state REXRAY_PREEMPT = \"false\": true takes the volume from a host that still writes."
  }

  validation {
    condition = var.storage_boot.driver != "rexray" || alltrue([for key in ["LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH", "LINUX_VOLUME_ROOTPATH"] :
      can(regex("^/", var.storage_boot.plugin_environment[key]))
    ])
    error_message = "storage_boot.plugin_environment must state LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH and LINUX_VOLUME_ROOTPATH: their defaults show an existing volume as empty."
  }

  validation {
    condition     = var.storage_boot.driver != "rexray" || try(can(regex("^0[0-7]{3,4}$", lookup(var.storage_boot.plugin_environment, "LINUX_VOLUME_FILEMODE", ""))), false)
    error_message = "storage_boot.plugin_environment must state LINUX_VOLUME_FILEMODE with a leading zero (0700): the plugin reads 700 as a decimal number."
  }

  validation {
    condition     = try(length(setintersection(keys(var.storage_boot.plugin_environment), ["EBS_ACCESSKEY", "EBS_SECRETKEY"])) == 0, true)
    error_message = "storage_boot.plugin_environment must hold no keys: the plugin uses the instance role."
  }

  validation {
    condition     = length(trimspace(var.storage_boot.volume_name)) > 0
    error_message = "storage_boot.volume_name must be the Name tag that the driver looks for."
  }

  validation {
    condition     = var.storage_boot.volume_id == var.volume_id
    error_message = "storage_boot.volume_id must equal volume_id."
  }

  validation {
    condition     = var.storage_boot.driver != "host_mount" || can(regex("^/[^/]+/[^/]+(/[^/]+)*$", var.storage_boot.mount_path))
    error_message = "storage_boot.mount_path must be a path below a folder of its own, such as /mnt/runbook/data: the folder above it becomes immutable."
  }

  validation {
    condition     = var.storage_boot.driver != "host_mount" || try(contains(["ext2", "ext3", "ext4", "xfs", "btrfs"], var.storage_boot.filesystem_type), false)
    error_message = "storage_boot.filesystem_type must be ext2, ext3, ext4, xfs or btrfs: nothing else is mounted."
  }

  validation {
    condition     = var.storage_boot.driver != "host_mount" || can(regex("^[0-9A-Fa-f-]{8,36}$", var.storage_boot.filesystem_uuid))
    error_message = "storage_boot.filesystem_uuid must be the UUID of the data volume's filesystem: no other is mounted."
  }

  validation {
    condition     = var.storage_boot.driver != "host_mount" || try(length(var.storage_boot.handed_over_tag) > 0 && length(var.storage_boot.region) > 0, false)
    error_message = "storage_boot.handed_over_tag and storage_boot.region must be set: without the tag on the volume no host takes it."
  }

  validation {
    condition     = var.storage_boot.driver != "host_mount" || can(regex("^/dev/(sd|xvd)[f-p]$", var.storage_boot.device_name))
    error_message = "storage_boot.device_name must be /dev/sdf to /dev/sdp."
  }

  validation {
    condition     = var.storage_boot.driver != "host_mount" || try(var.storage_boot.poll_s >= 1 && var.storage_boot.poll_s <= 60, false)
    error_message = "storage_boot.poll_s must be 1 to 60 seconds: a longer one would be part of every outage."
  }
}
