"""Look at the data volume on this host before the service starts: is it the volume, and is everything on it as it was?

Changes: the gate container (see `gate`), which stays and holds the volume until the task has it; a manifest below
/var/lib/runbook. It reads the metadata of every entry, and the contents of the sentinel, of what changed since a moment
and of samples, the smallest first, until their time is over. Nothing is written onto the volume and nothing of the
application runs. A device or a filesystem that is another one is told before anything on it is read.
"""

from __future__ import annotations

import gc
import time

from build_manifest import LISTED, Attempt, build
from containers import view_path
from gate import INSIDE, hold, source_of
from inspect_target import below, device_of
from manifest_hash import find_hashing
from manifest_rows import manifest_path
from manifest_sample import Samples
from mounts import find_mounts, probe_device
from prelude import root_facts


def main(arguments: dict) -> dict:
    """Hold the volume, say what it is, and, when it is the expected one, describe what is on it."""
    started = time.monotonic()
    gc.disable()
    gate = arguments["gate"]
    if gate.get("mount_path"):
        source = view = gate["mount_path"]
    else:
        container = hold(gate, arguments["volume_id"], arguments["run_id"])
        source, view = source_of(container), view_path(container, INSIDE)
    facts = dict(identify(source), held_s=round(time.monotonic() - started, 3))
    expected = (arguments["volume_id"], arguments["filesystem_uuid"])
    if (facts["volume_id"], facts["filesystem_uuid"]) == expected:
        facts.update(root=root_facts(view), **describe(view, arguments))
    return dict(facts, duration_s=round(time.monotonic() - started, 3))


def identify(source: str) -> dict:
    """Return which volume and which filesystem a path of this host lies on."""
    rows = find_mounts("--target", source)
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
    samples = Samples(arguments["seed"], int(arguments["files"]), float(arguments["budget_s"]))
    options = dict(arguments, content="changed", lowest_band=samples.lowest_band)
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
