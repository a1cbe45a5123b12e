"""Look at the data volume on this host before the service starts: is it the volume, and is everything on it as it was?

Changes: the gate container (see `gate`), which stays and holds the volume until the task has it; a manifest below
/var/lib/runbook. It reads the metadata of every entry, and the contents of the sentinel, of what changed since a moment
and of samples, the smallest first, until their time is over. Nothing is written onto the volume and nothing of the
application runs. A device or a filesystem that is another one is told before anything on it is read.
With `wait_s` it may be sent before the volume is handed over: it waits so long for the volume to get its name, or its
mount, and takes nothing until then. It reads as soon as the volume is mounted, while the gate container still starts;
when that container then holds another place than the one that was read, its own is read. Two of these scripts for one
volume follow one another.
"""

from __future__ import annotations

import fcntl
import gc
import os
import time

from build_manifest import LISTED, Attempt, build
from containers import source_of, view_path
from gate import INSIDE, POLL_S, Hold
from inspect_target import below, device_of
from manifest_hash import find_hashing
from manifest_rows import manifest_path
from manifest_sample import Samples
from manifest_workers import worker_count
from mounts import block_devices, find_device, find_mounts, probe_device
from prelude import STORE, root_facts


def main(arguments: dict) -> dict:
    """Hold the volume, say what it is, and, when it is the expected one, describe what is on it."""
    gc.disable()
    os.makedirs(STORE, mode=0o700, exist_ok=True)
    with open(os.path.join(STORE, arguments["volume_id"] + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return held_and_described(arguments)


def held_and_described(arguments: dict) -> dict:
    """Return what was found on the volume once this host has it."""
    gate, volume_id, wait_s = arguments["gate"], arguments["volume_id"], float(arguments.get("wait_s") or 0)
    if gate.get("mount_path"):
        wait_for_mount(gate["mount_path"], volume_id, wait_s)
        return described(gate["mount_path"], gate["mount_path"], arguments)
    hold = Hold(gate, volume_id, arguments["run_id"], wait_s)
    place = hold.mounted_at()
    try:
        facts = described(place, place, arguments) if place else {}
    finally:
        container = hold.container()
    held = identify(source_of(container, INSIDE))
    if not place or root_of(held) != root_of(facts):
        return described(source_of(container, INSIDE), view_path(container, INSIDE), arguments)
    return dict(facts, **held)


def root_of(facts: dict) -> tuple:
    """Return which folder of which filesystem a path is: equal for two mounts of the same."""
    source = facts["mount"]["source"] if facts["mount"] else ""
    return source, facts["volume_id"], facts["filesystem_uuid"], facts["below_mount"]


def wait_for_mount(mount_path: str, volume_id: str, wait_s: float) -> None:
    """Wait until the volume is mounted there; what is there after that time is looked at all the same."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        device = find_device(block_devices(), volume_id)
        if device and device["mountpoint"] == mount_path:
            return
        time.sleep(POLL_S)


def described(place: str, view: str, arguments: dict) -> dict:
    """Return which volume and filesystem a path lies on, and when both are the expected ones, what is on it."""
    started, facts = time.monotonic(), identify(place)
    if (facts["volume_id"], facts["filesystem_uuid"]) == (arguments["volume_id"], arguments["filesystem_uuid"]):
        facts.update(root=root_facts(view), **describe(view, arguments))
    return dict(facts, duration_s=round(time.monotonic() - started, 3))


def identify(source: str) -> dict:
    """Return which volume and which filesystem a path of this host lies on."""
    rows = find_mounts("--target", source) if source else []
    device = device_of(rows[-1]["source"]) if rows else None
    serial = device["serial"] if device else ""
    return {
        "mount": rows[-1] if rows else None,
        "below_mount": below(source, rows[-1]["target"]) if rows else "",
        "volume_id": "vol-" + serial.replace("-", "")[3:] if serial.startswith("vol") else "",
        "filesystem_uuid": probe_device(device["path"]).get("uuid", "") if device else "",
    }


def describe(view: str, arguments: dict) -> dict:
    """Return the digests of metadata, of what changed and of samples, and the sentinel's."""
    hashed_with = find_hashing()
    seed, files, size = arguments["seed"], int(arguments["files"]), int(arguments["bytes"])
    samples = Samples(seed, files, size, float(arguments["budget_s"]))
    options = dict(arguments, content="changed", lowest_band=samples.lowest_band)
    # what another host had is in no memory here: while one worker waits for the disk, another has something to do
    options["workers"] = worker_count(None) * 2
    with Attempt(manifest_path(arguments["run_id"], arguments["name"])) as attempt:
        totals, walk = build(view, attempt.folder, [], options)
        attempt.publish(view, [], totals)
        groups = dict(totals.group_facts(), **samples.read(view, attempt.path, totals.sampled, options))
    changed = groups.get("changed", {"files": 0, "bytes": 0})
    return {
        "metadata_sha256": totals.metadata_sha256,
        "sentinel_sha256": totals.sentinel,
        "groups": {name: facts for name, facts in groups.items() if name == "changed" or name in samples.finished},
        "entries": totals.numbers["entries"],
        "files": totals.numbers["files"],
        "bytes": totals.numbers["bytes"],
        "changed_files": changed["files"],
        "sampled_files": samples.files,
        "sampled_bytes": samples.bytes,
        "hashed_with": hashed_with,
        "unstable": sorted(set(totals.unstable + walk.vanished))[:LISTED],
    }
