"""How scripts answer: results, refusals, defects, large answers in pages, commands that fail."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path

import pytest


def test_a_refusal_is_data(host):
    """A script that will not act prints kind, message and details."""
    error = host.refusal("write_sentinel", mount_path="/nowhere", run_id="r1", content="x")

    assert error == {
        "kind": "not-mounted", "message": "nothing is mounted at /nowhere", "details": {"mount_path": "/nowhere"}
    }  # fmt: skip


def test_a_defect_is_data_too(host):
    """An error nobody foresaw arrives with its traceback instead of a broken answer."""
    error = host.refusal("list_open_files")

    assert error["kind"] == "defect"
    assert "KeyError: 'mount_path'" in error["message"]
    assert "list_open_files.py" in error["details"]["traceback"]


def test_a_command_that_is_not_installed_is_named(host):
    """A host without docker says so."""
    (host.bin / "docker").unlink()
    host.bin.joinpath("docker").symlink_to("/nowhere/docker")

    assert host.refusal("pull_image", image="x:1", login=None)["kind"] in ("command-missing", "command-failed")


def test_a_command_that_fails_is_named_with_what_it_said(host):
    """The refusal carries the command line, the exit code and the output."""
    host.bin.joinpath("docker").write_text("#!/bin/sh\necho broken >&2\nexit 7\n")

    error = host.refusal("inspect_image", image="x:1")

    assert (error["kind"], error["details"]["exit_code"]) == ("command-failed", 7)
    assert error["message"] == "docker image inspect x:1 ended with 7: broken"


def large(host, folder: Path) -> dict:
    """Return the document of an answer that does not fit."""
    for number in range(400):
        folder.joinpath(f"file-{number:04}-{hashlib.sha256(str(number).encode()).hexdigest()}").touch()
    host.result("build_manifest", root=str(folder), run_id="r1", name="hot")
    return host.run("read_manifest", run_id="r1", name="hot")


def test_a_large_answer_is_read_in_pages(host, mounted):
    """What Systems Manager would cut off is stored on the host; the pages make the same answer, checked by digest."""
    paged = large(host, mounted)["paged"]

    text, offset = "", 0
    while offset < paged["characters"]:
        text += host.result("read_page", path=paged["path"], offset=offset, length=20000)["text"]
        offset += 20000

    assert (len(text), hashlib.sha256(text.encode()).hexdigest()) == (paged["characters"], paged["sha256"])
    assert len(json.loads(gzip.decompress(base64.b64decode(text)))["entries"]) == 401


def test_the_last_page_can_remove_the_answer(host, mounted):
    """A stored answer is removed when asked for, so that hosts do not fill up."""
    paged = large(host, mounted)["paged"]

    host.result("read_page", path=paged["path"], offset=0, length=10, remove=True)

    assert not Path(paged["path"]).exists()


def test_a_long_refusal_is_shortened(host, mounted):
    """A refusal with hundreds of rows still arrives as one answer, with the first of them."""
    disk = {"name": "/dev/loop", "serial": "x" * 200, "type": "loop"}
    host.change(devices=[disk] * 300)

    error = host.refusal(
        "mount_volume", volume_id="vol-1", mount_path=str(mounted), fstype="ext4", options="", device_name="",
        filesystem_uuid="", wait_s=0,
    )  # fmt: skip

    assert (error["kind"], error["details"]["shortened"]) == ("no-device", True)
    assert error["details"]["block_devices"] == [disk] * 20


@pytest.mark.parametrize("path", ["/etc/passwd", "{store}/r1/hot.manifest.gz", "{store}/output/../r1/hot.manifest.gz"])
def test_only_answers_can_be_read_in_pages(path, host, mounted):
    """Any other file of the host is refused."""
    large(host, mounted)

    error = host.refusal("read_page", path=path.format(store=host.store), offset=0, length=10)

    assert error["kind"] == "not-an-output"
