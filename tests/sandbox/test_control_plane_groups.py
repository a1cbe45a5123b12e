"""Auto Scaling groups of the sandbox: members have a lifecycle, and refreshes launch before they terminate."""

from __future__ import annotations

import base64
from typing import Any

import pytest

SIZES = {"MinSize": 0, "MaxSize": 3, "DesiredCapacity": 1}
SURGE = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}


class Group:
    """One Auto Scaling group with its launch template.

    Args:
        account: AWS objects of the module's sandbox.
        name: Name of group and template.
        options: More parameters of CreateAutoScalingGroup.
    """

    def __init__(self, account: Any, name: str, **options: Any) -> None:
        self.account, self.name = account, name
        self.autoscaling = account.sandbox.client("autoscaling")
        data = _template(account, "1") | {"MetadataOptions": {"HttpTokens": "required"}}
        account.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        template = {"LaunchTemplateName": name, "Version": "$Latest"}
        self.autoscaling.create_auto_scaling_group(
            **(
                {"AutoScalingGroupName": name, "LaunchTemplate": template, "HealthCheckGracePeriod": 0}
                | {"VPCZoneIdentifier": account.subnet_id("us-east-1a"), "DefaultInstanceWarmup": 0}
                | SIZES
                | options
            )
        )

    def new_version(self, text: str) -> None:
        """Give the launch template a version with other user data."""
        self.account.ec2.create_launch_template_version(
            LaunchTemplateName=self.name, SourceVersion="1", LaunchTemplateData=_template(self.account, text)
        )

    def shown(self) -> dict[str, Any]:
        """Return what DescribeAutoScalingGroups says."""
        return self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    def members(self) -> dict[str, str]:
        """Return the lifecycle state of each member by its instance id."""
        return {one["InstanceId"]: one["LifecycleState"] for one in self.shown()["Instances"]}

    def settled(self, count: int = 1) -> list[str]:
        """Wait until the group has exactly so many members, all in service."""
        self.account.wait_until(
            lambda: list(self.members().values()) == ["InService"] * count, f"{self.name} has {count} members"
        )
        return list(self.members())


def _user_data(text: str) -> str:
    return base64.b64encode(f"#cloud-config\nruncmd: []\n# {text}\n".encode()).decode()


def _template(account: Any, text: str) -> dict[str, Any]:
    return {
        "ImageId": "ami-0ec52023d5f1e0a01",
        "InstanceType": "t3.small",
        "UserData": _user_data(text),
        "IamInstanceProfile": {"Name": account.profile()},
    }


def test_a_member_is_a_real_instance_of_the_template(account: Any) -> None:
    """A group launches an instance with the template's profile, metadata options and the group's tag."""
    group = Group(account, "plain")
    assert set(group.members().values()) <= {"Pending", "InService"}
    instance = account.instance(group.settled()[0])
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["IamInstanceProfile"]["Arn"].endswith(account.profile())
    assert {"Key": "aws:autoscaling:groupName", "Value": "plain"} in instance["Tags"]


def test_a_terminated_member_is_replaced(account: Any) -> None:
    """Terminating an instance behind the group's back brings another one."""
    group = Group(account, "replaced")
    first = group.settled()[0]
    account.ec2.terminate_instances(InstanceIds=[first])
    account.wait_until(lambda: first not in group.members(), "the first is gone")
    assert group.settled()[0] != first


def test_a_stopped_member_is_unhealthy_and_replaced(account: Any) -> None:
    """A stopped instance fails its health check: it is terminated, and another comes."""
    group = Group(account, "stopped")
    first = group.settled()[0]
    account.ec2.stop_instances(InstanceIds=[first])
    account.wait_until(lambda: first not in group.members(), "the first is gone")
    assert group.settled()[0] != first
    assert account.instance(first)["State"]["Name"] == "terminated"


def test_a_member_that_loses_its_power_is_replaced(account: Any) -> None:
    """After the fault kill-host the member's status is impaired, and the group replaces it."""
    group = Group(account, "powerless")
    first = account.booted(group.settled()[0])
    account.sandbox.control("POST", "/_sandbox/faults", {"name": "kill-host", "target": first})
    account.wait_until(lambda: first not in group.members(), "the first is gone")
    assert group.settled()[0] != first


def test_a_refresh_launches_the_new_host_before_it_takes_the_old(account: Any) -> None:
    """With 100 and 200 percent the old member stays until the new one has booted, and each shows its own version."""
    group = Group(account, "refreshed", InstanceMaintenancePolicy=SURGE)
    old = group.settled()[0]
    group.new_version("2")
    group.autoscaling.start_instance_refresh(AutoScalingGroupName="refreshed")
    seen: list[dict[str, str]] = []

    def done() -> bool:
        seen.append(group.members())
        answer = group.autoscaling.describe_instance_refreshes(AutoScalingGroupName="refreshed")
        return answer["InstanceRefreshes"][0]["Status"] == "Successful"

    account.wait_until(done, "the refresh is successful")
    assert all("InService" in members.values() for members in seen), seen
    new = group.settled()[0]
    assert new != old
    assert group.shown()["Instances"][0]["LaunchTemplate"]["Version"] == "2"
    assert any(members.get(old) == "InService" and new in members for members in seen)


