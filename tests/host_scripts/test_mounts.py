"""Releasing, mounting and watching the data volume: refused while anything holds it, proven afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VOLUME_ID = "vol-0123456789abcdef0"
RELEASE = {"script": "stop_compose", "function": "release_mount.release"}


@pytest.fixture
def holder(mounted):
    """Return a process that has a file of the mount open, another one mapped, and its working directory there."""
    (mounted / "open.db").touch()
    (mounted / "mapped.db").write_bytes(b"x" * 4096)
    program = (
        "import mmap,sys; a=open('open.db'); b=open('mapped.db','r+b'); m=mmap.mmap(b.fileno(),0); b.close();"
        "print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=mounted, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_open_files_are_listed_with_their_holder(host, mounted, holder):
    """Descriptors, maps and working directories below the mount are found, whoever holds them."""
    rows = host.result("list_open_files", mount_path=str(mounted))["open_files"]

    found = {(row["kind"], Path(row["path"]).name) for row in rows if row["pid"] == holder.pid}
    assert {("cwd", "data"), ("fd", "open.db"), ("map", "mapped.db")} <= found
    assert {row["pid"] for row in rows} == {holder.pid}


def test_a_path_that_is_no_mount_has_no_open_files(host, tmp_path):
    """Nothing mounted, nothing held."""
    result = host.result("list_open_files", mount_path=str(tmp_path))

    assert (result["mounted"], result["open_files"]) == (False, [])


def test_a_held_mount_is_not_released(host, mounted, holder):
    """While a process holds the mount it is refused, with who; umount is not even tried."""
    error = host.refusal(**RELEASE, path=str(mounted))

    assert error["kind"] == "busy"
    assert f"pid {holder.pid}" in error["message"]
    assert {row["pid"] for row in error["details"]["open_files"]} == {holder.pid}
    assert host.calls("umount") == []


def test_a_free_mount_is_released_and_flushed(host, mounted):
    """Dirty pages are written, the path is unmounted, the device's buffers are flushed, in this order."""
    host.result(**RELEASE, path=str(mounted))

    changing = [call for call in host.state()["calls"] if call[0] in ("sync", "umount", "blockdev")]
    assert changing == [
        ["sync", "-f", str(mounted)], ["umount", str(mounted)], ["blockdev", "--flushbufs", "/dev/nvme1n1"]
    ]  # fmt: skip


def test_releasing_again_changes_nothing(host, mounted):
    """A mount that is gone already stays gone."""
    host.result(**RELEASE, path=str(mounted))
    host.result(**RELEASE, path=str(mounted))

    assert len(host.calls("umount")) == 1


def test_a_device_that_is_mounted_twice_is_not_released(host, mounted):
    """A bind mount elsewhere would keep the volume busy, so it is named before anything is done."""
    mounts = host.state()["mounts"]
    host.change(mounts=[*mounts, {**mounts[0], "target": "/backup"}])

    error = host.refusal(**RELEASE, path=str(mounted))

    assert (error["kind"], host.calls("umount")) == ("mounted-elsewhere", [])
    assert "/backup" in error["message"]


def test_a_mount_that_stays_is_told(host, mounted):
    """When umount says yes and the mount is still there, that is an error."""
    host.change(stuck=True)

    assert host.refusal(**RELEASE, path=str(mounted))["kind"] == "still-mounted"


def mount_arguments(path: Path, **changed) -> dict:
    """Return the arguments that mount the data volume of the host double."""
    known = {"volume_id": VOLUME_ID, "mount_path": str(path), "fstype": "ext4", "options": "noatime",
             "device_name": "/dev/sdf", "filesystem_uuid": "6f0d", "wait_s": 0}  # fmt: skip
    return {**known, **changed}


def test_the_volume_is_mounted_again(host, mounted):
    """After a release the device is found by its serial and mounted where it was."""
    host.result(**RELEASE, path=str(mounted))

    result = host.result("mount_volume", **mount_arguments(mounted))

    assert (result["mounted"], result["source"], result["target"]) == (True, "/dev/nvme1n1", str(mounted))
    assert host.calls("mount") == [["mount", "-t", "ext4", "-o", "noatime", "/dev/nvme1n1", str(mounted)]]


def test_a_mounted_volume_stays_mounted(host, mounted):
    """Mounting again changes nothing."""
    result = host.result("mount_volume", **mount_arguments(mounted))

    assert (result["mounted"], host.calls("mount")) == (False, [])


def test_another_filesystem_is_not_mounted(host, mounted, tmp_path):
    """A device with another filesystem than the recorded one is refused."""
    error = host.refusal("mount_volume", **mount_arguments(tmp_path / "x", filesystem_uuid="beef"))

    assert (error["kind"], host.calls("mount")) == ("unexpected-filesystem", [])


def test_a_volume_that_is_not_attached_is_told_with_what_is_there(host, mounted):
    """Without the device the refusal shows the devices of the host."""
    error = host.refusal("mount_volume", **mount_arguments(mounted, volume_id="vol-0000000000000000a"))

    assert error["kind"] == "no-device"
    assert [row["name"] for row in error["details"]["block_devices"]] == ["/dev/nvme0n1", "/dev/nvme1n1"]


def test_a_foreign_mount_at_the_path_is_told(host, mounted):
    """When another device is mounted at the path the volume is not mounted over it."""
    mounts = host.state()["mounts"]
    host.change(mounts=[{**mounts[0], "source": "/dev/nvme7n1"}])

    error = host.refusal("mount_volume", **mount_arguments(mounted))

    assert (error["kind"], host.calls("mount")) == ("other-source", [])


def may_mount() -> bool:
    """Return whether this process may make mount namespaces and mounts."""
    command = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    able = shutil.which("unshare") is not None and os.geteuid() == 0
    return able and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs root and mount namespaces")
def test_a_private_mount_of_another_namespace_holds_the_volume(host, tmp_path):
    """A real mount that only a container's namespace has is found by its device number, as is a file open there."""
    target = tmp_path / "volume"
    target.mkdir()
    host.change(mounts=[{"source": "none", "target": str(target), "fstype": "tmpfs", "options": "rw"}])
    program = Path(__file__).with_name("foreign_namespace.py")
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, str(program), str(target), str(host.bin)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    rows = json.loads(done.stdout)["result"]["open_files"]

    found = {(row["kind"], row["path"]) for row in rows}
    assert {("namespace", "/mnt"), ("fd", "/mnt/file")} <= found
