"""The sample estate's network, role and source instance, made with boto3 against the sandbox's own API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.ec2_client import client_of

if TYPE_CHECKING:
    from runbook_lib.sandbox.world import World

IMAGE_ID = "ami-0a12023d5f1e0c001"
"""Amazon Linux 2023, see ``machine_images``."""
ROLE = "guestbook-legacy-host"
SSM_POLICY = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True)
class Network:
    """The ids of the sample network.

    Args:
        vpc_id: 10.0.0.0/16.
        subnet_a: 10.0.0.0/24 in us-east-1a.
        subnet_b: 10.0.1.0/24 in us-east-1b.
        group_id: Security group of the source host.
    """

    vpc_id: str
    subnet_a: str
    subnet_b: str
    group_id: str


def build(world: World) -> Network:
    """Make VPC, two subnets, internet gateway, routes and a security group."""
    ec2 = client_of(world)
    vpc_id = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=_named("vpc", "guestbook"))["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc_id, **{attribute: {"Value": True}})
    subnets = [
        ec2.create_subnet(
            VpcId=vpc_id, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{world.region}{zone}",
            TagSpecifications=_named("subnet", f"guestbook-{zone}"),
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]  # fmt: skip
    gateway = ec2.create_internet_gateway(TagSpecifications=_named("internet-gateway", "guestbook"))
    gateway_id = gateway["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc_id, InternetGatewayId=gateway_id)
    table = ec2.create_route_table(VpcId=vpc_id, TagSpecifications=_named("route-table", "guestbook"))
    table_id = table["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway_id)
    for subnet_id in subnets:
        ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)
        ec2.modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True})
    group = ec2.create_security_group(GroupName="guestbook-legacy", Description="the compose host", VpcId=vpc_id)
    permission = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[permission])
    return Network(vpc_id, subnets[0], subnets[1], group["GroupId"])


def launch_source(world: World, network: Network) -> str:
    """Launch the source host with a role that lets SSM reach it; returns its id."""
    iam = client_of(world, "iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=SSM_POLICY)
    iam.create_instance_profile(InstanceProfileName=ROLE)
    iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
    answer = client_of(world).run_instances(
        ImageId=IMAGE_ID,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        SubnetId=network.subnet_a,
        SecurityGroupIds=[network.group_id],
        IamInstanceProfile={"Name": ROLE},
        MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled"},
        TagSpecifications=_named("instance", "guestbook-legacy"),
    )
    return str(answer["Instances"][0]["InstanceId"])


def _named(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]