def test_refreshes_are_one_at_a_time_and_can_be_cancelled(account: Any, error_of: Any) -> None:
    """A second refresh is refused while one runs; cancelling needs a running one."""
    group = Group(account, "cancelled", InstanceMaintenancePolicy=SURGE)
    group.settled()
    start, cancel = group.autoscaling.start_instance_refresh, group.autoscaling.cancel_instance_refresh
    name = {"AutoScalingGroupName": "cancelled"}
    assert error_of(lambda: cancel(**name)) == "ActiveInstanceRefreshNotFound"
    start(**name, Preferences={"InstanceWarmup": 600, "MinHealthyPercentage": 100, "MaxHealthyPercentage": 200})
    assert error_of(lambda: start(**name)) == "InstanceRefreshInProgress"
    cancel(**name)

    def status() -> str:
        return group.autoscaling.describe_instance_refreshes(**name)["InstanceRefreshes"][0]["Status"]

    account.wait_until(lambda: status() == "Cancelled", "the refresh is cancelled")
    group.settled()


def test_a_lifecycle_hook_holds_a_member_until_it_is_completed(account: Any, error_of: Any) -> None:
    """A terminating hook keeps the instance alive in Terminating:Wait until CompleteLifecycleAction."""
    group = Group(account, "hooked")
    instance_id = group.settled()[0]
    hook = {"AutoScalingGroupName": "hooked", "LifecycleHookName": "drain"}
    group.autoscaling.put_lifecycle_hook(
        **hook, LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING", HeartbeatTimeout=600
    )
    shown = group.autoscaling.describe_lifecycle_hooks(AutoScalingGroupName="hooked")["LifecycleHooks"][0]
    assert "RoleARN" not in shown
    complete = {**hook, "InstanceId": instance_id, "LifecycleActionResult": "CONTINUE"}
    assert error_of(lambda: group.autoscaling.complete_lifecycle_action(**complete)) == "ValidationError"
    group.autoscaling.terminate_instance_in_auto_scaling_group(
        InstanceId=instance_id, ShouldDecrementDesiredCapacity=True
    )
    account.wait_until(lambda: group.members().get(instance_id) == "Terminating:Wait", "the member waits")
    assert account.instance(instance_id)["State"]["Name"] == "running"
    group.autoscaling.complete_lifecycle_action(**complete)
    account.wait_until(lambda: not group.members(), "the member is gone")
    assert group.shown()["DesiredCapacity"] == 0


def test_desired_capacity_moves_the_group_within_its_bounds(account: Any, error_of: Any) -> None:
    """SetDesiredCapacity launches and terminates; outside the bounds it is refused."""
    group = Group(account, "sized")
    group.settled(1)
    wish = group.autoscaling.set_desired_capacity
    assert error_of(lambda: wish(AutoScalingGroupName="sized", DesiredCapacity=4)) == "ValidationError"
    wish(AutoScalingGroupName="sized", DesiredCapacity=2)
    group.settled(2)
    wish(AutoScalingGroupName="sized", DesiredCapacity=0)
    group.settled(0)
    activities = group.autoscaling.describe_scaling_activities(AutoScalingGroupName="sized")["Activities"]
    assert sum("Terminating" in one["Description"] for one in activities) == 2


def test_a_group_with_members_is_deleted_only_by_force(account: Any, error_of: Any) -> None:
    """DeleteAutoScalingGroup refuses while there are instances; forced, group and instances go."""
    group = Group(account, "deleted")
    instance_id = group.settled()[0]
    delete = group.autoscaling.delete_auto_scaling_group
    assert error_of(lambda: delete(AutoScalingGroupName="deleted")) == "ResourceInUse"
    delete(AutoScalingGroupName="deleted", ForceDelete=True)
    assert group.shown()["Status"] == "Delete in progress"
    describe = group.autoscaling.describe_auto_scaling_groups
    account.wait_until(lambda: not describe(AutoScalingGroupNames=["deleted"])["AutoScalingGroups"], "it is gone")
    assert account.instance(instance_id)["State"]["Name"] == "terminated"


@pytest.mark.parametrize("attribute", ["DefaultInstanceWarmup", "MaxInstanceLifetime"])
def test_attributes_that_moto_forgets_are_kept(attribute: str, account: Any) -> None:
    """What is given to a group is what it shows, so that Terraform sees no drift."""
    group = Group(account, f"kept-{attribute.lower()}", DesiredCapacity=0, **{attribute: 86400})
    assert group.shown()[attribute] == 86400


def test_missing_capacity_is_recorded_as_a_failed_activity(account: Any) -> None:
    """When EC2 has no capacity the group keeps trying and says so, and fills up when there is some."""
    fault = account.sandbox.control("POST", "/_sandbox/faults", {"name": "capacity", "target": ""})
    group = Group(account, "starved")

    def failed() -> bool:
        answer = group.autoscaling.describe_scaling_activities(AutoScalingGroupName="starved")
        return any(one["StatusCode"] == "Failed" for one in answer["Activities"])

    account.wait_until(failed, "a failed activity is shown")
    account.sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
    group.settled()
