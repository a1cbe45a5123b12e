"""The picture of the world notices whatever a refusal could have changed, and nothing but that."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.world_picture import take_picture, unchanged


@pytest.fixture(scope="module")
def seen(sandbox):
    """Return the sandbox at rest, its ids, and what was last seen of it; a test shows what it changed."""
    sandbox.control("POST", "/_sandbox/client", {"running": False})
    migration = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))["migration"]
    return {
        "picture": take_picture(sandbox),
        "instance_id": migration["source"]["instance_id"],
        "volume_id": migration["volume"]["volume_id"],
    }


def on_source(sandbox, seen, *words):
    """Run a program on the source."""
    answer = sandbox.control("POST", f"/_sandbox/hosts/{seen['instance_id']}/call", {"argv": list(words)})
    assert answer["exit_code"] == 0, answer


def tag(sandbox, seen):
    sandbox.client("ec2").create_tags(Resources=[seen["volume_id"]], Tags=[{"Key": "Name", "Value": "other"}])


def flag(sandbox, seen):
    mapping = {"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": False}}
    sandbox.client("ec2").modify_instance_attribute(InstanceId=seen["instance_id"], BlockDeviceMappings=[mapping])


def snapshot(sandbox, seen):
    sandbox.client("ec2").create_snapshot(VolumeId=seen["volume_id"])


def cluster(sandbox, _seen):
    sandbox.client("ecs").create_cluster(clusterName="other")


def parameter(sandbox, _seen):
    sandbox.client("ssm").put_parameter(Name="/other", Value="x", Type="String")


def bucket_object(sandbox, _seen):
    sandbox.client("s3").create_bucket(Bucket="other")
    sandbox.client("s3").put_object(Bucket="other", Key="x", Body=b"x")


def log_group(sandbox, _seen):
    sandbox.client("logs").create_log_group(logGroupName="other")


def fstab(sandbox, seen):
    with (sandbox.state_dir / "hosts" / seen["instance_id"] / "root/etc/fstab").open("a") as file:
        file.write("# other\n")


def user_file(sandbox, seen):
    (sandbox.state_dir / "volumes" / seen["volume_id"] / "fs" / "other").write_text("x")


def restart_policy(sandbox, seen):
    on_source(sandbox, seen, "docker", "update", "--restart", "no", "guestbook-guestbook-1")


def container(sandbox, seen):
    on_source(sandbox, seen, "docker", "stop", "guestbook-guestbook-1")


def mount(sandbox, seen):
    on_source(sandbox, seen, "umount", "/srv/guestbook")


def terraform(sandbox, _seen):
    (sandbox.state_dir / "terraform.tfstate").write_text(json.dumps({"serial": 1}))


def test_what_nobody_changes_stays_as_it_was(sandbox, seen, wait_until):
    """Health checks, agents and clocks go on, and the picture stays the same."""

    def last_check():
        argv = ["docker", "inspect", "guestbook-guestbook-1"]
        answer = sandbox.control("POST", f"/_sandbox/hosts/{seen['instance_id']}/call", {"argv": argv})
        log = json.loads(answer["stdout"])[0]["State"]["Health"]["Log"]
        return log[-1]["End"] if log else ""

    with unchanged(sandbox):
        before = last_check()
        wait_until(lambda: last_check() != before, "the container's health was checked again")


@pytest.mark.parametrize(
    "change",
    [
        tag, flag, snapshot, cluster, parameter, bucket_object, log_group, fstab, user_file, restart_policy, container,
        mount, terraform,
    ],
)  # fmt: skip
def test_a_change_is_seen(sandbox, seen, change):
    """Whatever is changed, the picture differs in a line that shows where."""
    change(sandbox, seen)
    before, seen["picture"] = seen["picture"], take_picture(sandbox)
    assert before.differences(seen["picture"])
