"""Fixtures: run a host script as its own process, with small real programs instead of docker and mounts."""

from __future__ import annotations

import base64
import fcntl
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.host_scripts import source

LOADER = (
    'import base64,sys;n={"__name__":"host_script"};'
    'exec(compile(base64.b64decode(sys.argv[1]),"host_script","exec"),n);'
    'module,_,name=sys.argv[3].rpartition(".");'
    "main=(lambda given:vars(sys.modules[module])[name](**given)) if module else n[name];"
    'sys.exit(n["answer"](main,base64.b64decode(sys.argv[2]).decode()))'
)
PROGRAMS = ("docker", "findmnt", "lsblk", "blkid", "mount", "umount", "blockdev", "sync", "cloud-init", "systemctl",
            "fsfreeze", "dumpe2fs", "resize2fs", "xfs_info", "xfs_growfs")  # fmt: skip


class HostDouble:
    """A host made of a folder: programs on PATH that answer from one JSON file, and note what they were asked.

    Args:
        folder: Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.state_file = folder / "state.json"
        self.store = folder / "store"
        self.bin = folder / "bin"
        self.proc = folder / "proc"
        self.bin.mkdir()
        for name in PROGRAMS:
            program = self.bin / name
            main = Path(__file__).with_name("host_programs.py")
            program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {main} {self.state_file} {name} "$@"\n')
            program.chmod(0o755)
        self.change(mounts=[], devices=[], probes={}, containers=[], plugins=[], volumes=[], images=[], calls=[])

    def state(self) -> dict[str, Any]:
        """Return what the programs know; one that is answering just now is waited for."""
        with self.state_file.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            return json.loads(stream.read())

    def change(self, **values: Any) -> None:
        """Set what the programs know."""
        state = self.state() if self.state_file.exists() else {}
        self.state_file.write_text(json.dumps({**state, **values}))

    def show(self, pid: int, path: str, folder: str = "/") -> None:
        """Let a process see a folder of the mounted data volume at a path, as the kernel's mount tables tell it."""
        target = self.state()["mounts"][0]["target"]
        for name, place in {str(pid): (folder, path), "self": ("/", target)}.items():
            (self.proc / name).mkdir(parents=True, exist_ok=True)
            rows = [("0:40", "/", "/", "overlay", "overlay"), ("259:1", *place, "ext4", "/dev/nvme1n1")]
            lines = [f"1 1 {device} {at} {on} rw - {kind} {source} rw\n" for device, at, on, kind, source in rows]
            (self.proc / name / "mountinfo").write_text("".join(lines))

    def calls(self, *start: str) -> list[list[str]]:
        """Return the command lines that began like this, oldest first."""
        return [call for call in self.state()["calls"] if call[: len(start)] == list(start)]

    def command(self, script: str, arguments: dict[str, Any], function: str = "main") -> dict[str, Any]:
        """Return how a script is started, or one function of a part of it: `args` and `env`."""
        coded = [base64.b64encode(text.encode()).decode() for text in (source(script), json.dumps(arguments))]
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "RUNBOOK_STORE": str(self.store)}
        environment |= {"RUNBOOK_PROC": str(self.proc)} if self.proc.exists() else {}
        return {"args": [sys.executable, "-c", LOADER, *coded, function], "env": environment}

    def begin(self, script: str, **arguments: Any) -> subprocess.Popen[bytes]:
        """Start a script in a process group of its own and return without waiting."""
        return subprocess.Popen(**self.command(script, arguments), stdout=subprocess.DEVNULL, start_new_session=True)

    def run(self, script: str, function: str = "main", **arguments: Any) -> dict[str, Any]:
        """Run a script and return the JSON document it printed, large answers read back from the store."""
        done = subprocess.run(**self.command(script, arguments, function), capture_output=True, text=True, check=False)
        assert done.stderr == ""
        document = json.loads(done.stdout)
        assert done.returncode == (0 if document["ok"] else 1)
        if document.get("paged"):
            content = Path(document["paged"]["path"]).read_bytes()
            document["result"] = json.loads(gzip.decompress(base64.b64decode(content)))
        return document

    def result(self, script: str, **arguments: Any) -> dict[str, Any]:
        """Run a script that must succeed and return its result."""
        document = self.run(script, **arguments)
        assert document["ok"], document
        return document["result"]

    def refusal(self, script: str, **arguments: Any) -> dict[str, Any]:
        """Run a script that must refuse and return the error."""
        document = self.run(script, **arguments)
        assert not document["ok"], document
        return document["error"]


@pytest.fixture
def host(tmp_path: Path) -> HostDouble:
    """Return an empty host."""
    folder = tmp_path / "host"
    folder.mkdir()
    return HostDouble(folder)


@pytest.fixture
def mounted(host: HostDouble, tmp_path: Path) -> Path:
    """Return a folder that the host's programs know as the mounted data volume."""
    folder = tmp_path / "data"
    folder.mkdir()
    volume = {"source": "/dev/nvme1n1", "target": str(folder), "fstype": "ext4", "options": "rw,noatime"}
    disk = {"name": "/dev/nvme1n1", "serial": "vol0123456789abcdef0", "type": "disk", "fstype": "ext4", "pttype": None,
            "uuid": "6f0d", "size": 8589934592, "mountpoint": str(folder)}  # fmt: skip
    root = {"name": "/dev/nvme0n1", "serial": "vol0fedcba9876543210", "type": "disk", "fstype": None, "pttype": "gpt",
            "uuid": None, "size": 8589934592, "mountpoint": None, "children": [{"name": "/dev/nvme0n1p1"}]}  # fmt: skip
    probe = {"TYPE": "ext4", "UUID": "6f0d", "USAGE": "filesystem", "VERSION": "1.0"}
    host.change(mounts=[volume], devices=[root, disk], probes={"/dev/nvme1n1": probe})
    return folder
