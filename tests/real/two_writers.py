"""Take a mounted disk from its writer and give it to another: `two_writers.py fenced|unfenced FOLDER`; prints JSON.

Runs alone, in a mount namespace of its own, on the store that real hosts have their volumes from.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

from runbook_lib.sandbox.real import kernel
from runbook_lib.sandbox.real.mounts import GO_DOWN, NOLOGFLUSH
from runbook_lib.sandbox.real.volumes import RealVolumeStore, tool

VOLUME, RECORD, RECORDS, TREES = "vol-1", b"acknowledged\n", 50, 20


def cut_off(mount):
    """Shut a filesystem down as a forced detach does, and take it out of sight."""
    descriptor = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(descriptor, GO_DOWN, struct.pack("I", NOLOGFLUSH))
    os.close(descriptor)
    tool("umount", "--lazy", str(mount))


def last_words(log):
    """Return what a late write of the former writer ended with."""
    try:
        log.write(RECORD)
        os.fsync(log.fileno())
    except OSError as error:
        return os.strerror(error.errno)
    return "written"


def main(way, folder):
    """Let one write, take the disk, let another write; return what came of it."""
    kernel.own_mounts()
    store = RealVolumeStore(folder)
    store.create(VOLUME, 1)
    store.format(VOLUME, "ext4")
    former, mounts = store.loop(VOLUME), [folder / "former", folder / "next"]
    for mount in mounts:
        mount.mkdir()
    tool("mount", former.path, str(mounts[0]))
    log = (mounts[0] / "log").open("wb", buffering=0)
    for _ in range(RECORDS):
        log.write(RECORD)
        os.fsync(log.fileno())
    if way == "fenced":
        cut_off(mounts[0])
        store.release(VOLUME)
        path = store.loop(VOLUME).path
    else:  # what taking a volume without asking its writer comes to: two kernels, one filesystem
        path = tool("losetup", "--find", "--show", str(folder / "pool/volumes" / VOLUME / "device")).strip()
    tool("mount", path, str(mounts[1]))
    found = (mounts[1] / "log").stat().st_size // len(RECORD)
    late = [last_words(log)]
    for number in range(TREES):
        tool("cp", "-r", "/etc", str(mounts[1] / str(number)))
        if way != "fenced":
            tool("cp", "-r", "/etc", str(mounts[0] / f"former-{number}"))
            tool("sync")
    late.append(last_words(log))
    log.close()
    tool("umount", str(mounts[1]))
    if way != "fenced":
        tool("umount", str(mounts[0]))
        tool("losetup", "--detach", path)
    store.release(VOLUME)
    image = str(folder / "pool/volumes" / VOLUME / "device")
    checked = subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, text=True, check=False)
    store.close()
    lines = [line for line in checked.stdout.splitlines() if line.strip()]
    return {"records": found, "late_writes": late, "e2fsck": checked.returncode, "said": lines}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]))) + "\n")
