"""A filesystem is measured by its own tools and grown on its whole device, never on another one."""

from __future__ import annotations

import pytest

VOLUME, GIB = "vol-0123456789abcdef0", 1 << 30


@pytest.fixture
def grown(host, mounted):
    """Return a function that lets the host have a device of some GiB below a filesystem of 8 GiB."""

    def device(gib=10, fstype="ext4", **more):
        root, row = host.state()["devices"]
        (mount,) = host.state()["mounts"]
        host.change(devices=[root, row | {"size": gib * GIB} | more], mounts=[mount | {"fstype": fstype}])
        host.change(blocks=8 * GIB // 4096)
        return row

    return device


def grow(host, row, gib=10, **more):
    """Grow the filesystem of the volume to a size."""
    names = {"volume_id": VOLUME, "filesystem_uuid": row["uuid"], "device_bytes": gib * GIB, "limit_s": 30}
    return host.result("grow_filesystem", **{**names, **more})


@pytest.mark.parametrize(("fstype", "tool"), [("ext4", "resize2fs"), ("xfs", "xfs_growfs")])
def test_a_filesystem_is_grown_and_measured(host, mounted, grown, fstype, tool):
    """Before it is as large as it was, afterwards as its device; ext by its device, XFS by where it is mounted."""
    row = grown(fstype=fstype)
    answer = grow(host, row)
    sizes = [answer[when]["filesystem_bytes"] for when in ("before", "after")]
    assert sizes == [8 * GIB, 10 * GIB]
    assert host.calls(tool) == [[tool, row["name"]] if fstype == "ext4" else [tool, "-d", str(mounted)]]


def test_measuring_changes_nothing(host, mounted, grown):
    """Only reading tools are called."""
    grown()
    seen = host.result("measure_volume", volume_id=VOLUME)
    assert (seen["device_bytes"], seen["filesystem_bytes"], seen["path"]) == (10 * GIB, 8 * GIB, str(mounted))
    assert host.calls("resize2fs") == []


@pytest.mark.parametrize(
    ("state", "call", "kind"),
    [
        ({}, {"gib": 12}, "device-too-small"),
        ({}, {"filesystem_uuid": "another"}, "unexpected-filesystem"),
        ({}, {"volume_id": "vol-0ff"}, "no-device"),
        ({"pttype": "gpt"}, {}, "not-mounted"),
        ({"fstype": "btrfs"}, {}, "unknown-filesystem"),
    ],
    ids=["not grown yet", "another filesystem", "another volume", "a partition table", "btrfs"],
)
def test_what_is_not_grown(host, grown, state, call, kind):
    """Each is refused with its reason, and neither tool is called."""
    row = grown(**state)
    names = {"volume_id": VOLUME, "filesystem_uuid": row["uuid"], "device_bytes": call.pop("gib", 10) * GIB}
    error = host.refusal("grow_filesystem", limit_s=30, **{**names, **call})
    assert error["kind"] == kind
    assert host.calls("resize2fs") + host.calls("xfs_growfs") == []


def test_a_tool_that_fails_is_told(host, grown):
    """Its own words come back, with its exit code."""
    row = grown()
    host.change(grow_fails=True)
    names = {"volume_id": VOLUME, "filesystem_uuid": row["uuid"], "device_bytes": 10 * GIB, "limit_s": 30}
    error = host.refusal("grow_filesystem", **names)
    assert (error["kind"], error["details"]["exit_code"]) == ("command-failed", 1)
