# What keeps the data volume and its only writer safe.

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

run "a_tag_is_taken_when_its_risk_was_accepted" {
  command = plan

  variables {
    storage_boot = {
      driver                = "rexray"
      plugin_reference      = "registry.example/rexray-ebs:latest"
      allow_unpinned_plugin = true
      plugin_alias          = "rexray/ebs"
      volume_name           = "guestbook-data"
      volume_id             = "vol-0a"
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
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "registry.example/rexray-ebs:latest")
    error_message = "The host must install the plugin that was named."
  }
}

run "instances_use_imdsv2_and_an_encrypted_root_volume" {
  command = plan

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required"
    error_message = "IMDSv2 must be required."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Containers must not reach the host's credentials."
  }

  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "The root volume must be encrypted."
  }

  assert {
    condition     = aws_launch_template.this.key_name == null
    error_message = "Hosts are reached by SSM, never by an SSH key."
  }

  assert {
    condition     = aws_launch_template.this.image_id == var.ami_id
    error_message = "The image must be the pinned one."
  }
}

run "no_volume_gets_a_name_from_the_launch_template" {
  command = plan

  assert {
    condition = alltrue([
      for specification in aws_launch_template.this.tag_specifications :
      !contains([for key in keys(specification.tags) : lower(key)], "name") if specification.resource_type == "volume"
    ])
    error_message = "The plugin finds the data volume by its Name; no other volume may carry one."
  }

  assert {
    condition = anytrue([
      for specification in aws_launch_template.this.tag_specifications :
      specification.resource_type == "instance" && lookup(specification.tags, "runbook-cluster", "") == "guestbook"
    ])
    error_message = "IAM knows the instances of this cluster by their tag."
  }
}

run "a_host_is_replaced_on_purpose_and_after_its_replacement_runs" {
  command = plan

  assert {
    condition = (
      aws_autoscaling_group.this.instance_maintenance_policy[0].min_healthy_percentage == 100 &&
      aws_autoscaling_group.this.instance_maintenance_policy[0].max_healthy_percentage == 200
    )
    error_message = "Launch before terminate."
  }

  assert {
    condition     = aws_autoscaling_group.this.max_size >= 2
    error_message = "There must be room for the replacement."
  }

  assert {
    condition     = contains(aws_autoscaling_group.this.suspended_processes, "AZRebalance")
    error_message = "Rebalancing must be suspended."
  }

  assert {
    condition     = length(aws_autoscaling_group.this.instance_refresh) == 0
    error_message = "A refresh moves the only task; an apply must not start one."
  }

  assert {
    condition     = aws_ecs_capacity_provider.this.auto_scaling_group_provider[0].managed_draining == "ENABLED"
    error_message = "A host must be drained before it ends."
  }

  assert {
    condition     = aws_ecs_capacity_provider.this.auto_scaling_group_provider[0].managed_scaling[0].status == "DISABLED"
    error_message = "One writer needs one host."
  }
}

run "the_instance_role_moves_this_volume_only" {
  command = plan

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.volume.policy).Statement : statement.Resource if statement.Sid == "MoveThisVolume"
    ] == ["arn:aws:ec2:us-east-1:012345678901:volume/vol-0a"]
    error_message = "Attach and detach must be limited to the data volume."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.volume.policy).Statement :
      [statement.Resource, statement.Condition.StringEquals["aws:ResourceTag/runbook-rehearsal"]]
      if statement.Sid == "MoveARehearsalsClone"
    ] == [["arn:aws:ec2:us-east-1:012345678901:volume/*", "guestbook"]]
    error_message = "Beside the data volume only what carries the rehearsal's tag of this cluster may be moved."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.volume.policy).Statement :
      statement.Condition.StringEquals["aws:ResourceTag/runbook-cluster"] if statement.Sid == "BetweenInstancesOfThisCluster"
    ] == ["guestbook"]
    error_message = "Attach and detach must be limited to instances of this cluster."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.volume.policy).Statement : statement.Action if statement.Effect == "Allow"
    ])) == toset(["ec2:DescribeVolumes", "ec2:AttachVolume", "ec2:DetachVolume"])
    error_message = "The plugin needs three actions for an existing volume."
  }

  assert {
    condition     = length(aws_iam_role_policy.volume_key) == 0
    error_message = "Without a customer key there is nothing to grant."
  }
}

