"""Terraform's AWS provider against the sandbox: apply, empty plan, change, empty plan, import only, destroy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.adapters.terraform import Terraform
from tests.running_provider import RunningProvider

CONFIGURATION = Path(__file__).with_name("control_plane.tf")

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]


class Folder:
    """A Terraform folder against a sandbox.

    Args:
        path: The folder.
        sandbox: A running sandbox.
        binary: Terraform.
    """

    def __init__(self, path: Path, sandbox: Any, binary: str) -> None:
        shutil.copy(CONFIGURATION, path / "main.tf")
        self._path = path
        credentials = {"AWS_ACCESS_KEY_ID": "AKIATERRAFORM0000000", "AWS_SECRET_ACCESS_KEY": "not-secret"}
        environment = {"AWS_ENDPOINT_URL": sandbox.endpoint_url, "AWS_REGION": "us-east-1", **credentials}
        environment["AWS_EC2_METADATA_DISABLED"] = "true"
        self._terraform = Terraform(path, environment=environment, binary=binary)
        self._terraform.init()

    def plan(self, *, destroy: bool = False, **variables: Any) -> dict[str, str]:
        """Plan, and return the actions that are not "no-op" by resource address."""
        (self._path / "terraform.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
        self._terraform.plan(self._path / "plan.bin", destroy=destroy)
        plan = self._terraform.show_json(self._path / "plan.bin")
        changes = {one["address"]: one["change"] for one in plan.get("resource_changes", [])}
        shown = {}
        for address, change in changes.items():
            actions = "+".join(change["actions"]) if change["actions"] != ["no-op"] else ""
            shown[address] = "import" + actions if "importing" in change else actions
        return {address: actions for address, actions in shown.items() if actions not in {"", "read"}}

    def apply(self) -> None:
        """Apply the last plan."""
        self._terraform.apply(self._path / "plan.bin")


def test_terraform_sees_what_it_made(
    start_sandbox: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, wait_until: Callable[..., Any]
) -> None:
    """Every plan after an apply is empty; adopting the volume is import-only; a forced group goes on destroy."""
    sandbox = start_sandbox(latency="fast")
    ec2 = sandbox.client("ec2")
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "adopted"}]}]
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8, VolumeType="gp3", TagSpecifications=tags)
    values = {"volume_id": volume["VolumeId"]}
    path = tmp_path_factory.mktemp("terraform")
    with RunningProvider(path, sandbox) as provider:
        sees_what_it_made(Folder(path, sandbox, provider.terraform), values, sandbox.client("autoscaling"), wait_until)


def sees_what_it_made(folder: Folder, values: dict[str, str], autoscaling: Any, wait_until: Callable[..., Any]) -> None:
    """Go through it, from the first plan to the last."""
    assert set(folder.plan(**values).values()) == {"create"}
    folder.apply()
    assert folder.plan(**values) == {}

    changed = folder.plan(**values, mixed=False)
    assert changed == {"aws_autoscaling_group.g": "update", "aws_launch_template.host": "update"}
    folder.apply()
    assert folder.plan(**values, mixed=False) == {}

    adopted = folder.plan(**values, mixed=False, adopted=True)
    assert adopted == {f'aws_ebs_volume.data["{values["volume_id"]}"]': "import"}

    def refreshed() -> bool:
        refreshes = autoscaling.describe_instance_refreshes(AutoScalingGroupName="g")["InstanceRefreshes"]
        return bool(refreshes) and refreshes[0]["Status"] == "Successful"

    wait_until(refreshed, "the refresh that Terraform started is successful", timeout_s=120)
    assert set(folder.plan(**values, mixed=False, destroy=True).values()) == {"delete"}
    folder.apply()
    assert autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []
