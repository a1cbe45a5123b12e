"""Drift that somebody planted in a migrated estate is found, each by its name; nothing is found where there is none."""

from __future__ import annotations

import contextlib
import json
from contextlib import contextmanager

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(900)]
ZONE = "attribute:ecs.availability-zone == us-east-1a"
SINGLE = {"minimumHealthyPercent": 0, "maximumPercent": 100}


@contextmanager
def another_name(estate):
    """Give the volume another Name while the task runs."""
    estate.tags(Name="guestbook-renamed")
    yield
    estate.tags(Name="guestbook-data")


@contextmanager
def no_hand_over(estate):
    """Take the tag of the hand-over away."""
    (volume,) = estate.ec2.describe_volumes(VolumeIds=[estate.volume_id])["Volumes"]
    (at,) = (tag["Value"] for tag in volume["Tags"] if tag["Key"] == "runbook:cut-over-utc")
    estate.tags(runbook__cut_over_utc=None)
    yield
    estate.tags(runbook__cut_over_utc=at)


@contextmanager
def second_volume(estate):
    """Make another volume of the same Name, in other letters."""
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "GuestBook-Data"}]}]
    made = estate.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tags)
    yield
    estate.ec2.delete_volume(VolumeId=made["VolumeId"])


@contextmanager
def goes_with_the_instance(estate):
    """Let the volume be deleted with the instance."""
    instance, device = estate.host()

    def set_to(*, value):
        mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": value}}
        estate.ec2.modify_instance_attribute(InstanceId=instance, BlockDeviceMappings=[mapping])

    set_to(value=True)
    yield
    set_to(value=False)


@contextmanager
def without_sentinel(estate):
    """Remove the sentinel from the volume."""
    path = estate.files / ".runbook" / "sentinel.json"
    text = path.read_bytes()
    path.unlink()
    yield
    path.write_bytes(text)


@contextmanager
def full(estate):
    """Make the volume larger on paper only: what is free is less than what is asked for."""
    changed = estate.parameters.read_text("utf-8")
    path = estate.files / "ballast"
    path.write_bytes(b"\1" * (120 << 20))
    estate.parameters.write_text(changed.replace("policy:", "policy:\n    drift: {min_free_percent: 99}", 1), "utf-8")
    yield
    path.unlink()
    estate.parameters.write_text(changed, "utf-8")


@contextmanager
def failed_snapshot(estate):
    """Let a backup fail after the last good one."""
    with estate.fault("snapshot-error", times=1):
        made = estate.ec2.create_snapshot(VolumeId=estate.volume_id)["SnapshotId"]
        yield
    estate.ec2.delete_snapshot(SnapshotId=made)


@contextmanager
def altered_record(estate):
    """Alter one line of the evidence of the last run that acted."""
    newest = max(path for path in estate.archive.iterdir() if (path / "evidence" / "task-mapping.json").is_file()
                 and not (path / "evidence" / "drift.json").is_file())  # fmt: skip
    path = newest / "evidence" / "task-mapping.json"
    text = path.read_bytes()
    path.write_bytes(text.replace(b"guestbook", b"guestb00k", 1))
    yield
    path.write_bytes(text)


@contextmanager
def silent_host(estate):
    """Let the host's SSM agent be offline."""
    with estate.fault("host-unreachable", target=estate.host()[0]):
        yield


@contextmanager
def writers(estate):
    """Let a deployment run two tasks at once."""
    estate.update(deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 200})
    yield
    estate.update(deploymentConfiguration=SINGLE)


@contextmanager
def rebalanced(estate):
    """Let ECS move the task between Availability Zones, for which it wants room for a second one."""
    wide = {"minimumHealthyPercent": 0, "maximumPercent": 200}
    estate.update(deploymentConfiguration=wide, availabilityZoneRebalancing="ENABLED")
    yield
    estate.update(deploymentConfiguration=SINGLE, availabilityZoneRebalancing="DISABLED")


