"""``lsblk``, ``blkid``, ``blockdev`` and ``sync`` of a simulated host, read from the devices' own bytes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import UsageError, read
from runbook_lib.sandbox.devices import GIB, ROOT_GIB, Disk
from runbook_lib.sandbox.processes import CommandResult
from runbook_lib.sandbox.superblock import Identity

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host

COLUMNS = (
    "NAME", "KNAME", "PATH", "TYPE", "SIZE", "FSTYPE", "PTTYPE", "UUID", "LABEL", "MOUNTPOINT", "MOUNTPOINTS", "SERIAL",
    "MODEL", "RO", "PKNAME", "FSAVAIL", "FSUSE%", "PARTTYPE", "PARTUUID",
)  # fmt: skip
NOTHING_FOUND = 2
MODEL = "Amazon Elastic Block Store"


def lsblk(call: Call) -> CommandResult:
    """Answer ``lsblk --json [-b] [-p] [-f] [-o COLUMNS] [DEVICE...]``."""
    options = read(
        call.arguments, flags=["-J --json", "-b --bytes", "-p --paths", "-f --fs", "-d --nodeps", "-n --noheadings"],
        values=["-o --output"],
    )  # fmt: skip
    if not options.has("--json"):
        return failed("lsblk: the simulated host answers --json only")
    default = "NAME,FSTYPE,LABEL,UUID,MOUNTPOINTS" if options.has("--fs") else "NAME,SIZE,RO,TYPE,MOUNTPOINTS"
    columns = options.value("--output", default).upper().split(",")
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise UsageError(f"unknown column: {unknown[0]}")
    rows = [_root(call.host), *(_disk(call.host, disk) for disk in call.host.devices.disks())]
    if options.words:
        wanted = [_resolved(call.host, word) for word in options.words]
        every = rows + [child for row in rows for child in row["children"]]
        rows = [row for row in every if row["PATH"] in wanted]
        if len(rows) < len(set(wanted)):
            return failed(f"lsblk: {options.words[0]}: not a block device", 32)
    shown = [_shown(row, columns, options.flags) for row in rows]
    return printed(json.dumps({"blockdevices": shown}, indent=3) + "\n")


def _shown(row: dict[str, Any], columns: list[str], flags: set[str]) -> dict[str, Any]:
    facts = {name.lower(): row.get(name) for name in columns}
    if "NAME" in columns and "--paths" in flags:
        facts["name"] = row["PATH"]
    if "SIZE" in columns and "--bytes" not in flags:
        facts["size"] = f"{row['SIZE'] / GIB:g}G"
    if row["children"] and "--nodeps" not in flags:
        facts["children"] = [_shown(child, columns, flags) for child in row["children"]]
    return facts


def _row(host: Host, path: str, kind: str, size_bytes: int, identity: Identity, *, parent: str = "") -> dict[str, Any]:
    places = [one.target for one in host.mounts.all() if one.device == path]
    return {
        "NAME": path.rpartition("/")[2],
        "KNAME": path.rpartition("/")[2],
        "PATH": path,
        "TYPE": kind,
        "SIZE": size_bytes,
        "FSTYPE": identity.fstype or None,
        "PTTYPE": identity.pttype or None,
        "UUID": identity.uuid or None,
        "LABEL": identity.label or None,
        "MOUNTPOINT": places[-1] if places else None,
        "MOUNTPOINTS": places or [None],
        "RO": False,
        "PKNAME": parent or None,
        "children": [],
    }


def _root(host: Host) -> dict[str, Any]:
    disk, partition = f"/dev/{host.devices.root_disk}", f"/dev/{host.devices.root_partition}"
    row = _row(host, disk, "disk", ROOT_GIB * GIB, Identity(pttype="gpt"))
    child = _row(
        host, partition, "part", ROOT_GIB * GIB - (1 << 21), Identity("xfs", host.root_uuid, "/", "gpt"), parent=disk
    )
    row["children"] = [child]
    if host.devices.is_nitro:
        row |= {"SERIAL": "vol" + host.root_volume_id.removeprefix("vol-"), "MODEL": MODEL}
    return row


def _disk(host: Host, disk: Disk) -> dict[str, Any]:
    size = disk.stored.size_gib * GIB
    row = _row(host, disk.path, "disk", size, disk.identity(disk.path))
    if host.devices.is_nitro:
        row |= {"SERIAL": "vol" + disk.volume_id.removeprefix("vol-"), "MODEL": MODEL}
    if disk.child:
        kind = disk.stored.layer
        inner = disk.stored.inner
        child = _row(host, disk.child, kind, size - (1 << 20), inner, parent=disk.path)
        if kind == "part":
            child["PTTYPE"] = row["PTTYPE"]
        row["children"] = [child]
    return row


def blkid(call: Call) -> CommandResult:
    """Answer ``blkid [-p] [-o export|value] [-s TAG]... DEVICE``; exit 2 when nothing is recognised."""
    options = read(call.arguments, flags=["-p --probe"], values=["-o --output", "-s --match-tag"])
    if len(options.words) != 1:
        return failed("blkid: the simulated host wants exactly one device", 4)
    found = call.host.devices.find(_resolved(call.host, options.words[0]))
    if found is None:
        return printed("", NOTHING_FOUND)
    disk, path = found
    tags = _tags(disk.identity(path))
    if options.all("--match-tag"):
        tags = {key: value for key, value in tags.items() if key in options.all("--match-tag")}
    if not tags:
        return printed("", NOTHING_FOUND)
    if options.value("--output") == "value":
        return printed("".join(f"{value}\n" for value in tags.values()))
    if options.value("--output") == "export":
        return printed(f"DEVNAME={path}\n" + "".join(f"{key}={value}\n" for key, value in tags.items()))
    return printed(f"{path}: " + " ".join(f'{key}="{value}"' for key, value in tags.items()) + "\n")


def _tags(identity: Identity) -> dict[str, str]:
    tags = {
        "LABEL": identity.label,
        "UUID": identity.uuid,
        "BLOCK_SIZE": "4096" if identity.fstype == "ext4" else "",
        "USAGE": identity.usage,
        "TYPE": identity.fstype,
        "PTTYPE": identity.pttype,
    }
    return {key: value for key, value in tags.items() if value}


def blockdev(call: Call) -> CommandResult:
    """Answer ``blockdev --flushbufs|--getsize64|--getro DEVICE``."""
    options = read(call.arguments, flags=["--flushbufs", "--getsize64", "--getro"])
    for word in options.words:
        found = call.host.devices.find(_resolved(call.host, word))
        if found is None:
            return failed(f"blockdev: cannot open {word}: No such file or directory")
        if options.has("--getsize64"):
            return printed(f"{found[0].stored.size_gib * GIB}\n")
        if options.has("--getro"):
            return printed("0\n")
        os.sync()
    return printed("")


def sync(call: Call) -> CommandResult:
    """Answer ``sync [-f] [PATH...]``: really written through to the machine's disk."""
    options = read(call.arguments, flags=["-f --file-system", "-d --data"])
    for word in options.words:
        try:
            found = call.host.real_path(word).exists()
        except OSError:  # a process that is gone, or of somebody else
            found = False
        if not found:
            return failed(f"sync: error opening '{word}': No such file or directory")
    os.sync()
    return printed("")


def _resolved(host: Host, path: str) -> str:
    found = host.devices.find(path) or host.devices.find(host.canonical(path))
    return found[1] if found else host.canonical(path)
