"""What a host script starts beside itself ends: a container that does not come up, workers whose walk was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from runbook_lib import host_scripts

FOLDER = Path(host_scripts.__file__).parent
WORKERS = """\
import sys, time
from manifest_workers import Workers
workers = Workers(2, lambda number: time.sleep(0.1))
try:
    with workers:
        for number in range(1000):  # more than a minute of work
            workers.give(number)
        print(*[pid for pid, _ in workers.children], flush=True)
        if sys.argv[1] == "failed":
            raise KeyboardInterrupt
except KeyboardInterrupt:
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


def test_workers_end_with_the_walk_that_was_killed(wait_until):
    """Whatever waits for them: left behind they would keep the volume busy when its driver unmounts it."""
    with begin(WORKERS, "killed") as walk:
        pids = [int(pid) for pid in walk.stdout.readline().split()]
        assert [is_there(pid) for pid in pids] == [True, True]
        walk.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(is_there, pids)), "the workers have ended")


def test_workers_are_ended_when_the_walk_fails():
    """However much they would still do."""
    with begin(WORKERS, "failed") as walk:
        pids = [int(pid) for pid in walk.stdout.readline().split()]
        assert walk.stdout.readline() == "ended\n"
        assert not any(map(is_there, pids))
        walk.kill()


def test_a_container_that_does_not_start_is_not_waited_for_without_end(tmp_path):
    """A plugin that hangs: nothing is seen mounted, the start is given up and refused."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec sleep 60\n")
    docker.chmod(0o755)
    with begin(HANGS, path=str(tmp_path)) as script:
        assert script.communicate(timeout=30)[0] == f"''\ngate-not-running {-signal.SIGKILL}\n"