run "what_could_cost_data_is_denied_explicitly" {
  command = plan

  assert {
    condition = length(setsubtract(
      ["ec2:CreateVolume", "ec2:DeleteVolume", "ec2:CreateTags", "ec2:DeleteTags", "ec2:ModifyVolume", "ec2:CopyVolumes", "ec2:DeleteSnapshot"],
      flatten([
        for statement in jsondecode(aws_iam_role_policy.denied.policy).Statement : statement.Action
        if statement.Effect == "Deny" && lookup(statement, "Resource", "") == "*"
      ])
    )) == 0
    error_message = "Create, delete, change and tag must be denied on everything."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.denied.policy).Statement : toset(statement.NotResource) if statement.Sid == "NoOtherVolume"
      ] == [toset([
        "arn:aws:ec2:us-east-1:012345678901:volume/vol-0a", "arn:aws:ec2:us-east-1:012345678901:instance/*",
    ])]
    error_message = "Every other volume must be denied."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.denied.policy).Statement :
      statement.Condition.StringNotEquals["aws:ResourceTag/runbook-rehearsal"] if statement.Sid == "NoOtherVolume"
    ] == ["guestbook"]
    error_message = "Every other volume must be denied, unless it carries the rehearsal's tag, which the role cannot set."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.denied.policy).Statement :
      statement.Condition.StringNotEquals["aws:ResourceTag/runbook-cluster"] if statement.Sid == "NoOtherInstance"
    ] == ["guestbook"]
    error_message = "Every instance outside the cluster must be denied."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.denied.policy).Statement : statement.Effect == "Deny"])
    error_message = "This policy denies."
  }
}

run "the_agent_can_join_this_cluster_only" {
  command = plan

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.agent.policy).Statement : statement.Resource if statement.Sid == "JoinThisCluster"
    ] == ["arn:aws:ecs:us-east-1:012345678901:cluster/guestbook"]
    error_message = "An agent without ECS_CLUSTER tries the cluster default; that must be refused."
  }

  assert {
    condition     = aws_iam_role_policy_attachment.ssm.policy_arn == "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    error_message = "Run Command is the only way to the hosts."
  }
}

run "a_customer_key_is_granted_to_ebs" {
  command = plan

  variables {
    volume_kms_key_arn = "arn:aws:kms:us-east-1:012345678901:key/0a"
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.volume_key[0].policy).Statement :
      statement.Condition.Bool["kms:GrantIsForAWSResource"] if contains(statement.Action, "kms:CreateGrant")
    ] == ["true"]
    error_message = "The grant must be for AWS resources only."
  }
}

run "nobody_reaches_a_host_from_outside" {
  command = plan

  assert {
    condition     = aws_vpc_security_group_egress_rule.instance.ip_protocol == "-1"
    error_message = "The module adds one rule, outwards."
  }

  assert {
    condition     = aws_security_group.instance.vpc_id == "vpc-0a"
    error_message = "The security group belongs to the given VPC."
  }
}

run "user_data_prepares_the_plugin_and_joins_last" {
  command = plan

  assert {
    condition     = startswith(base64decode(aws_launch_template.this.user_data), "#cloud-config\n")
    error_message = "User data must be cloud-config."
  }

  assert {
    condition = yamldecode(base64decode(aws_launch_template.this.user_data)).runcmd == [
      ["systemctl", "daemon-reload"], ["python3", "/usr/local/sbin/runbook-boot", "join"],
    ]
    error_message = "Argument lists only, and nothing that restarts ecs or docker."
  }

  assert {
    condition = [
      for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files :
      jsondecode(file.content).ecs_config.ECS_CLUSTER if file.path == "/etc/runbook/boot.json"
    ] == ["guestbook"]
    error_message = "The cluster name travels in the boot configuration, not in ecs.config."
  }

  assert {
    condition     = !contains([for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files : file.path], "/etc/ecs/ecs.config")
    error_message = "ecs.config is written last, by the boot script."
  }

  assert {
    condition = [
      for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files : file.content == file("files/runbook_boot.py")
      if file.path == "/usr/local/sbin/runbook-boot"
    ] == [true]
    error_message = "The boot script must arrive unchanged."
  }

  assert {
    condition = [
      for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files :
      jsondecode(file.content).ecs_config.ECS_SHARED_VOLUME_MATCH_FULL_CONFIG if file.path == "/etc/runbook/boot.json"
    ] == ["false"]
    error_message = "With true an existing volume mismatches and the task fails."
  }

  assert {
    condition     = length(base64decode(aws_launch_template.this.user_data)) < 16384
    error_message = "EC2 takes 16 KiB of user data."
  }
}

