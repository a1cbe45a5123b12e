output "cluster_arn" {
  description = "ARN of the ECS cluster."
  value       = aws_ecs_cluster.this.arn
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "capacity_provider_name" {
  description = "Name of the capacity provider, known once the cluster accepts it."
  value       = one(aws_ecs_cluster_capacity_providers.this.capacity_providers)
}

output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group of the container instances."
  value       = aws_autoscaling_group.this.name
}

output "launch_template_id" {
  description = "Id of the launch template."
  value       = aws_launch_template.this.id
}

output "launch_template_version" {
  description = "Version of the launch template that new instances get."
  value       = aws_launch_template.this.latest_version
}

output "instance_role_name" {
  description = "Name of the container instances' role."
  value       = aws_iam_role.instance.name
}

output "instance_role_arn" {
  description = "ARN of the container instances' role."
  value       = aws_iam_role.instance.arn
}

output "instance_security_group_id" {
  description = "Security group of the container instances; the service adds its ingress rules to it."
  value       = aws_security_group.instance.id
}

output "log_group_name" {
  description = "Log group of the containers."
  value       = aws_cloudwatch_log_group.this.name
}

output "log_group_arn" {
  description = "ARN of the log group."
  value       = aws_cloudwatch_log_group.this.arn
}

output "availability_zone" {
  description = "Availability Zone of the container instances."
  value       = local.availability_zone
}
