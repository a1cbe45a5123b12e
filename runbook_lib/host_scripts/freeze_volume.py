"""Freeze the filesystem of the data volume for a moment, with a watchdog that thaws it whatever happens to us.

The watchdog is a process of its own; it starts before the freeze and thaws when the time is over, unless `thaw_volume`
came first. Changes: the filesystem waits with every write; a note below /var/lib/runbook; nothing on the volume.
"""

from __future__ import annotations

import json
import os
import subprocess
import time

from containers import find_container, source_of
from inspect_target import device_of
from mounts import find_mounts
from prelude import STORE, Refused, read_text, run, write_atomically

WATCHDOG = """
import json, os, subprocess, sys, time
note, freeze_id, path, limit_s = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
time.sleep(limit_s)
try:
    with open(note) as stream:
        known = json.load(stream)
except (OSError, ValueError):
    known = {}
if known.get("freeze_id") == freeze_id:
    subprocess.call(["fsfreeze", "-u", path])
    os.remove(note)
"""


def main(arguments: dict) -> dict:
    """Flush, start the watchdog, freeze; return the mount point and how long the freeze took."""
    limit_s, volume_id, freeze_id = float(arguments["limit_s"]), arguments["volume_id"], arguments["freeze_id"]
    path = mount_point(find_container(arguments), arguments["container_path"], volume_id)
    note = note_of(volume_id)
    if read_text(note):  # of an attempt that was killed; its watchdog may still sleep
        os.remove(note)
        run(["fsfreeze", "-u", path], accept=(0, 1))
    run(["sync"], timeout_s=300)  # what is dirty is written before anybody has to wait
    write_atomically(note, json.dumps({"freeze_id": freeze_id, "path": path}).encode())
    argv = ["python3", "-c", WATCHDOG, note, freeze_id, path, str(limit_s)]
    quiet = subprocess.DEVNULL
    watchdog = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    started = time.monotonic()
    try:
        run(["fsfreeze", "-f", path], timeout_s=limit_s)
    except Refused:
        os.remove(note)
        run(["fsfreeze", "-u", path], accept=(0, 1))
        raise
    return {"path": path, "freeze_s": round(time.monotonic() - started, 3), "watchdog_pid": watchdog.pid}


def mount_point(container: dict, container_path: str, volume_id: str) -> str:
    """Return where the kernel has the volume mounted that a container sees; refuse every other filesystem."""
    source = source_of(container, container_path)
    rows = find_mounts("--target", source) if source else []
    device = device_of(rows[-1]["source"]) if rows else None
    if device is None or device["serial"].replace("-", "") != volume_id.replace("-", ""):
        message = "the container's %s is not on %s; nothing was frozen" % (container_path, volume_id)
        raise Refused("other-filesystem", message, source=source, device=device)
    return rows[-1]["target"]


def note_of(volume_id: str) -> str:
    """Return the path of the note that says which freeze is under way."""
    return os.path.join(STORE, "freeze-%s.json" % volume_id)
