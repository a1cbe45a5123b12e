"""ECS hosts of an Auto Scaling group: capacity provider, managed draining, and targets of a load balancer."""

import base64
import json

import pytest

from tests.sandbox.ecs_town import ECS_IMAGE, PLUGIN, Town, make_profiles


class GroupTown(Town):
    """A cluster whose hosts come from an Auto Scaling group behind a capacity provider."""

    def group(self, *, draining="ENABLED"):
        """Make the group with one host and its capacity provider, and wait until the host has joined."""
        content = f"ECS_CLUSTER={self.name}\n"
        config = {"write_files": [{"path": "/etc/ecs/ecs.config", "content": content}], "runcmd": [PLUGIN]}
        data = {
            "ImageId": ECS_IMAGE,
            "InstanceType": "t3.small",
            "IamInstanceProfile": {"Name": "ecs-hosts"},
            "UserData": base64.b64encode(("#cloud-config\n" + json.dumps(config)).encode()).decode(),
        }
        self.account.ec2.create_launch_template(LaunchTemplateName=self.name, LaunchTemplateData=data)
        self.scaling = self.sandbox.client("autoscaling")
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=self.name,
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=1,
            VPCZoneIdentifier=self.account.subnet_id("us-east-1a"),
            LaunchTemplate={"LaunchTemplateName": self.name, "Version": "$Latest"},
        )
        found = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]
        self.ecs.create_capacity_provider(
            name=self.name,
            autoScalingGroupProvider={
                "autoScalingGroupArn": found["AutoScalingGroupARN"],
                "managedDraining": draining,
            },
        )
        strategy = [{"capacityProvider": self.name, "weight": 1}]
        self.ecs.put_cluster_capacity_providers(
            cluster=self.name, capacityProviders=[self.name], defaultCapacityProviderStrategy=strategy
        )
        self.wait_for_hosts(1)

    def host_ids(self):
        """Return the EC2 ids of the container instances, draining ones too."""
        arns = self.ecs.list_container_instances(cluster=self.name)["containerInstanceArns"]
        if not arns:
            return []
        found = self.ecs.describe_container_instances(cluster=self.name, containerInstances=arns)["containerInstances"]
        return [one["ec2InstanceId"] for one in found if one.get("capacityProviderName") == self.name]

    def wait_for_hosts(self, count):
        self.wait_until(lambda: len(self.host_ids()) == count, f"{count} hosts of the capacity provider")

    def end(self):
        """Delete the group with its hosts."""
        self.scaling.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)


@pytest.fixture(scope="module")
def profiles(sandbox):
    make_profiles(sandbox)


@pytest.fixture
def town(sandbox, account, wait_until, profiles):
    town = GroupTown(sandbox, account, wait_until)
    yield town
    town.end()


def test_scale_in_drains_the_host_first(town):
    """A host taken out by Auto Scaling gives its task and its volume to the other host before it is terminated."""
    volume_id = town.volume()
    town.group()
    strategy = [{"capacityProvider": town.name, "weight": 1}]
    town.serve(town.define(), capacityProviderStrategy=strategy)
    first = town.running()
    town.write(first, "before")
    old = town.account.attachment(volume_id)["InstanceId"]
    town.scaling.set_desired_capacity(AutoScalingGroupName=town.name, DesiredCapacity=2)
    town.wait_for_hosts(2)
    town.scaling.terminate_instance_in_auto_scaling_group(InstanceId=old, ShouldDecrementDesiredCapacity=True)
    town.wait_for_hosts(1)
    second = town.running()
    assert town.entries(second) == ["before"]
    assert town.account.attachment(volume_id)["InstanceId"] == town.host_ids()[0] != old
    ended = next(one for one in town.tasks("STOPPED") if one["taskArn"] == first["taskArn"])
    assert ended["stopCode"] == "ServiceSchedulerInitiated"
    assert ended["containers"][0]["exitCode"] == 0


def test_targets_follow_the_task(town):
    """A task is a target of its service's load balancer while it runs, and no longer when it has stopped."""
    town.volume()
    town.group()
    balancing = town.sandbox.client("elbv2")
    subnets = [town.account.subnet_id(zone) for zone in ("us-east-1a", "us-east-1b")]
    balancer = balancing.create_load_balancer(Name=town.name, Subnets=subnets)["LoadBalancers"][0]
    arn = balancing.create_target_group(
        Name=town.name, Protocol="HTTP", Port=8080, VpcId=balancer["VpcId"], TargetType="instance"
    )["TargetGroups"][0]["TargetGroupArn"]
    targets = [{"targetGroupArn": arn, "containerName": "guestbook", "containerPort": 8080}]
    definition = town.define()
    with pytest.raises(
        town.ecs.exceptions.InvalidParameterException, match="does not have an associated load balancer"
    ):
        town.serve(definition, loadBalancers=targets)
    balancing.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    town.serve(definition, loadBalancers=targets)
    town.running()

    def registered():
        described = balancing.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [(one["Target"]["Id"], one["Target"]["Port"]) for one in described]

    assert registered() == [(town.host_ids()[0], 8080)]
    town.ecs.update_service(cluster=town.name, service="guestbook", desiredCount=0)
    town.stopped()
    assert registered() == []
    messages = " ".join(event["message"] for event in town.service()["events"])
    assert "has begun draining connections on 1 tasks." in messages
