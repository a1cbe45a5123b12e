"""The root module against the sandbox: applied, empty afterwards, adopted by an import that changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from runbook_lib import planfile
from runbook_lib.adapters.terraform import Terraform
from runbook_lib.errors import TerraformError
from runbook_lib.render import RootModule, render_root_module

pytestmark = pytest.mark.slow

TERRAFORM = Path(__file__).parents[2] / "terraform"
S3_ROOT = """
terraform {
  backend "s3" {
    use_lockfile = true
  }
}
resource "terraform_data" "this" {}
"""


class Root:
    """One root module in a folder, for the sandbox's estate."""

    def __init__(self, sandbox, folder):
        self.sandbox, self.folder = sandbox, folder
        estate = yaml.safe_load(sandbox.parameters_path.read_text())["migration"]
        self.volume_id = estate["volume"]["volume_id"]
        plugin = estate["storage"]["rexray"]
        self.variables = {
            "region": "us-east-1",
            "account_id": "012345678901",
            "run_id": "run-a",
            "default_tags": {"migration": "guestbook"},
            "cluster_name": "guestbook",
            "service_name": "guestbook",
            "vpc_id": estate["target"]["vpc_id"],
            "subnet_ids": estate["target"]["subnet_ids"],
            "instance_types": estate["target"]["instance_types"],
            "ami_id": sandbox.client("ssm").get_parameter(
                Name="/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
            )["Parameter"]["Value"],
            "instance_warmup_s": 0,
            "volume_id": self.volume_id,
            "storage_boot": {
                "driver": "rexray",
                "plugin_reference": plugin["plugin_reference"],
                "plugin_alias": "rexray/ebs",
                "plugin_environment": {
                    "EBS_REGION": "us-east-1",
                    "LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS_MOUNT_ROOTPATH": "/",
                    "LINUX_VOLUME_FILEMODE": "0700",
                    "LINUX_VOLUME_ROOTPATH": "/.runbook",
                    "REXRAY_PREEMPT": "false",
                },
                "volume_name": plugin["volume_name"],
                "volume_id": self.volume_id,
            },
            "task_volume": {"name": plugin["volume_name"], "driver": "rexray/ebs", "host_path": None},
            "container_definitions": [
                {
                    "name": "guestbook",
                    "image": "registry.sandbox/guestbook:1.0",
                    "essential": True,
                    "memory": 256,
                    "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
                    "mountPoints": [{"sourceVolume": plugin["volume_name"], "containerPath": "/data"}],
                }
            ],
            "container_name": "guestbook",
            "container_port": 8080,
            "host_port": 8080,
            "client_cidr_blocks": ["10.0.0.0/16"],
        }
        self.terraform = Terraform(folder, environment=environment(sandbox), run_id="test-run")
        self.plan_file = folder / "plan.bin"

    def write(self, *, adopted=False, record_final_snapshot=False, **variables):
        """Write and initialise the root module."""
        structure = RootModule(
            backend_settings={"path": str(self.folder / "state.tfstate")},
            adopted=adopted,
            record_final_snapshot=record_final_snapshot,
        )
        for path, text in render_root_module(TERRAFORM, structure, self.variables | variables).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        self.terraform.init()

    def plan(self, **options):
        """Plan and return Terraform's JSON."""
        self.terraform.plan(self.plan_file, **options)
        return self.terraform.show_json(self.plan_file)

    def volume(self):
        """Return the data volume as EC2 describes it, without its tags."""
        described = self.sandbox.client("ec2").describe_volumes(VolumeIds=[self.volume_id])["Volumes"][0]
        return {name: value for name, value in described.items() if name != "Tags"}

    def calls(self, *operations):
        """Return the user agents that made these API calls."""
        lines = map(json.loads, (self.sandbox.state_dir / "api.jsonl").read_text().splitlines())
        return [line["user_agent"] for line in lines if line["operation"] in operations]


def environment(sandbox):
    """Return what Terraform needs to talk to a sandbox."""
    return {
        "AWS_ENDPOINT_URL": sandbox.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "AKIATESTS00000000000",
        "AWS_SECRET_ACCESS_KEY": "not-secret",
    }


def failed(checks):
    """Return the sentences of the checks that failed."""
    return [check.sentence() for check in checks if not check.passed]


def container_instances(sandbox):
    """Return the attributes of each container instance that joined."""
    ecs = sandbox.client("ecs")
    arns = ecs.list_container_instances(cluster="guestbook")["containerInstanceArns"]
    if not arns:
        return []
    found = ecs.describe_container_instances(cluster="guestbook", containerInstances=arns)["containerInstances"]
    return [{attribute["name"]: attribute.get("value") for attribute in instance["attributes"]} for instance in found]


