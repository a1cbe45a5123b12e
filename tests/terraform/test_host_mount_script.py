"""Tests of the scripts of storage driver host_mount that need no host: what they install, read, and how small they are.

What they do to volumes is in tests/sandbox/test_host_mount.py.
"""

from __future__ import annotations

import ast
import base64
import gzip
import importlib
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "terraform/modules/ecs_cluster/files"
SCRIPTS = ("runbook_boot", "runbook_volume_host", "runbook_host_mount")
DNF = """#!{python}
import pathlib, sys
pathlib.Path({log!r}).write_text(" ".join(sys.argv[1:]))
aws = pathlib.Path({aws!r})
aws.write_text("#!/bin/sh\\n")
aws.chmod(0o755)
sys.exit({code})
"""
CONFIGURATION = {
    "storage": {"mount_path": "/mnt/runbook/data", "volume_id": "vol-0abc"},
    "ecs_config": {"ECS_CLUSTER": "guestbook"},
}


@pytest.fixture
def modules(monkeypatch):
    """Return the scripts as modules, as they import one another on a host."""
    monkeypatch.syspath_prepend(str(FILES))
    yield {name: importlib.import_module(name) for name in SCRIPTS}
    for name in SCRIPTS:
        sys.modules.pop(name)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that makes `dnf` the only program there is, which installs `aws` beside itself."""

    def install(code):
        folder = tmp_path / "bin"
        folder.mkdir()
        aws, log = folder / "aws", tmp_path / "dnf.log"
        (folder / "dnf").write_text(DNF.format(python=sys.executable, log=str(log), aws=str(aws), code=code))
        (folder / "dnf").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return log

    return install


def test_the_command_line_is_installed_where_the_image_lacks_it_and_only_there(modules, programs):
    """The ECS-optimized image has no `aws`; a second boot, or an image of one's own, installs nothing."""
    log = programs(0)
    modules["runbook_host_mount"].install_cli()
    assert log.read_text() == "install --assumeyes awscli-2"
    log.unlink()
    modules["runbook_host_mount"].install_cli()
    assert not log.exists()


def test_a_host_that_cannot_install_it_may_try_again(modules, programs):
    """A repository that does not answer is an error that another attempt may mend."""
    programs(1)
    with pytest.raises(modules["runbook_boot"].BootError, match="dnf install") as caught:
        modules["runbook_host_mount"].install_cli()
    assert not isinstance(caught.value, modules["runbook_boot"].FinalBootError)


@pytest.mark.parametrize("text", ["Not Specified", "", "i-0abc; reboot"])
def test_an_instance_that_is_not_nitro_is_refused_for_good(modules, tmp_path, monkeypatch, text):
    """Without NVMe nothing on the host says which volume a device is."""
    file = tmp_path / "board_asset_tag"
    file.write_text(text + "\n")
    monkeypatch.setattr(modules["runbook_volume_host"], "INSTANCE_ID", str(file))
    with pytest.raises(modules["runbook_boot"].FinalBootError, match="no Nitro instance"):
        modules["runbook_volume_host"].Host(CONFIGURATION)


def test_the_mount_table_of_a_real_kernel_is_read(modules):
    """Every line of this machine's own table is understood; a process that is gone has none."""
    rows = modules["runbook_volume_host"].mounts("self")
    assert "/" in [row["target"] for row in rows]
    assert len(rows) == len(Path("/proc/self/mountinfo").read_text().splitlines())
    assert modules["runbook_volume_host"].mounts("0") == []


PRIVATE = "600 550 259:3 / /data rw,relatime - ext4 /dev/nvme1n1 rw\n"
FOLLOWER = "601 551 259:3 / /mnt/runbook/data rw,relatime master:7 - ext4 /dev/nvme1n1 rw\n"
OWN = "30 1 259:3 / /mnt/runbook/data rw,relatime shared:7 - ext4 /dev/nvme1n1 rw\n"
OTHER = "602 552 259:4 / /data rw,relatime - ext4 /dev/nvme2n1 rw\n"


@pytest.mark.parametrize(
    ("tables", "users"),
    [
        ({"1": OWN, "7": PRIVATE}, [7]),
        ({"1": OWN, "7": OWN.replace("shared:7 ", "")}, [7]),
        ({"1": OWN, "7": FOLLOWER}, []),
        ({"1": OWN, "7": OTHER}, []),
        ({"1": OWN, "7": ""}, []),
    ],
    ids=["container", "container at the same path", "service with its own namespace", "other volume", "gone"],
)
def test_only_private_mounts_of_the_volume_are_users(modules, tmp_path, monkeypatch, tables, users):
    """A container's mount outlives an umount on the host; one that follows the host's does not."""
    module = modules["runbook_volume_host"]
    lines = {"self": tables["1"], **tables}
    monkeypatch.setattr(module, "mounts", lambda pid: [module.row_of(row.split()) for row in lines[pid].splitlines()])
    monkeypatch.setattr(module, "namespace", lambda pid: "host" if pid in {"self", "1"} else "other")
    monkeypatch.setattr(module.os, "listdir", lambda path: [*tables, "self"] if path == "/proc" else [])
    (tmp_path / "id").write_text("i-0abc\n")
    monkeypatch.setattr(module, "INSTANCE_ID", str(tmp_path / "id"))
    assert module.Host(CONFIGURATION).users() == users


def test_the_scripts_fit_into_user_data_and_into_the_hosts_python():
    """Compressed they leave 4 of the 16 KiB that EC2 takes to the rest, and Python 3.9 compiles them."""
    size = 0
    for name in SCRIPTS:
        text = (FILES / f"{name}.py").read_bytes()
        ast.parse(text, feature_version=(3, 9))
        size += len(base64.b64encode(gzip.compress(text)))
    assert size < 12_000
