"""``mount``, ``umount``, ``mountpoint`` and ``findmnt`` of a simulated host, in the words of util-linux."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import UsageError, read
from runbook_lib.sandbox.mounts import GIB, MOUNT_FAILED, Mount, MountError
from runbook_lib.sandbox.processes import CommandResult

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host

IGNORED_OPTIONS = {"defaults", "nofail", "_netdev", "auto", "noauto", "rw", "exec", "suid", "dev", "nouser", "async"}
COLUMNS = ("SOURCE", "TARGET", "FSTYPE", "OPTIONS", "UUID", "SIZE", "MAJ:MIN", "FSROOT", "PROPAGATION")
NOT_A_MOUNT_POINT = 32


def mount(call: Call) -> CommandResult:
    """Answer ``mount [-t TYPE] [-o OPTIONS] [--bind] SOURCE TARGET``, ``mount TARGET``, ``mount -a`` and ``mount``."""
    options = read(
        call.arguments, flags=["-a --all", "-r --read-only", "-B --bind", "-v --verbose"],
        values=["-t --types", "-o --options"],
    )  # fmt: skip
    try:
        if options.has("--all"):
            return _all_of_fstab(call.host)
        if not options.words:
            return printed(
                "".join(f"{m.source} on {m.target} type {m.fstype} ({m.options})\n" for m in call.host.mounts.all())
            )
        given = ",".join([*options.all("--options"), *(["ro"] if options.has("--read-only") else [])])
        if len(options.words) == 1:
            _mount_from_fstab(call.host, options.words[0])
        elif options.has("--bind") or "bind" in given.split(","):
            _bind(call.host, options.words[0], options.words[1], given)
        else:
            mount_device(call.host, options.words[0], options.words[1], given, options.value("--types"))
    except MountError as error:
        return failed(str(error), MOUNT_FAILED)
    return printed("")


def mount_all(host: Host) -> list[str]:
    """Mount what /etc/fstab names and is not mounted, as at boot; returns what went wrong."""
    problems = []
    for source, target, fstype, options in fstab(host):
        if target in {"/", "none", "swap"} or fstype == "swap" or "noauto" in options.split(","):
            continue
        if host.mounts.at(target) is None:
            try:
                host.real_path(target).mkdir(parents=True, exist_ok=True)
                mount_device(host, source, target, options, fstype)
            except MountError as error:
                problems.append(str(error))
    return problems


def mount_device(host: Host, source: str, target: str, options: str = "", fstype: str = "") -> Mount:
    """Mount a device's filesystem.

    Raises:
        MountError: There is no such device, mount point or filesystem, or it is mounted there already.
    """
    place = host.canonical(target)
    if not host.real_path(place).is_dir():
        raise MountError(f"mount: {target}: mount point does not exist.")
    key, sign, value = source.partition("=")
    found = host.devices.find_by(key, value.strip('"')) if sign else host.devices.find(_device(host, source))
    if found is None:
        if sign:
            raise MountError(f"mount: {target}: can't find {source}.")
        raise MountError(f"mount: {target}: special device {source} does not exist.")
    disk, path = found
    identity = disk.identity(path)
    if not identity.fstype or identity.usage != "filesystem":
        kind = f" unknown filesystem type '{identity.fstype}'." if identity.fstype else _bad_superblock(path)
        raise MountError(f"mount: {target}:{kind}")
    if fstype not in {"", "auto", identity.fstype}:
        raise MountError(f"mount: {target}:{_bad_superblock(path)}")
    if any(one.target == place and one.device == path for one in host.mounts.all()):
        raise MountError(f"mount: {target}: {path} already mounted on {place}.")
    if identity.fstype == "xfs" and "nouuid" not in options.split(","):
        twin = next(
            (one for one in host.mounts.all() if _has_uuid(host, one, identity.uuid) and one.device != path), None
        )
        if twin is not None:  # Source: XFS refuses a second filesystem with the UUID of a mounted one
            raise MountError(f"mount: {target}:{_bad_superblock(path)}")
    stored = disk.stored
    entry = Mount(path, place, stored.files, identity.fstype, _shown(options), disk.volume_id, stored.fs_gib * GIB)
    host.mounts.add(entry)
    return entry


def _has_uuid(host: Host, mounted: Mount, fs_uuid: str) -> bool:
    found = host.devices.find(mounted.device)
    return found is not None and found[0].identity(found[1]).uuid == fs_uuid


def umount(call: Call) -> CommandResult:
    """Answer ``umount TARGET|DEVICE...``; lazy and forced unmounts are refused, they would hide who uses the mount."""
    options = read(call.arguments, flags=["-v --verbose"])
    for word in options.words:
        path = word if word.startswith("/") else posixpath.join(call.cwd, word)
        target = call.host.canonical(path)
        if call.host.mounts.at(target) is None:
            by_device = [one.target for one in call.host.mounts.all() if one.source == _device(call.host, path)]
            target = by_device[-1] if by_device else target
        try:
            call.host.mounts.remove(target)
        except MountError as error:
            return failed(str(error), MOUNT_FAILED)
    return printed("") if options.words else failed("umount: bad usage")


def mountpoint(call: Call) -> CommandResult:
    """Answer ``mountpoint [-q] PATH``."""
    options = read(call.arguments, flags=["-q --quiet"])
    path = options.words[0] if len(options.words) == 1 else ""
    found = bool(path) and call.host.mounts.at(call.host.canonical(path)) is not None
    text = "" if options.has("--quiet") else f"{path} is {'' if found else 'not '}a mountpoint\n"
    return printed(text, 0 if found else NOT_A_MOUNT_POINT)


def findmnt(call: Call) -> CommandResult:
    """Answer ``findmnt --json|-n [-o COLUMNS] [--mountpoint P | --target P | --source D | P]``."""
    options = read(
        call.arguments, flags=["-J --json", "-n --noheadings", "-b --bytes", "-l --list", "-r --raw"],
        values=["-o --output", "-M --mountpoint", "-T --target", "-S --source", "-t --types"],
    )  # fmt: skip
    columns = options.value("--output", "TARGET,SOURCE,FSTYPE,OPTIONS").split(",")
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise UsageError(f"unknown column: {unknown[0]}")
    host = call.host
    found = host.mounts.all()
    if options.value("--types"):
        found = [one for one in found if one.fstype in options.value("--types").split(",")]
    if options.value("--target"):
        found = [host.mounts.holding(host.canonical(options.value("--target")))]
    place = options.value("--mountpoint") or next((one for one in options.words), "")
    if place:
        at = host.mounts.at(host.canonical(place))
        found = (
            [at]
            if at
            else [one for one in found if one.device == _device(host, place) and not options.value("--mountpoint")]
        )
    if options.value("--source"):
        wanted = _source(host, options.value("--source"))
        found = [one for one in found if wanted in {one.source, one.device}]
    if not found:
        return printed("", 1)
    rows = [{name.lower(): _column(host, one, name) for name in columns} for one in found]
    if options.has("--json"):
        return printed(json.dumps({"filesystems": rows}, indent=3) + "\n")
    heading = "" if options.has("--noheadings") else " ".join(columns) + "\n"
    return printed(heading + "".join(" ".join(str(value or "") for value in row.values()) + "\n" for row in rows))


def fstab(host: Host) -> list[tuple[str, str, str, str]]:
    """Return (source, target, type, options) of every line of /etc/fstab."""
    path = host.real_path("/etc/fstab")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    fields = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    full = [[*one, "", "", ""][:4] for one in fields]
    return [
        (source, target.replace("\\040", " "), fstype, options) for source, target, fstype, options in full if fstype
    ]


def _all_of_fstab(host: Host) -> CommandResult:
    problems = mount_all(host)
    return failed("\n".join(problems), MOUNT_FAILED) if problems else printed("")


def _mount_from_fstab(host: Host, word: str) -> None:
    for source, target, fstype, options in fstab(host):
        if word in {source, target}:
            mount_device(host, source, target, options, fstype)
            return
    raise MountError(f"mount: {word}: can't find in /etc/fstab.")


def _bind(host: Host, source: str, target: str, options: str) -> None:
    real = host.real_path(source)
    if not real.is_dir() or not host.real_path(target).is_dir():
        missing = source if not real.is_dir() else target
        raise MountError(f"mount: {target}: special device {missing} does not exist.")
    below = host.mounts.holding(host.canonical(source))
    inside = host.canonical(source).removeprefix(below.target.rstrip("/"))
    device = f"{below.device}[{inside}]" if inside else below.source
    host.mounts.add(
        Mount(device, host.canonical(target), real, below.fstype, _shown(options), below.volume_id, below.size_bytes)
    )


def _shown(options: str) -> str:
    given = [one for one in options.split(",") if one and one not in IGNORED_OPTIONS | {"ro", "bind"}]
    given = [one for one in given if not one.startswith("x-")]
    atime = [] if any(one.endswith("atime") for one in given) else ["relatime"]
    return ",".join(["ro" if "ro" in options.split(",") else "rw", *atime, *given])


def _bad_superblock(path: str) -> str:
    return f" wrong fs type, bad option, bad superblock on {path}, missing codepage or helper program, or other error."


def _device(host: Host, path: str) -> str:
    """Return the kernel's path for a device by any of its links."""
    found = host.devices.find(path) or host.devices.find(host.canonical(path))
    return found[1] if found else path


def _source(host: Host, text: str) -> str:
    key, sign, value = text.partition("=")
    found = host.devices.find_by(key, value) if sign else None
    return found[1] if found else _device(host, text)


def _column(host: Host, one: Mount, name: str) -> str | int | None:
    disk = host.devices.by_volume(one.volume_id)
    values: dict[str, str | int | None] = {
        "SOURCE": one.source,
        "TARGET": one.target,
        "FSTYPE": one.fstype,
        "OPTIONS": one.options,
        "UUID": disk.identity(one.device).uuid if disk else None,
        "SIZE": one.size_bytes,
        "MAJ:MIN": "259:1",
        "FSROOT": one.source.partition("[")[2].rstrip("]") or "/",
        "PROPAGATION": "shared",
    }
    return values[name]