run "a_host_mount_is_prepared_by_its_own_unit_and_joins_last" {
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
      poll_s          = 3
    }
  }

  assert {
    condition = yamldecode(base64decode(aws_launch_template.this.user_data)).runcmd == [
      ["systemctl", "daemon-reload"],
      ["python3", "/usr/local/lib/runbook/runbook_host_mount.py", "join"],
      ["systemctl", "enable", "--now", "runbook-volume.service"],
    ]
    error_message = "Argument lists only, and nothing that starts or restarts ecs or docker."
  }

  assert {
    condition = {
      for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files : basename(file.path) => file.content == base64gzip(file("files/${basename(file.path)}"))
      if startswith(file.path, "/usr/local/lib/runbook/")
    } == { "runbook_boot.py" = true, "runbook_host_mount.py" = true, "runbook_volume_host.py" = true }
    error_message = "The scripts must arrive unchanged."
  }

  assert {
    condition = [
      for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files :
      jsondecode(jsondecode(file.content).ecs_config.ECS_INSTANCE_ATTRIBUTES)["runbook.host-mount"] if file.path == "/etc/runbook/boot.json"
    ] == ["vol-0a"]
    error_message = "The capability is registered only by a host whose boot script wrote ecs.config."
  }

  assert {
    condition = [
      for file in yamldecode(base64decode(aws_launch_template.this.user_data)).write_files :
      strcontains(file.content, "Requires=runbook-storage.service runbook-volume.service") if file.path == "/etc/systemd/system/ecs.service.d/runbook.conf"
    ] == [true]
    error_message = "The agent must not start without the unit that mounts the volume."
  }

  assert {
    condition     = !strcontains(base64decode(aws_launch_template.this.user_data), "/etc/ecs/ecs.config")
    error_message = "ecs.config is written last, by the boot script."
  }

  assert {
    condition     = length(base64decode(aws_launch_template.this.user_data)) < 16384
    error_message = "EC2 takes 16 KiB of user data."
  }
}

run "a_host_mount_may_speak_of_its_own_cluster_only" {
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
      poll_s          = 3
    }
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.agent.policy).Statement :
      statement.Resource == "arn:aws:ecs:us-east-1:012345678901:cluster/guestbook" || try(statement.Condition.ArnEquals["ecs:cluster"], "") == "arn:aws:ecs:us-east-1:012345678901:cluster/guestbook"
      if contains(["FindThisHost", "SayWhetherTheVolumeIsMounted"], statement.Sid)
    ])
    error_message = "Another cluster's hosts are none of its business."
  }

  assert {
    condition     = contains(jsondecode(aws_iam_role_policy.agent.policy).Statement[*].Sid, "SayWhetherTheVolumeIsMounted")
    error_message = "The unit tells ECS whether it has the volume mounted."
  }
}

run "a_plugin_needs_no_such_permission" {
  command = plan

  assert {
    condition     = !contains(jsondecode(aws_iam_role_policy.agent.policy).Statement[*].Sid, "SayWhetherTheVolumeIsMounted")
    error_message = "Only the unit of host_mount asks ECS."
  }
}

run "hosts_of_the_former_driver_keep_their_permissions_until_they_are_gone" {
  command = plan

  variables {
    keeps_host_mount_hosts = true
  }

  assert {
    condition     = contains(jsondecode(aws_iam_role_policy.agent.policy).Statement[*].Sid, "SayWhetherTheVolumeIsMounted")
    error_message = "Without it the unit of the former driver cannot let the volume go."
  }
}

run "hosts_keep_the_former_volume_until_the_service_has_left_it" {
  command = plan

  variables {
    kept_volume_ids = ["vol-0b"]
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.volume.policy).Statement : statement.Resource
      if statement.Sid == "MoveTheFormerVolume"
    ] == [["arn:aws:ec2:us-east-1:012345678901:volume/vol-0b"]]
    error_message = "Without it the host that serves could not let the former volume go."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.denied.policy).Statement : contains(statement.NotResource, "arn:aws:ec2:us-east-1:012345678901:volume/vol-0b")
      if statement.Sid == "NoOtherVolume"
    ] == [true]
    error_message = "The deny must leave it out as well."
  }
}

run "a_kept_volume_must_be_a_volume" {
  command = plan

  variables {
    kept_volume_ids = ["snap-0b"]
  }

  expect_failures = [var.kept_volume_ids]
}

run "several_instance_types_make_a_mixed_instances_policy_without_spot" {
  command = plan

  variables {
    instance_types = ["t3.small", "t3a.small"]
  }

  assert {
    condition     = aws_autoscaling_group.this.mixed_instances_policy[0].instances_distribution[0].on_demand_percentage_above_base_capacity == 100
    error_message = "Never Spot."
  }

  assert {
    condition     = [for override in aws_autoscaling_group.this.mixed_instances_policy[0].launch_template[0].override : override.instance_type] == ["t3.small", "t3a.small"]
    error_message = "Types keep their order."
  }

  assert {
    condition     = length(aws_autoscaling_group.this.launch_template) == 0
    error_message = "One way to launch."
  }
}

run "subnets_in_two_zones_are_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-0a", "subnet-0b"]
  }

  override_data {
    target = data.aws_subnet.this["subnet-0b"]
    values = { availability_zone = "us-east-1b", vpc_id = "vpc-0a" }
  }

  expect_failures = [aws_autoscaling_group.this]
}

run "a_subnet_of_another_vpc_is_refused" {
  command = plan

  override_data {
    target = data.aws_subnet.this["subnet-0a"]
    values = { availability_zone = "us-east-1a", vpc_id = "vpc-0b" }
  }

  expect_failures = [aws_security_group.instance]
}
