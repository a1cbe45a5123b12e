"""What IAM is asked about a call: actions, resources and condition keys of each service, implied actions too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.sandbox import access, access_autoscaling, access_ec2, access_ecs
from runbook_lib.sandbox.wire import LOCK_HEADER, ApiRequest

EC2 = "arn:aws:ec2:us-east-1:012345678901"
ECS = "arn:aws:ecs:us-east-1:012345678901"
ELB = "arn:aws:elasticloadbalancing:us-east-1:012345678901"
IAM = "arn:aws:iam::012345678901"
GROUP = "arn:aws:autoscaling:us-east-1:012345678901:autoScalingGroup:*:autoScalingGroupName"
TEMPLATE = {
    "ImageId": "ami-1",
    "SecurityGroupIds": ["sg-1"],
    "IamInstanceProfile": {"Name": "web-instance"},
    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "runbook-cluster", "Value": "web"}]}],
}


def world():
    """Return as much of moto as is read: tags, snapshots, a launch template, a group, a role, a task definition."""
    version = SimpleNamespace(data=TEMPLATE)
    template = SimpleNamespace(
        id="lt-1",
        get_version=lambda _number: version,
        latest_version=lambda: version,
        default_version=lambda: version,
    )
    member = SimpleNamespace(instance=SimpleNamespace(id="i-2"))
    group = SimpleNamespace(
        tags=[{"Key": "team", "Value": "blue"}], instance_states=[member], vpc_zone_identifier="subnet-1"
    )
    profile = SimpleNamespace(name="web-instance", roles=[SimpleNamespace(arn=f"{IAM}:role/web-instance")])
    definition = SimpleNamespace(execution_role_arn=f"{IAM}:role/web-execution", task_role_arn=None)
    return {
        "ec2": SimpleNamespace(
            tags={"vol-1": {"Name": "data"}, "snap-1": {"runbook:run-id": "r"}, "i-1": {"runbook-cluster": "web"}},
            snapshots={"snap-1": SimpleNamespace(volume_id="vol-1")},
            launch_templates={"lt-1": template},
            launch_template_name_to_ids={"web": "lt-1"},
        ),
        "autoscaling": SimpleNamespace(autoscaling_groups={"web": group}),
        "iam": SimpleNamespace(instance_profiles={"x": profile}),
        "ecs": SimpleNamespace(task_definitions={"web": {1: definition}}),
    }


@pytest.fixture
def asked(monkeypatch):
    """Return a function that gives what IAM is asked about a call: (action, resource) → condition keys."""
    known = world()
    for module in (access_ec2, access_ecs, access_autoscaling):
        monkeypatch.setattr(module, "backend", known.__getitem__)

    def ask(service, operation, /, **parameters):
        given = {key.replace("__", "."): value for key, value in parameters.items()}
        request = ApiRequest(service, operation, "query", given, "AKIA", "Boto3")
        return {(one.action, one.resource): one.context for one in access.accesses_of(request)}

    return ask


def keys(context):
    """Return condition keys without those that every call has."""
    return {key: value for key, value in context.items() if key not in {"aws:requestedregion", "ec2:region"}}


def test_every_call_says_its_region(asked):
    ((_, context),) = asked("ec2", "DescribeVolumes").items()
    assert context == {"aws:requestedregion": "us-east-1", "ec2:region": "us-east-1"}


def test_who_one_is_may_be_asked_by_everybody(asked):
    assert asked("sts", "GetCallerIdentity") == {}


ONE_BY_ONE = {
    "a look has no resource": (("ec2", "DescribeVolumes", {}), {("ec2:DescribeVolumes", "*")}),
    "a call that is not known has none either": (("ec2", "CreateFleet", {}), {("ec2:CreateFleet", "*")}),
    "both ends of an attachment": (
        ("ec2", "AttachVolume", {"VolumeId": "vol-1", "InstanceId": "i-1"}),
        {("ec2:AttachVolume", f"{EC2}:volume/vol-1"), ("ec2:AttachVolume", f"{EC2}:instance/i-1")},
    ),
    "a detachment without its instance": (
        ("ec2", "DetachVolume", {"VolumeId": "vol-1"}),
        {("ec2:DetachVolume", f"{EC2}:volume/vol-1")},
    ),
    "each instance of a list": (
        ("ec2", "TerminateInstances", {"InstanceId__1": "i-1", "InstanceId__2": "i-2"}),
        {("ec2:TerminateInstances", f"{EC2}:instance/i-1"), ("ec2:TerminateInstances", f"{EC2}:instance/i-2")},
    ),
    "a snapshot has no account": (
        ("ec2", "DeleteSnapshot", {"SnapshotId": "snap-1"}),
        {("ec2:DeleteSnapshot", "arn:aws:ec2:us-east-1::snapshot/snap-1")},
    ),
    "a snapshot with tags is tagged, too": (
        (
            "ec2",
            "CreateSnapshot",
            {
                "VolumeId": "vol-1",
                "TagSpecification__1__ResourceType": "snapshot",
                "TagSpecification__1__Tag__1__Key": "a",
                "TagSpecification__1__Tag__1__Value": "b",
            },
        ),
        {
            ("ec2:CreateSnapshot", f"{EC2}:volume/vol-1"),
            ("ec2:CreateSnapshot", "arn:aws:ec2:us-east-1::snapshot/*"),
            ("ec2:CreateTags", "arn:aws:ec2:us-east-1::snapshot/*"),
        },
    ),
    "tags of several things": (
        ("ec2", "CreateTags", {"ResourceId__1": "vol-1", "ResourceId__2": "snap-1", "Tag__1__Key": "a"}),
        {("ec2:CreateTags", f"{EC2}:volume/vol-1"), ("ec2:CreateTags", "arn:aws:ec2:us-east-1::snapshot/snap-1")},
    ),
    "a service below its cluster": (
        ("ecs", "UpdateService", {"cluster": "web", "service": "site"}),
        {("ecs:UpdateService", f"{ECS}:service/web/site")},
    ),
    "a cluster that is named by its ARN": (
        ("ecs", "DescribeTasks", {"cluster": f"{ECS}:cluster/web", "tasks__1": "1f"}),
        {("ecs:DescribeTasks", f"{ECS}:task/web/1f")},
    ),
    "a task definition and the roles that it hands on": (
        ("ecs", "RegisterTaskDefinition", {"family": "site", "executionRoleArn": f"{IAM}:role/x", "taskRoleArn": "y"}),
        {
            ("ecs:RegisterTaskDefinition", f"{ECS}:task-definition/site:*"),
            ("iam:PassRole", f"{IAM}:role/x"),
            ("iam:PassRole", f"{IAM}:role/y"),
        },
    ),
    "a task and the role of its definition": (
        ("ecs", "RunTask", {"cluster": "web", "taskDefinition": "web:1"}),
        {("ecs:RunTask", f"{ECS}:task-definition/web:1"), ("iam:PassRole", f"{IAM}:role/web-execution")},
    ),
    "a cluster may be the first of the account": (
        ("ecs", "CreateCluster", {"clusterName": "web"}),
        {
            ("ecs:CreateCluster", f"{ECS}:cluster/web"),
            (
                "iam:CreateServiceLinkedRole",
                f"{IAM}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            ),
        },
    ),
    "the group of an instance": (
        ("autoscaling", "TerminateInstanceInAutoScalingGroup", {"InstanceId": "i-2"}),
        {("autoscaling:TerminateInstanceInAutoScalingGroup", f"{GROUP}/web")},
    ),
    "what a launch template launches": (
        (
            "autoscaling",
            "UpdateAutoScalingGroup",
            {"AutoScalingGroupName": "web", "LaunchTemplate__LaunchTemplateId": "lt-1"},
        ),
        {
            ("autoscaling:UpdateAutoScalingGroup", f"{GROUP}/web"),
            *(
                ("ec2:RunInstances", f"{EC2}:{kind}")
                for kind in ("launch-template/lt-1", "security-group/sg-1", "subnet/subnet-1")
            ),
            *(("ec2:RunInstances", f"{EC2}:{kind}/*") for kind in ("instance", "volume", "network-interface")),
            ("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-1"),
            ("ec2:CreateTags", f"{EC2}:instance/*"),
            ("iam:PassRole", f"{IAM}:role/web-instance"),
        },
    ),
    "a role in an instance profile is handed to EC2": (
        ("iam", "AddRoleToInstanceProfile", {"InstanceProfileName": "p", "RoleName": "r"}),
        {("iam:AddRoleToInstanceProfile", f"{IAM}:instance-profile/p"), ("iam:PassRole", f"{IAM}:role/r")},
    ),
    "a role with tags is tagged, too": (
        ("iam", "CreateRole", {"RoleName": "r", "Tags__member__1__Key": "a", "Tags__member__1__Value": "b"}),
        {("iam:CreateRole", f"{IAM}:role/r"), ("iam:TagRole", f"{IAM}:role/r")},
    ),
    "a command: its document and its host": (
        ("ssm", "SendCommand", {"DocumentName": "AWS-RunShellScript", "InstanceIds__1": "i-1"}),
        {
            ("ssm:SendCommand", "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"),
            ("ssm:SendCommand", f"{EC2}:instance/i-1"),
        },
    ),
    "a document of one's own": (
        ("ssm", "SendCommand", {"DocumentName": "Mine", "InstanceIds__1": "i-1"}),
        {
            ("ssm:SendCommand", "arn:aws:ssm:us-east-1:012345678901:document/Mine"),
            ("ssm:SendCommand", f"{EC2}:instance/i-1"),
        },
    ),
    "a parameter": (
        ("ssm", "GetParameter", {"Name": "/wiki/token"}),
        {("ssm:GetParameter", "arn:aws:ssm:us-east-1:012345678901:parameter/wiki/token")},
    ),
    "a parameter of AWS": (
        ("ssm", "GetParameters", {"Names__1": "/aws/service/x"}),
        {("ssm:GetParameters", "arn:aws:ssm:us-east-1::parameter/aws/service/x")},
    ),
    "a log group with tags": (
        ("logs", "CreateLogGroup", {"logGroupName": "/ecs/web", "tags__a": "b"}),
        {
            ("logs:CreateLogGroup", "arn:aws:logs:us-east-1:012345678901:log-group:/ecs/web"),
            ("logs:TagResource", "arn:aws:logs:us-east-1:012345678901:log-group:/ecs/web"),
        },
    ),
    "a key by its id": (
        ("kms", "Sign", {"KeyId": "1f"}),
        {("kms:Sign", "arn:aws:kms:us-east-1:012345678901:key/1f")},
    ),
    "a key by its alias": (
        ("kms", "Sign", {"KeyId": "alias/records"}),
        {("kms:Sign", "arn:aws:kms:us-east-1:012345678901:alias/records")},
    ),
    "a secret by its name": (
        ("secretsmanager", "GetSecretValue", {"SecretId": "wiki"}),
        {("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:012345678901:secret:wiki-??????")},
    ),
    "a role with a source identity": (
        ("sts", "AssumeRole", {"RoleArn": "arn:r", "SourceIdentity": "run"}),
        {("sts:AssumeRole", "arn:r"), ("sts:SetSourceIdentity", "arn:r")},
    ),
    "blocks of a snapshot": (
        ("ebs", "GET /snapshots/snap-1/changedblocks", {}),
        {("ebs:ListChangedBlocks", "arn:aws:ec2:us-east-1::snapshot/snap-1")},
    ),
    "a load balancer with tags": (
        (
            "elasticloadbalancing",
            "CreateLoadBalancer",
            {"Name": "web", "Tags__member__1__Key": "a", "Tags__member__1__Value": "b"},
        ),
        {
            ("elasticloadbalancing:CreateLoadBalancer", f"{ELB}:loadbalancer/app/web/*"),
            ("elasticloadbalancing:AddTags", f"{ELB}:loadbalancer/app/web/*"),
            (
                "iam:CreateServiceLinkedRole",
                f"{IAM}:role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing",
            ),
        },
    ),
    "a listener of a load balancer": (
        (
            "elasticloadbalancing",
            "CreateListener",
            {"LoadBalancerArn": f"{ELB}:loadbalancer/app/web/1", "Tags__member__1__Key": "a"},
        ),
        {
            ("elasticloadbalancing:CreateListener", f"{ELB}:loadbalancer/app/web/1"),
            ("elasticloadbalancing:AddTags", f"{ELB}:listener/app/web/1/*"),
        },
    ),
    "a target group that changes": (
        ("elasticloadbalancing", "ModifyTargetGroupAttributes", {"TargetGroupArn": f"{ELB}:targetgroup/web/1"}),
        {("elasticloadbalancing:ModifyTargetGroupAttributes", f"{ELB}:targetgroup/web/1")},
    ),
    "a look at a load balancer": (
        ("elasticloadbalancing", "DescribeLoadBalancers", {"LoadBalancerArns__member__1": "arn:x"}),
        {("elasticloadbalancing:DescribeLoadBalancers", "*")},
    ),
    "an object": (("s3", "GET /b/a/k", {}), {("s3:GetObject", "arn:aws:s3:::b/a/k")}),
    "whether an object is there": (("s3", "HEAD /b/k", {}), {("s3:GetObject", "arn:aws:s3:::b/k")}),
    "a version of an object": (("s3", "GET /b/k", {"versionId": "1"}), {("s3:GetObjectVersion", "arn:aws:s3:::b/k")}),
    "an object that is locked when put": (
        ("s3", "PUT /b/k", {LOCK_HEADER: "GOVERNANCE"}),
        {("s3:PutObject", "arn:aws:s3:::b/k"), ("s3:PutObjectRetention", "arn:aws:s3:::b/k")},
    ),
    "the keys of a bucket": (("s3", "GET /b", {"list-type": "2"}), {("s3:ListBucket", "arn:aws:s3:::b")}),
    "whether a bucket locks": (
        ("s3", "GET /b/", {"object-lock": ""}),
        {("s3:GetBucketObjectLockConfiguration", "arn:aws:s3:::b")},
    ),
    "whether a bucket keeps versions": (
        ("s3", "GET /b/", {"versioning": ""}),
        {("s3:GetBucketVersioning", "arn:aws:s3:::b")},
    ),
}


@pytest.mark.parametrize("case", ONE_BY_ONE)
def test_a_call_asks_for_its_actions_and_resources(asked, case):
    (service, operation, parameters), expected = ONE_BY_ONE[case]
    assert set(asked(service, operation, **parameters)) == expected


def test_what_exists_has_its_tags_as_keys(asked):
    found = asked("ec2", "CreateVolume", SnapshotId="snap-1")
    assert keys(found["ec2:CreateVolume", "arn:aws:ec2:us-east-1::snapshot/snap-1"]) == {
        "aws:resourcetag/runbook:run-id": "r",
        "ec2:resourcetag/runbook:run-id": "r",
        "ec2:parentvolume": f"{EC2}:volume/vol-1",
    }
    assert keys(found["ec2:CreateVolume", f"{EC2}:volume/*"]) == {}


def test_tags_in_a_request_are_keys_and_say_what_makes_them(asked):
    tag = {"TagSpecification__1__Tag__1__Key": "a", "TagSpecification__1__Tag__1__Value": "b"}
    found = asked("ec2", "CopyVolumes", SourceVolumeId="vol-1", TagSpecification__1__ResourceType="volume", **tag)
    wanted = {"aws:requesttag/a": "b", "aws:tagkeys": ("a",)}
    assert keys(found["ec2:CopyVolumes", f"{EC2}:volume/*"]) == wanted
    assert keys(found["ec2:CreateTags", f"{EC2}:volume/*"]) == wanted | {"ec2:createaction": "CopyVolumes"}
    assert "aws:requesttag/a" not in found["ec2:CopyVolumes", f"{EC2}:volume/vol-1"], "the source gets no tag"


def test_what_is_launched_names_its_template(asked):
    found = asked(
        "autoscaling", "CreateAutoScalingGroup", AutoScalingGroupName="web", LaunchTemplate__LaunchTemplateName="web"
    )
    of = {about: keys(context) for (action, about), context in found.items() if action == "ec2:RunInstances"}
    assert {context["ec2:launchtemplate"] for context in of.values()} == {f"{EC2}:launch-template/lt-1"}
    assert of[f"{EC2}:instance/*"]["aws:requesttag/runbook-cluster"] == "web"
    made = keys(found["ec2:CreateTags", f"{EC2}:instance/*"])
    assert made["ec2:createaction"] == "RunInstances"


def test_a_role_says_to_whom_it_is_handed(asked):
    found = asked("iam", "AddRoleToInstanceProfile", InstanceProfileName="p", RoleName="r")
    assert keys(found["iam:PassRole", f"{IAM}:role/r"]) == {"iam:passedtoservice": "ec2.amazonaws.com"}
    found = asked("ecs", "RegisterTaskDefinition", family="f", executionRoleArn="x")
    assert keys(found["iam:PassRole", f"{IAM}:role/x"]) == {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}


def test_a_host_that_gets_a_command_has_its_tags_under_ssm_s_name_too(asked):
    found = asked("ssm", "SendCommand", DocumentName="AWS-RunShellScript", InstanceIds__1="i-1")
    assert keys(found["ssm:SendCommand", f"{EC2}:instance/i-1"])["ssm:resourcetag/runbook-cluster"] == "web"


def test_a_policy_that_is_attached_to_a_role_is_a_key(asked):
    found = asked("iam", "AttachRolePolicy", RoleName="r", PolicyArn="arn:aws:iam::aws:policy/X")
    assert keys(found["iam:AttachRolePolicy", f"{IAM}:role/r"]) == {"iam:policyarn": "arn:aws:iam::aws:policy/X"}


def test_a_list_of_keys_says_below_what(asked):
    found = asked("s3", "GET /b", prefix="runbook/runs/")
    assert keys(found["s3:ListBucket", "arn:aws:s3:::b"]) == {"s3:prefix": "runbook/runs/"}