@pytest.mark.timeout(600)
@pytest.mark.thorough  # the migration itself applies and adopts; this one asks AWS about more of it
def test_a_target_is_applied_and_its_volume_adopted(sandbox, tmp_path, wait_until):
    """Apply, an empty plan, a host that joins, an import-only adoption and an empty plan again."""
    root = Root(sandbox, tmp_path)
    untouched = root.volume()
    root.write()
    first, second = root.plan(), root.plan()

    assert failed(planfile.guard(second)) == []
    assert planfile.digest(first) == planfile.digest(second)
    root.terraform.apply(root.plan_file)
    root.write(run_id="run-b")
    assert planfile.summarize(root.plan()).is_empty, "what another run made stays as it is"
    groups = sandbox.client("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": ["*-instance"]}])
    assert {"Key": "runbook:run-id", "Value": "run-a"} in groups["SecurityGroups"][0]["Tags"]
    assert root.volume() == untouched

    joined = wait_until(lambda: container_instances(sandbox), "a container instance joined", 60)
    assert joined[0]["runbook.volume"] == root.volume_id
    assert "ecs.capability.docker-plugin.rexray/ebs" in joined[0]
    assert all("test-run" in agent for agent in root.calls("CreateService"))

    adopted = {
        "availability_zone": untouched["AvailabilityZone"],
        "size_gib": untouched["Size"],
        "type": untouched["VolumeType"],
        "iops": untouched["Iops"],
        "throughput": untouched.get("Throughput"),
    }
    root.write(adopted=True, adopted_volume=adopted)
    assert failed(planfile.guard_import_only(root.plan(), root.volume_id)) == []
    root.terraform.apply(root.plan_file)
    assert planfile.summarize(root.plan()).is_empty
    assert root.volume() == untouched
    assert root.calls("ModifyVolume") == []

    with pytest.raises(TerraformError, match="prevent_destroy"):
        root.plan(destroy=True)

    # What no import can set: alone it would be a ModifyVolume that AWS refuses, so the guard refuses it first.
    root.write(adopted=True, record_final_snapshot=True, adopted_volume=adopted)
    alone = root.plan()
    assert planfile.summarize(alone).changes[0].changed_attributes == ("final_snapshot",)
    assert "update of final_snapshot alone" in failed(planfile.guard(alone))[0]

    root.write(adopted=True, record_final_snapshot=True, adopted_volume=adopted | {"size_gib": untouched["Size"] + 8})
    assert failed(planfile.guard(root.plan())) == []
    root.terraform.apply(root.plan_file)
    assert root.volume()["Size"] == untouched["Size"] + 8
    assert len(root.calls("ModifyVolume")) == 1
    assert planfile.summarize(root.plan()).is_empty


def test_a_volume_of_another_zone_is_refused_by_the_plan(sandbox, tmp_path):
    """Hosts in a zone that the volume cannot reach are an error before anything is made."""
    root = Root(sandbox, tmp_path)
    subnets = sandbox.client("ec2").describe_subnets(
        Filters=[
            {"Name": "vpc-id", "Values": [root.variables["vpc_id"]]},
            {"Name": "availability-zone", "Values": ["us-east-1b"]},
        ]
    )["Subnets"]
    root.write(subnet_ids=[subnets[0]["SubnetId"]])

    with pytest.raises(TerraformError, match=f"The data volume {root.volume_id} is in us-east-1a"):
        root.plan()


def test_another_account_is_refused_by_the_provider(sandbox, tmp_path):
    """Credentials of an account that the parameters do not name plan nothing."""
    root = Root(sandbox, tmp_path)
    root.write(account_id="999999999999")

    with pytest.raises(TerraformError, match="AWS account ID not allowed: 012345678901"):
        root.plan()


def test_a_state_in_s3_has_one_holder(sandbox, tmp_path):
    """A locked state refuses a second Terraform and names the holder."""
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="runbook-state")
    s3.put_bucket_versioning(Bucket="runbook-state", VersioningConfiguration={"Status": "Enabled"})
    lock = {"ID": "0a", "Operation": "OperationTypeApply", "Who": "operator@elsewhere", "Version": "1.11.4"}
    (tmp_path / "main.tf").write_text(S3_ROOT)
    (tmp_path / "backend.tfbackend").write_text('bucket = "runbook-state"\nkey = "guestbook"\nregion = "us-east-1"\n')
    terraform = Terraform(tmp_path, environment=environment(sandbox), lock_timeout_s=0)
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")

    s3.put_object(Bucket="runbook-state", Key="guestbook.tflock", Body=json.dumps(lock))
    with pytest.raises(TerraformError, match="operator@elsewhere"):
        terraform.apply(tmp_path / "plan.bin")

    s3.delete_object(Bucket="runbook-state", Key="guestbook.tflock")
    terraform.apply(tmp_path / "plan.bin")
    assert terraform.state_addresses() == ["terraform_data.this"]
