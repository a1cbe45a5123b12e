# Every validation refuses what it says it refuses. A run that names several variables expects each of them to fail.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_subnet" {
    defaults = { availability_zone = "us-east-1a", vpc_id = "vpc-0a" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::012345678901:instance-profile/guestbook-instance" }
  }

  mock_resource "aws_autoscaling_group" {
    defaults = { arn = "arn:aws:autoscaling:us-east-1:012345678901:autoScalingGroup:a:autoScalingGroupName/guestbook" }
  }
}

variables {
  name           = "guestbook"
  region         = "us-east-1"
  account_id     = "012345678901"
  vpc_id         = "vpc-0a"
  subnet_ids     = ["subnet-0a"]
  ami_id         = "ami-0a"
  instance_types = ["t3.small"]
  volume_id      = "vol-0a"

  storage_boot = {
    driver           = "rexray"
    plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
    plugin_alias     = "rexray/ebs"
    plugin_environment = {
      EBS_REGION                                              = "us-east-1"
      LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
      LINUX_VOLUME_FILEMODE                                   = "0700"
      LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
      REXRAY_PREEMPT                                          = "false"
    }
    volume_name = "guestbook-data"
    volume_id   = "vol-0a"
  }
}

run "values_of_the_wrong_shape_are_refused" {
  command = plan

  variables {
    name                     = "Guest Book"
    region                   = "Virginia"
    account_id               = "12345678901"
    vpc_id                   = "guestbook"
    ami_id                   = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended"
    min_size                 = 0
    root_volume_size_gib     = 8
    root_volume_kms_key_arn  = "alias/ebs"
    http_tokens              = "none"
    instance_warmup_s        = -1
    container_stop_timeout_s = 1
    log_retention_days       = 31
    container_insights       = "on"
    volume_kms_key_arn       = "arn:aws:kms:us-east-1:012345678901:alias/data"
    ecs_agent_settings       = { LOGLEVEL = "warn" }
    instance_types           = []
  }

  expect_failures = [var.name, var.region, var.account_id, var.vpc_id, var.ami_id, var.min_size, var.root_volume_size_gib, var.root_volume_kms_key_arn, var.http_tokens, var.instance_warmup_s, var.container_stop_timeout_s, var.log_retention_days, var.container_insights, var.volume_kms_key_arn, var.ecs_agent_settings, var.instance_types]
}

run "the_volume_id_must_be_an_id" {
  command = plan

  variables {
    volume_id = "guestbook-data"
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "guestbook-data"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.volume_id]
}

run "a_subnet_id_must_be_an_id" {
  command = plan

  variables {
    subnet_ids = ["public"]
  }

  expect_failures = [var.subnet_ids]
}

run "at_least_one_subnet_is_needed" {
  command = plan

  variables {
    subnet_ids = []
  }

  expect_failures = [var.subnet_ids]
}

run "a_name_that_ecs_reserves_is_refused" {
  command = plan

  variables {
    name = "ecs-guestbook"
  }

  expect_failures = [var.name]
}

run "arm64_instances_are_refused_because_the_plugin_does_not_start" {
  command = plan

  variables {
    instance_types = ["t3.small", "m7gd.large"]
  }

  expect_failures = [var.instance_types]
}

run "a_group_without_room_for_a_replacement_is_refused" {
  command = plan

  variables {
    max_size = 1
  }

  expect_failures = [var.max_size]
}

run "a_full_group_has_no_room_for_a_replacement" {
  command = plan

  variables {
    min_size = 2
    max_size = 2
  }

  expect_failures = [var.max_size]
}

run "imdsv1_is_refused_for_the_maintained_fork" {
  command = plan

  variables {
    http_tokens = "optional"
  }

  expect_failures = [var.http_tokens]
}

run "imdsv1_is_accepted_for_the_stock_plugin" {
  command = plan

  variables {
    http_tokens = "optional"
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "rexray/ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "optional"
    error_message = "The stock plugin cannot use IMDSv2."
  }
}

run "agent_settings_of_the_module_cannot_be_overridden" {
  command = plan

  variables {
    ecs_agent_settings = { ECS_CLUSTER = "default" }
  }

  expect_failures = [var.ecs_agent_settings]
}

run "agent_settings_have_one_line" {
  command = plan

  variables {
    ecs_agent_settings = { ECS_LOGLEVEL = "warn\nECS_CLUSTER=default" }
  }

  expect_failures = [var.ecs_agent_settings]
}

