"""The sentinel and the probe files: whole or not at all, once, only below the data volume."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest


def sentinel(host, mounted: Path, content: str = '{"run_id":"r1"}') -> dict:
    """Write a sentinel and return the result."""
    return host.result("write_sentinel", mount_path=str(mounted), run_id="r1", content=content)


def test_the_sentinel_is_written_into_a_folder_of_root(host, mounted):
    """The file has the content that was asked for; its folder is closed to others; nothing else is left behind."""
    result = sentinel(host, mounted)
    file = mounted / ".runbook" / "sentinel.json"

    assert file.read_text() == '{"run_id":"r1"}'
    assert (result["path"], result["written"], result["replaced"]) == (str(file), True, "")
    assert result["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["sentinel.json"]


def test_the_same_sentinel_is_not_written_again(host, mounted):
    """A second time changes nothing, not even a time."""
    sentinel(host, mounted)
    before = (mounted / ".runbook" / "sentinel.json").stat()

    result = sentinel(host, mounted)

    after = (mounted / ".runbook" / "sentinel.json").stat()
    assert (result["written"], after.st_ino, after.st_mtime_ns) == (False, before.st_ino, before.st_mtime_ns)


def test_another_runs_sentinel_is_replaced_and_told(host, mounted):
    """A sentinel of an earlier run gives way; its digest is in the result."""
    former = sentinel(host, mounted)["sha256"]

    assert sentinel(host, mounted, '{"run_id":"r2"}')["replaced"] == former


def test_a_symlink_in_the_sentinels_place_is_refused(host, mounted, tmp_path):
    """A container cannot make the script write elsewhere by leaving a symlink."""
    (tmp_path / "elsewhere").mkdir()
    (mounted / ".runbook").symlink_to(tmp_path / "elsewhere")

    error = host.refusal("write_sentinel", mount_path=str(mounted), run_id="r1", content="x")

    assert error["kind"] == "not-a-folder"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.fixture
def container(host, mounted):
    """Return the selector of a container of an ECS task that is this very process, so it sees the same files."""
    labels = {"com.amazonaws.ecs.task-arn": "arn:task/1", "com.amazonaws.ecs.container-name": "guestbook"}
    row = {"Id": "c1", "Name": "/ecs-guestbook", "Image": "sha256:1", "Config": {"Image": "x", "Labels": labels},
           "HostConfig": {}, "State": {"Status": "running", "Running": True, "Pid": os.getpid()},
           "Mounts": [{"Type": "volume", "Name": "guestbook-data", "Source": "", "Driver": "rexray/ebs",
                       "Destination": str(mounted), "RW": True}]}  # fmt: skip
    host.change(containers=[row])
    host.show(os.getpid(), str(mounted))
    return {"task_arn": "arn:task/1", "container_name": "guestbook"}


def test_a_probe_is_written_read_and_removed_through_the_container(host, mounted, container):
    """What is written through a container's view is read through it, until it is removed."""
    place = {"container": container, "container_path": str(mounted), "name": "persist-1"}

    written = host.result("write_probe", **place, content="hello")
    found = host.result("read_probe", **place)
    removed = [host.result("remove_probe", **place)["removed"] for _ in range(2)]

    assert (found["present"], found["content"], found["sha256"]) == (True, "hello", written["sha256"])
    assert removed == [True, False]
    assert host.result("read_probe", **place)["present"] is False


@pytest.mark.parametrize("name", ["../x", "/etc/x", "sentinel.json", "", ".hidden"])
def test_a_probe_cannot_be_another_file(name, host, mounted, container):
    """Names that lead out of the folder, or that are taken, are refused."""
    place = {"container": container, "container_path": str(mounted), "name": name}

    assert host.refusal("write_probe", **place, content="x")["kind"] == "bad-name"


def test_without_a_running_container_there_is_no_view(host, mounted, container):
    """A task whose container does not run is told, with the states that were found."""
    rows = host.state()["containers"]
    rows[0]["State"] = {"Status": "exited", "Running": False, "Pid": 0}
    host.change(containers=rows)

    error = host.refusal("read_probe", container=container, container_path=str(mounted), name="p")

    assert (error["kind"], error["details"]["states"]) == ("no-container", ["exited"])


