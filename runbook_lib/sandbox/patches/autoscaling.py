"""Auto Scaling groups: what moto forgets of them is kept, and launching and terminating is left to the reconciler.

moto launches and terminates inside the request, forgets half of the attributes, and has no lifecycle.
Source: EC2 Auto Scaling API reference, CreateAutoScalingGroup, UpdateAutoScalingGroup, DeleteAutoScalingGroup.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from runbook_lib.sandbox import group_members as members
from runbook_lib.sandbox.backends import backend, install, operations
from runbook_lib.sandbox.patches import autoscaling_hooks, autoscaling_refreshes
from runbook_lib.sandbox.world import World

# Parameter on the wire -> attribute that moto's serializer looks for. moto stores none of these.
_STORED = {
    "DefaultInstanceWarmup": "default_instance_warmup",
    "MaxInstanceLifetime": "max_instance_lifetime",
    "InstanceMaintenancePolicy": "instance_maintenance_policy",
    "Context": "context",
    "DesiredCapacityType": "desired_capacity_type",
    "AvailabilityZoneDistribution": "availability_zone_distribution",
    "AvailabilityZoneImpairmentPolicy": "availability_zone_impairment_policy",
    "CapacityReservationSpecification": "capacity_reservation_specification",
    "ServiceLinkedRoleARN": "service_linked_role_arn",
}
# Attributes that moto stores at creation but not at an update.
_UPDATED = {
    "DefaultCooldown": "default_cooldown",
    "TerminationPolicies": "termination_policies",
    "PlacementGroup": "placement_group",
    "CapacityRebalance": "capacity_rebalance",
}


class GroupRules:
    """The rules of Auto Scaling groups."""

    def __init__(self) -> None:
        self._create = AutoScalingResponse.create_auto_scaling_group
        self._update = AutoScalingResponse.update_auto_scaling_group

    def create(self, response: Any) -> Any:
        """Answer CreateAutoScalingGroup."""
        name = response._get_param("AutoScalingGroupName")
        if name in response.autoscaling_backend.autoscaling_groups:
            message = "AutoScalingGroup by this name already exists - A group with the name " + name + " already exists"
            raise AutoscalingClientError("AlreadyExists", message)
        sizes = [response._get_int_param(key) for key in ("MinSize", "DesiredCapacity", "MaxSize")]
        _refuse_sizes(*sizes)
        answer = self._create(response)
        group = response.autoscaling_backend.autoscaling_groups[name]
        _store(response, group, _STORED)
        for hook in response._get_param("LifecycleHookSpecificationList", []):
            autoscaling_hooks.put(response.autoscaling_backend, name, hook)
        return answer

    def update(self, response: Any) -> Any:
        """Answer UpdateAutoScalingGroup."""
        group = known_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
        minimum = response._get_int_param("MinSize", group.min_size)
        maximum = response._get_int_param("MaxSize", group.max_size)
        _refuse_sizes(minimum, response._get_int_param("DesiredCapacity"), maximum)
        policy = group.mixed_instances_policy
        answer = self._update(response)
        if policy and not group.mixed_instances_policy and not response._get_param("LaunchTemplate"):
            group.mixed_instances_policy = policy  # moto drops the policy at every update that does not repeat it
        _store(response, group, _STORED | _UPDATED)
        group.desired_capacity = max(group.min_size, min(group.max_size, group.desired_capacity))
        return answer

    def delete(self, autoscaling: Any, name: str, *, force: bool = False) -> None:
        """Delete a group; one with instances only when forced, and then it goes after them."""
        group = known_group(autoscaling, name)
        if group.instance_states and not force:
            message = (
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s)"
            )
            raise AutoscalingClientError("ResourceInUse", f"{message} still in the group.")
        for key in [key for key, hook in autoscaling.lifecycle_hooks.items() if hook.auto_scaling_group_name == name]:
            autoscaling.lifecycle_hooks.pop(key)
        if not group.instance_states:
            autoscaling.autoscaling_groups.pop(name)
            return
        group.status = "Delete in progress"
        group.min_size = group.desired_capacity = 0
        for member in group.instance_states:
            members.retire(group, member, "the group was deleted by force")

    def set_desired(self, response: Any) -> Any:
        """Answer SetDesiredCapacity."""
        group = known_group(response.autoscaling_backend, response._get_param("AutoScalingGroupName"))
        wanted = response._get_int_param("DesiredCapacity")
        if wanted > group.max_size:
            message = f"New SetDesiredCapacity value {wanted} is above max value {group.max_size}"
            raise ValidationError(f"{message} for the AutoScalingGroup.")
        if wanted < group.min_size:
            message = f"New SetDesiredCapacity value {wanted} is below min value {group.min_size}"
            raise ValidationError(f"{message} for the AutoScalingGroup.")
        group.desired_capacity = wanted
        return EmptyResult()

    def terminate_member(self, response: Any) -> Any:
        """Answer TerminateInstanceInAutoScalingGroup: the member is drained, then goes."""
        instance_id = response._get_param("InstanceId")
        group, member = find_member(response.autoscaling_backend, instance_id)
        if response._get_bool_param("ShouldDecrementDesiredCapacity", False):
            if group.desired_capacity - 1 < group.min_size:
                message = f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without"
                raise ValidationError(f"{message} replacement will violate group's min size constraint.")
            group.desired_capacity -= 1
        cause = f"instance {instance_id} was taken out of service in response to a user request"
        members.retire(group, member, cause)
        return ActionResult({"Activity": group.sandbox_activities[0] | {"StatusCode": "InProgress", "Progress": 0}})


def apply(world: World) -> GroupRules:  # noqa: ARG001 - every patch of the sandbox is given the world
    """Put the rules into moto.

    Changes:
        Methods and properties of moto's Auto Scaling classes.
    """
    rules = GroupRules()
    operations(
        AutoScalingResponse,
        create_auto_scaling_group=rules.create,
        update_auto_scaling_group=rules.update,
        set_desired_capacity=rules.set_desired,
        terminate_instance_in_auto_scaling_group=rules.terminate_member,
        describe_scaling_activities=_describe_activities,
        delete_auto_scaling_group=lambda response: _delete(rules, response),
    )
    install(AutoScalingBackend, "delete_auto_scaling_group", rules.delete)
    # The reconciler replaces; moto would launch inside TerminateInstances.
    install(AutoScalingBackend, "notify_terminate_instances", lambda *_arguments: None)
    install(FakeAutoScalingGroup, "set_desired_capacity", _want)
    FakeAutoScalingGroup.launch_template = property(_group_template)
    InstanceState.launch_template = property(_member_template)
    autoscaling_hooks.apply()
    autoscaling_refreshes.apply()
    return rules


def known_group(autoscaling: Any, name: str) -> Any:
    """Return a group, or refuse as AWS does."""
    if name not in autoscaling.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - no such group: {name}")
    return autoscaling.autoscaling_groups[name]


def find_member(autoscaling: Any, instance_id: str) -> tuple[Any, Any]:
    """Return the group of an instance and its membership, or refuse as AWS does."""
    for group in autoscaling.autoscaling_groups.values():
        for member in group.instance_states:
            if member.instance.id == instance_id:
                return group, member
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def _delete(rules: GroupRules, response: Any) -> Any:
    force = bool(response._get_bool_param("ForceDelete", False))
    rules.delete(response.autoscaling_backend, response._get_param("AutoScalingGroupName"), force=force)
    return EmptyResult()


def _describe_activities(response: Any) -> Any:
    name = response._get_param("AutoScalingGroupName")
    groups: Iterable[Any] = backend("autoscaling").autoscaling_groups.values()
    if name:
        groups = [known_group(response.autoscaling_backend, name)]
    activities = [one for group in groups for one in getattr(group, "sandbox_activities", [])]
    return ActionResult({"Activities": activities[: response._get_int_param("MaxRecords", 100)]})


def _store(response: Any, group: Any, names: dict[str, str]) -> None:
    for parameter, attribute in names.items():
        value = response._get_param(parameter)
        if value is not None:
            setattr(group, attribute, value)
    if getattr(group, "default_instance_warmup", None) == -1:
        group.default_instance_warmup = None  # Source: -1 takes the setting away
    if getattr(group, "max_instance_lifetime", None) == 0:
        group.max_instance_lifetime = None


def _refuse_sizes(minimum: int, desired: int | None, maximum: int) -> None:
    if minimum > maximum:
        raise ValidationError("Max bound, maximum group size, must be greater than or equal to min bound")
    if desired is not None and not minimum <= desired <= maximum:
        raise ValidationError("Desired capacity must be between the specified min size and max size")


def _want(group: Any, new_capacity: int | None) -> None:
    group.desired_capacity = group.min_size if new_capacity is None else new_capacity


def _group_template(group: Any) -> dict[str, Any] | None:
    # Source: a group has a launch template or a mixed instances policy; moto breaks on the latter.
    if group.ec2_launch_template is None or group.mixed_instances_policy:
        return None
    template = group.ec2_launch_template
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": group.provided_launch_template_version,
    }


def _member_template(member: Any) -> dict[str, Any] | None:
    # moto shows the template's default version for every member; a member keeps the one it was launched from.
    template = member.auto_scaling_group.ec2_launch_template if member.auto_scaling_group else None
    if template is None or not members.version_of(member):
        return None
    version = str(members.version_of(member))
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": version}
