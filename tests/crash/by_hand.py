"""What Terraform prepares for a storage driver, made by hand from what it had made for that driver before.

Terraform prepares the same thing in every change to a driver, and its plans and applies would be nine tenths of what
the ways back cost. So they are asked for in every change there and back, and where one of their own steps is struck;
else the world is given what they make: another revision, the launch template's version, the permissions.
"""

from __future__ import annotations

import json

from tests.crash.source import wait_until

CLUSTER = "guestbook"
ROLE = {"RoleName": f"{CLUSTER}-instance", "PolicyName": "ecs-agent"}
REGISTERED = ("family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes",
              "placementConstraints", "requiresCompatibilities", "cpu", "memory", "runtimePlatform")  # fmt: skip


class Prepared:
    """What Terraform had made when the service ran on a driver.

    Args:
        sandbox: Where.
    """

    def __init__(self, sandbox):
        self._ecs, self._iam = sandbox.client("ecs"), sandbox.client("iam")
        self._groups = sandbox.client("autoscaling")
        (service,) = self._ecs.describe_services(cluster=CLUSTER, services=[CLUSTER])["services"]
        found = self._ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        self._definition = {key: found[key] for key in REGISTERED if found.get(key)}
        (group,) = self._groups.describe_auto_scaling_groups()["AutoScalingGroups"]
        self._group, self._policy_of_group = group["AutoScalingGroupName"], group["MixedInstancesPolicy"]
        self._policy_of_group["LaunchTemplate"]["LaunchTemplateSpecification"].pop("LaunchTemplateName")
        state = json.loads((sandbox.state_dir / "terraform.tfstate").read_text("utf-8"))
        self._outputs = {name: output["value"] for name, output in state["outputs"].items()}
        self._policy = self._iam.get_role_policy(**ROLE)["PolicyDocument"]

    def again(self, *, with_permissions, with_revision):
        """Make it again; return what Terraform would put out.

        Args:
            with_permissions: Whether hosts of this driver need permissions of their own; those of others stay.
            with_revision: Whether the task definition differs, so that another revision is registered.
        """
        wait_until(self._has_launched, "the group has launched what it wants, from the template that it had")
        if with_permissions:
            self.permit()
        self._groups.update_auto_scaling_group(
            AutoScalingGroupName=self._group, MixedInstancesPolicy=self._policy_of_group
        )
        if not with_revision:
            (service,) = self._ecs.describe_services(cluster=CLUSTER, services=[CLUSTER])["services"]
            return self._outputs | {"task_definition_arn": service["taskDefinition"]}
        made = self._ecs.register_task_definition(**self._definition)["taskDefinition"]
        return self._outputs | {"task_definition_arn": made["taskDefinitionArn"]}

    def _has_launched(self):
        (group,) = self._groups.describe_auto_scaling_groups()["AutoScalingGroups"]
        return len(group["Instances"]) == group["DesiredCapacity"]

    def permit(self):
        """Give the hosts the permissions again that they had."""
        self._iam.put_role_policy(**ROLE, PolicyDocument=json.dumps(self._policy))
