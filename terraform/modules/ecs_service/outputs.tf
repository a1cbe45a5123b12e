output "service_name" {
  description = "Name of the ECS service."
  value       = aws_ecs_service.this.name
}

output "service_arn" {
  description = "ARN of the ECS service."
  value       = aws_ecs_service.this.id
}

output "task_definition_arn" {
  description = "Revision of the task definition that the service runs."
  value       = aws_ecs_task_definition.this.arn
}

output "execution_role_arn" {
  description = "ARN of the role that starts the containers."
  value       = aws_iam_role.execution.arn
}

output "volume_id" {
  description = "The data volume, or null."
  value       = var.volume_id
}

output "load_balancer_dns_name" {
  description = "DNS name of the load balancer, or null."
  value       = one(aws_lb.this[*].dns_name)
}

output "target_group_arn" {
  description = "ARN of the target group, or null."
  value       = one(aws_lb_target_group.this[*].arn)
}
