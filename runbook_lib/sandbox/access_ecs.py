"""What a call of ECS wants to do to which resources. Reads moto.

Source: Service authorization reference, "Amazon Elastic Container Service"; ECS developer guide, "Grant permission to
tag resources on creation", "Task execution IAM role", "Using service-linked roles".
"""

from __future__ import annotations

from collections.abc import Mapping

from runbook_lib.sandbox.access_names import Context, account_arn, arn, request_tags, values
from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.policies import Access
from runbook_lib.sandbox.wire import ApiRequest

# Describe operation -> parameter with what is described, and the kind of it
_DESCRIBED = {
    "DescribeClusters": ("clusters", "cluster"),
    "DescribeServices": ("services", "service"),
    "DescribeTasks": ("tasks", "task"),
    "DescribeContainerInstances": ("containerInstances", "container-instance"),
    "UpdateContainerInstancesState": ("containerInstances", "container-instance"),
    "DescribeCapacityProviders": ("capacityProviders", "capacity-provider"),
}
# operation -> parameter with its one resource, and the kind of it
_ONE = {
    "CreateCluster": ("clusterName", "cluster"),
    "UpdateCluster": ("cluster", "cluster"),
    "DeleteCluster": ("cluster", "cluster"),
    "PutClusterCapacityProviders": ("cluster", "cluster"),
    "CreateCapacityProvider": ("name", "capacity-provider"),
    "DeleteCapacityProvider": ("capacityProvider", "capacity-provider"),
    "CreateService": ("serviceName", "service"),
    "UpdateService": ("service", "service"),
    "DeleteService": ("service", "service"),
    "RegisterTaskDefinition": ("family", "task-definition"),
    "RunTask": ("taskDefinition", "task-definition"),
    "StopTask": ("task", "task"),
    "ListContainerInstances": ("cluster", "cluster"),
}
_BELOW_CLUSTER = frozenset({"service", "task", "container-instance"})
_TASKS = "ecs-tasks.amazonaws.com"
_LINKED_ROLE = "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"


def accesses(request: ApiRequest) -> list[Access]:
    """Return what a call wants."""
    action, given, operation = f"ecs:{request.operation}", request.parameters, request.operation
    cluster = arn("ecs", f"cluster/{_last(given.get('cluster', 'default'))}")
    context: Context = {"ecs:cluster": cluster} if "cluster" in given else {}
    if operation in _DESCRIBED:
        name, kind = _DESCRIBED[operation]
        return [Access(action, _arn(kind, one, given), context) for one in values(given, name)] or [Access(action)]
    if operation not in _ONE:
        return [Access(action, "*", context)]
    name, kind = _ONE[operation]
    about = _arn(kind, given.get(name, "*"), given)
    tags = request_tags(given, "tags")
    found = [Access(action, about, context | tags)]
    if tags:
        made = _arn("task", "*", given) if operation == "RunTask" else about
        found.append(Access("ecs:TagResource", made, {**context, **tags, "ecs:createaction": operation}))
    return found + _implied(operation, given)


def _implied(operation: str, given: Mapping[str, str]) -> list[Access]:
    if operation == "RegisterTaskDefinition":
        return _passed(given.get("executionRoleArn"), given.get("taskRoleArn"))
    if operation == "RunTask":
        known = backend("ecs").task_definitions.get(_last(given["taskDefinition"]).partition(":")[0], {})
        newest = known[max(known)] if known else None
        return _passed(getattr(newest, "execution_role_arn", None), getattr(newest, "task_role_arn", None))
    if operation == "CreateCluster":
        service = {"iam:awsservicename": "ecs.amazonaws.com"}
        return [Access("iam:CreateServiceLinkedRole", account_arn("iam", _LINKED_ROLE), service)]
    if operation == "CreateCapacityProvider":
        group = given.get("autoScalingGroupProvider.autoScalingGroupArn", "*")
        tags: Context = {"aws:requesttag/AmazonECSManaged": "", "aws:tagkeys": ("AmazonECSManaged",)}
        return [Access("autoscaling:CreateOrUpdateTags", group, tags)]
    return []


def _passed(*roles: str | None) -> list[Access]:
    named = [one if one.startswith("arn:") else account_arn("iam", f"role/{one}") for one in roles if one]
    return [Access("iam:PassRole", role, {"iam:passedtoservice": _TASKS}) for role in dict.fromkeys(named)]


def _arn(kind: str, name: str, given: Mapping[str, str]) -> str:
    if name.startswith("arn:"):
        return name
    if kind == "task-definition":
        return arn("ecs", f"{kind}/{name if ':' in name else f'{name}:*'}")
    within = f"{_last(given.get('cluster', 'default'))}/" if kind in _BELOW_CLUSTER else ""
    return arn("ecs", f"{kind}/{within}{name}")


def _last(name: str) -> str:
    return name.rpartition("/")[2]