def test_the_target_shows_how_the_container_sees_the_volume(host, mounted, container):
    """Volume id, filesystem, sentinel, mount and plugin come from the host and through the container's view."""
    sentinel(host, mounted)
    env = ["REXRAY_PREEMPT=false", "EBS_SECRETKEY=hunter2"]
    plugin = {"Id": "p1", "Name": "rexray/ebs:latest", "PluginReference": "x@sha256:1", "Enabled": True}
    volume = {"Name": "guestbook-data", "Driver": "rexray/ebs:latest", "Mountpoint": str(mounted), "Scope": "global"}
    host.change(plugins=[{**plugin, "Settings": {"Env": env}}], volumes=[volume])

    facts = host.result(
        "inspect_target", **container, container_path=str(mounted), volume_name="guestbook-data",
        volume_id="vol-0123456789abcdef0", plugin_alias="rexray/ebs",
    )  # fmt: skip

    assert facts["volume_id"] == "vol-0123456789abcdef0"
    assert (facts["filesystem_uuid"], facts["filesystem_type"], facts["below_mount"]) == ("6f0d", "ext4", "")
    assert facts["sentinel"]["content"] == '{"run_id":"r1"}'
    assert facts["root"]["mode"] == f"{mounted.stat().st_mode & 0o7777:04o}"
    assert facts["volume"]["driver"] == "rexray/ebs:latest"
    assert facts["container"]["mounts"][0]["driver"] == "rexray/ebs"
    assert facts["plugins"][0]["settings"] == {"REXRAY_PREEMPT": "false", "EBS_SECRETKEY": "(hidden)"}


def test_a_view_below_the_volumes_root_is_told(host, mounted, container):
    """When the plugin shows a folder of the volume instead of its root, the folder is named."""
    (mounted / "data").mkdir()
    host.show(os.getpid(), str(mounted), "/data")

    facts = host.result(
        "inspect_target", **container, container_path=str(mounted), volume_name="v", volume_id="vol-1", plugin_alias="a"
    )

    assert facts["below_mount"] == "data"


def test_a_container_that_sees_another_disk_does_not_see_the_volume(host, mounted, container):
    """Only the kernel's table counts: a path that is on no mount of the host is on no volume, whatever docker says."""
    rows = host.state()["containers"]
    rows[0]["Mounts"][0]["Source"] = str(mounted)
    host.change(containers=rows)
    table = host.proc / str(os.getpid()) / "mountinfo"
    table.write_text(table.read_text().replace("259:1", "259:7"))

    facts = host.result(
        "inspect_target", **container, container_path=str(mounted), volume_name="v", volume_id="vol-1", plugin_alias="a"
    )

    assert (facts["mount"], facts["volume_id"]) == (None, "")


def test_a_path_with_blanks_is_read_as_the_kernel_writes_it(host, mounted, container):
    """A mount point with a blank has it as octal digits in the kernel's table."""
    host.change(mounts=[{**host.state()["mounts"][0], "target": "/my data"}])
    host.show(os.getpid(), str(mounted))
    for name in ("self", str(os.getpid())):
        table = host.proc / name / "mountinfo"
        table.write_text(table.read_text().replace("/my data", "/my\\040data"))

    facts = host.result(
        "inspect_target", **container, container_path=str(mounted), volume_name="v", volume_id="vol-1", plugin_alias="a"
    )

    assert facts["mount"]["target"] == "/my data"


def test_a_target_without_container_is_shown_as_far_as_it_is(host):
    """Before the task runs the facts are there, empty where nothing is yet."""
    facts = host.result(
        "inspect_target", task_arn="arn:task/1", container_name="x", container_path="/data", volume_name="v",
        volume_id="vol-1", plugin_alias="a",
    )  # fmt: skip

    assert (facts["container"], facts["mount"], facts["sentinel"], facts["volume_id"]) == (None, None, None, "")


def test_a_container_that_ended_while_it_was_looked_at_is_none(host, mounted, container):
    """Its sentinel can no longer be read: that is told as no container, never as a volume without a sentinel."""
    rows = host.state()["containers"]
    with subprocess.Popen(["true"]) as ended:
        rows[0]["State"]["Pid"] = ended.pid
    host.change(containers=rows)
    host.show(ended.pid, str(mounted))

    facts = host.result(
        "inspect_target", **container, container_path=str(mounted), volume_name="v", volume_id="vol-1", plugin_alias="a"
    )

    assert (facts["container"], facts["mount"], facts["sentinel"], facts["volume_id"]) == (None, None, None, "")


def test_a_manifest_can_be_built_through_the_containers_view(host, mounted, container):
    """The manifest of a container's path equals that of the same folder on the host."""
    (mounted / "a").write_text("x")
    view = host.result("build_manifest", container=container, container_path=str(mounted), run_id="r1", name="after")
    direct = host.result("build_manifest", root=str(mounted), run_id="r1", name="before")

    assert view["sha256"] == direct["sha256"]
