"""What acts on the source looks at the end, as `list_open_files` would: one command instead of two in the outage."""

from __future__ import annotations


def look_of(path):
    """Return the arguments of a look."""
    return {"mount_path": str(path), "project": "guestbook"}


def test_a_release_says_that_the_path_is_no_mount_any_more(host, mounted):
    result = host.result("release_mount", mount_path=str(mounted), expected_source=None, look=look_of(mounted))

    assert (result["was_mounted"], result["released"]) == (True, True)
    assert result["look"] == host.result("list_open_files", **look_of(mounted))
    assert result["look"]["mounted"] is False


def test_a_release_of_what_is_not_mounted_looks_too(host, tmp_path):
    result = host.result("release_mount", mount_path=str(tmp_path), expected_source=None, look=look_of(tmp_path))

    assert (result["was_mounted"], result["look"]["mounted"]) == (False, False)


def test_a_manifest_says_who_holds_the_mount_when_it_is_complete(host, mounted):
    """The test itself holds a file, as a writer would that came back after the stop."""
    with (mounted / "held.db").open("w"):
        result = host.result("build_manifest", run_id="r1", name="m", root=str(mounted), look=look_of(mounted))

    assert result["files"] == 1
    assert result["look"]["mounted"] is True
    assert {row["path"] for row in result["look"]["open_files"] if row["kind"] == "fd"} == {str(mounted / "held.db")}


def test_without_being_asked_nobody_looks(host, mounted):
    """Other steps build manifests too, and do not pay for a look."""
    assert "look" not in host.result("build_manifest", run_id="r1", name="m", root=str(mounted))
    assert "look" not in host.result("release_mount", mount_path=str(mounted), expected_source=None)