run "an_unknown_storage_driver_is_refused" {
  command = plan

  variables {
    storage_boot = {
      driver           = "convoy"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "a_plugin_that_is_not_pinned_by_digest_is_refused" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "rexray/ebs:latest"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "an_alias_with_a_tag_is_refused_because_the_agent_would_register_another_driver" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs:latest"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "preempt_is_refused_because_it_takes_the_volume_from_a_live_host" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "true"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "preempt_must_be_stated" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "the_mount_root_path_must_be_stated" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION            = "us-east-1"
        LINUX_VOLUME_FILEMODE = "0700"
        LINUX_VOLUME_ROOTPATH = "/.runbook"
        REXRAY_PREEMPT        = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "the_volume_root_path_must_be_stated" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "a_file_mode_without_leading_zero_is_refused_because_it_is_read_as_decimal" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "access_keys_in_the_plugin_environment_are_refused" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
        EBS_ACCESSKEY                                           = "AKIA"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "a_volume_needs_a_name" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = " "
      volume_id        = "vol-0a"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "the_boot_configuration_is_about_the_data_volume" {
  command = plan

  variables {
    storage_boot = {
      driver           = "rexray"
      plugin_reference = "registry.example/rexray-ebs@sha256:0123456789012345678901234567890123456789012345678901234567890123"
      plugin_alias     = "rexray/ebs"
      volume_name      = "guestbook-data"
      volume_id        = "vol-0b"
      plugin_environment = {
        EBS_REGION                                              = "us-east-1"
        LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH = "/"
        LINUX_VOLUME_FILEMODE                                   = "0700"
        LINUX_VOLUME_ROOTPATH                                   = "/.runbook"
        REXRAY_PREEMPT                                          = "false"
      }
    }
  }

  expect_failures = [var.storage_boot]
}

run "a_mount_path_without_a_folder_of_its_own_is_refused" {
  command = plan

  variables {
    storage_boot = {
      driver          = "host_mount"
      volume_name     = "guestbook-data"
      volume_id       = "vol-0a"
      region          = "us-east-1"
      mount_path      = "/mnt"
      filesystem_type = "ext4"
      filesystem_uuid = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
      handed_over_tag = "runbook:cut-over-utc"
      device_name     = "/dev/sdf"
      poll_s          = 3
    }
  }

  expect_failures = [var.storage_boot]
}

run "a_filesystem_of_another_type_is_refused" {
  command = plan

  variables {
    storage_boot = {
      driver          = "host_mount"
      volume_name     = "guestbook-data"
      volume_id       = "vol-0a"
      region          = "us-east-1"
      mount_path      = "/mnt/runbook/data"
      filesystem_type = "zfs"
      filesystem_uuid = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
      handed_over_tag = "runbook:cut-over-utc"
      device_name     = "/dev/sdf"
      poll_s          = 3
    }
  }

  expect_failures = [var.storage_boot]
}

run "the_filesystem_must_be_named" {
  command = plan

  variables {
    storage_boot = {
      driver          = "host_mount"
      volume_name     = "guestbook-data"
      volume_id       = "vol-0a"
      region          = "us-east-1"
      mount_path      = "/mnt/runbook/data"
      filesystem_type = "ext4"
      handed_over_tag = "runbook:cut-over-utc"
      device_name     = "/dev/sdf"
      poll_s          = 3
    }
  }

  expect_failures = [var.storage_boot]
}

run "the_tag_that_hands_the_volume_over_must_be_named" {
  command = plan

  variables {
    storage_boot = {
      driver          = "host_mount"
      volume_name     = "guestbook-data"
      volume_id       = "vol-0a"
      region          = "us-east-1"
      mount_path      = "/mnt/runbook/data"
      filesystem_type = "ext4"
      filesystem_uuid = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
      device_name     = "/dev/sdf"
      poll_s          = 3
    }
  }

  expect_failures = [var.storage_boot]
}

run "the_device_of_the_root_volume_is_refused" {
  command = plan

  variables {
    storage_boot = {
      driver          = "host_mount"
      volume_name     = "guestbook-data"
      volume_id       = "vol-0a"
      region          = "us-east-1"
      mount_path      = "/mnt/runbook/data"
      filesystem_type = "ext4"
      filesystem_uuid = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
      handed_over_tag = "runbook:cut-over-utc"
      device_name     = "/dev/xvda"
      poll_s          = 3
    }
  }

  expect_failures = [var.storage_boot]
}

run "a_unit_that_hardly_ever_looks_is_refused" {
  command = plan

  variables {
    storage_boot = {
      driver          = "host_mount"
      volume_name     = "guestbook-data"
      volume_id       = "vol-0a"
      region          = "us-east-1"
      mount_path      = "/mnt/runbook/data"
      filesystem_type = "ext4"
      filesystem_uuid = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
      handed_over_tag = "runbook:cut-over-utc"
      device_name     = "/dev/sdf"
      poll_s          = 600
    }
  }

  expect_failures = [var.storage_boot]
}