@contextmanager
def open_to_all(estate):
    """Open the hosts' security group to everybody."""
    instance = estate.ec2.describe_instances(InstanceIds=[estate.host()[0]])["Reservations"][0]["Instances"][0]
    group = instance["SecurityGroups"][0]["GroupId"]
    rule = {"GroupId": group, "CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    estate.ec2.authorize_security_group_ingress(**rule)
    yield
    estate.ec2.revoke_security_group_ingress(**rule)


@contextmanager
def may_delete(estate):
    """Let the hosts' role delete volumes."""
    iam, role = estate.sandbox.client("iam"), {"RoleName": "guestbook-instance", "PolicyName": "ecs-agent"}
    policy = iam.get_role_policy(**role)["PolicyDocument"]
    wider = {**policy, "Statement": [*policy["Statement"], {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    iam.put_role_policy(**role, PolicyDocument=json.dumps(wider))
    yield
    iam.put_role_policy(**role, PolicyDocument=json.dumps(policy))


@contextmanager
def no_state(estate):
    """Take Terraform's state away."""
    state = estate.sandbox.state_dir / "terraform.tfstate"
    state.rename(state.with_suffix(".gone"))
    yield
    state.with_suffix(".gone").rename(state)


QUICK = {
    "volume-name": (another_name, {"volume-name"}),
    "volume-handed-over": (no_hand_over, {"volume-handed-over"}),
    "volume-name-unique": (second_volume, {"volume-name-unique"}),
    "delete-on-termination": (goes_with_the_instance, {"delete-on-termination-off"}),
    "sentinel": (without_sentinel, {"sentinel-present"}),
    "free-space": (full, {"free-space"}),
    "failed-snapshot": (failed_snapshot, {"no-failed-snapshot"}),
    "record": (altered_record, {"record-verifies"}),
    "silent-host": (
        silent_host,
        {"host-looked-at", "container-sees-the-volume", "sentinel-present", "free-space",
         "free-inodes"},
    ),
    "open-to-all": (open_to_all, {"hosts-not-open-to-the-world"}),
    "second-task": (writers, {"minimum-healthy-percent", "maximum-percent"}),
    "rebalancing": (rebalanced, {"maximum-percent", "availability-zone-rebalancing"}),
}  # fmt: skip
"""What Terraform need not be asked for: what is planted, and what is found."""
PLANNED = {
    "may-delete-volumes": (may_delete, {"plan-empty"}),
    "no-state": (no_state, {"plan-empty", "terraform-looked-at"}),
}


def test_nothing_is_found_on_a_clean_estate(estate):
    """Exit code 0, no finding, and the service was not touched: the same task, every write."""
    before = estate.ecs.list_tasks(cluster="guestbook")["taskArns"]
    assert estate.look(plans=True)[:2] == (0, [])
    assert estate.ecs.list_tasks(cluster="guestbook")["taskArns"] == before
    estate.has_every_write()


@pytest.mark.parametrize("case", QUICK)
def test_planted_drift_is_found(estate, case):
    """Exit code 3; exactly what was planted, each with a fix; taken back, nothing is found."""
    plant, expected = QUICK[case]
    with plant(estate):
        code, found, output = estate.look()
    assert (code, set(found)) == (3, expected), output
    assert all(f"{one}: expected" in output for one in expected)
    assert output.count("Fix: ") >= len(expected)
    assert estate.look()[1] == []


@pytest.mark.parametrize("case", PLANNED)
def test_what_was_changed_beside_terraform_is_found(estate, case):
    """A change that only Terraform's plan shows is a finding that names the resource."""
    plant, expected = PLANNED[case]
    with plant(estate):
        code, found, output = estate.look(plans=True)
    assert code == 3, output
    assert found
    assert set(found) <= expected, output


def test_another_deployment_is_found(estate):
    """A revision that Terraform did not register: what runs is another one than was applied."""
    (service,) = estate.ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
    known = estate.ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    keys = ("family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes",
            "placementConstraints", "requiresCompatibilities")  # fmt: skip
    definition = {key: known[key] for key in keys if known.get(key)}
    definition["containerDefinitions"][0]["environment"] = [{"name": "PLANTED", "value": "1"}]
    made = estate.ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
    estate.update(taskDefinition=made)
    with contextlib.ExitStack() as stack:
        stack.callback(estate.update, taskDefinition=service["taskDefinition"])
        code, found, output = estate.look(plans=True)
    assert code == 3, output
    assert {"plan-empty", "service-revision"} <= set(found)


def test_the_storage_driver_that_runs_is_told_from_the_parameters(estate):
    """Parameters of the other driver: the finding says which runs."""
    other = {"rexray": "parameters-host-mount.yaml", "host_mount": "parameters.yaml"}[estate.storage_driver]
    storage = estate.sandbox.state_dir / other
    kept = estate.parameters.read_text("utf-8")
    document = yaml.safe_load(kept)
    document["migration"]["storage"] = yaml.safe_load(storage.read_text("utf-8"))["migration"]["storage"]
    estate.parameters.write_text(yaml.safe_dump(document), "utf-8")
    code, found, output = estate.look()
    estate.parameters.write_text(kept, "utf-8")
    assert code == 3, output
    assert {"storage-driver", "host-storage-driver"} <= set(found)


@pytest.mark.parametrize("estate", ["rexray"], indirect=True)
def test_a_plugin_that_was_disabled_is_found(estate):
    """Last of all, for REX-Ray only: the running task goes on, the next one could not start."""
    with estate.fault("plugin-disabled", target=estate.host()[0]):
        code, found, output = estate.look()
    assert code == 3, output
    assert "plugin-enabled" in found
