"""What a host script starts beside itself ends: a container that does not come up, a reader whose walk was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from runbook_lib import host_scripts

FOLDER = Path(host_scripts.__file__).parent
READER = """\
import os, sys, time
import manifest_ahead
manifest_ahead.read_folder = lambda folder: time.sleep(0.05) or ["."]  # a tree without an end
ahead = manifest_ahead.ReadAhead(os.open(sys.argv[1], os.O_RDONLY))
print(ahead.reader, flush=True)
if sys.argv[2] == "ended":
    ahead.end()
    print("ended", flush=True)
time.sleep(60)
"""
HANGS = """\
import sys
import gate
from prelude import Refused
gate.STARTS_S = 0.5
gate.check_image = gate.check_volume = lambda *_arguments: None
gate.find = lambda _volume_id: None
gate.block_devices = list
hold = gate.Hold({"volume_name": "data", "plugin_alias": "rexray/ebs", "image": "pause"}, "vol-1", "r1")
print(repr(hold.mounted_at()))
try:
    hold.container()
except Refused as refusal:
    print(refusal.kind, hold.starting.wait())
"""


def begin(text: str, *arguments: str, path: str = "") -> subprocess.Popen[str]:
    """Start a program beside the host scripts' parts."""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER), "PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def is_there(pid: int) -> bool:
    """Return whether a process runs."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_reader_ends_with_the_walk_that_was_killed(tmp_path, wait_until):
    """Left behind it would keep the volume busy when its driver unmounts it."""
    with begin(READER, str(tmp_path), "killed") as walk:
        reader = int(walk.stdout.readline())
        assert is_there(reader)
        walk.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_there(reader), "the reader has ended")


def test_a_reader_is_ended_when_the_walk_is_done(tmp_path):
    """However much it would still read."""
    with begin(READER, str(tmp_path), "ended") as walk:
        reader = int(walk.stdout.readline())
        assert walk.stdout.readline() == "ended\n"
        assert not is_there(reader)
        walk.kill()


def test_a_container_that_does_not_start_is_not_waited_for_without_end(tmp_path):
    """A plugin that hangs: nothing is seen mounted, the start is given up and refused."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec sleep 60\n")
    docker.chmod(0o755)
    with begin(HANGS, path=str(tmp_path)) as script:
        assert script.communicate(timeout=30)[0] == f"''\ngate-not-running {-signal.SIGKILL}\n"
