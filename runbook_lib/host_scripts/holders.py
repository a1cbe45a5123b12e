"""Find the processes and mount namespaces that hold a mount; reads /proc, changes nothing."""

from __future__ import annotations

import os
from typing import Iterator

from prelude import read_text


def open_files(mount_path: str) -> tuple:
    """Return who holds a mount, and how many processes could not be looked into (none, for root on a host).

    Looks at descriptors, working directories, programs, maps and other mount namespaces.
    """
    device, rows, unreadable = own_device(mount_path), [], 0
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
        command = read_text("/proc/%d/comm" % pid).strip()
        try:
            held = set(held_links(pid, mount_path, device)) | set(held_maps(pid, mount_path, device))
        except PermissionError:
            unreadable += 1
            continue
        who = {"pid": pid, "parents": parents(pid), "command": command}
        rows += [{**who, "path": path, "kind": kind} for kind, path in sorted(held)]
    return rows + foreign_mounts(device, followers=False), unreadable


def parents(pid: int) -> list:
    """Return the process ids above a process, nearest first, so that a container's child is known as its own."""
    found = []
    while pid > 1:
        # the command in parentheses may hold spaces and parentheses itself
        fields = read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0
        found.append(pid)
    return [pid for pid in found if pid > 0]


def own_device(mount_path: str) -> int | None:
    """Return the device number of a mounted filesystem, or None when the path is on its parent's filesystem."""
    device = os.stat(mount_path).st_dev
    return None if device == os.stat(os.path.dirname(mount_path.rstrip("/")) or "/").st_dev else device


def is_held(path: str, link: str, mount_path: str, device: int | None) -> bool:
    """Return whether a link of /proc leads into the mount: by device where it has its own, else by path.

    A container sees other paths than the host does, so only the device number finds its files.
    """
    if device is None:
        return path == mount_path or path.startswith(mount_path.rstrip("/") + "/")
    try:
        return os.stat(link).st_dev == device
    except OSError:
        return False


def held_links(pid: int, mount_path: str, device: int | None) -> Iterator:
    """Yield (kind, path) of the links of a process that lead into the mount."""
    links = [(kind, "/proc/%d/%s" % (pid, kind)) for kind in ("cwd", "root", "exe")]
    try:
        links += [("fd", "/proc/%d/fd/%s" % (pid, name)) for name in os.listdir("/proc/%d/fd" % pid)]
    except (FileNotFoundError, ProcessLookupError):
        return
    for kind, link in links:
        try:
            path = os.readlink(link)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if is_held(path, link, mount_path, device):
            yield kind, path


def held_maps(pid: int, mount_path: str, device: int | None) -> Iterator:
    """Yield ("map", path) of the files of the mount that a process has mapped."""
    for line in read_text("/proc/%d/maps" % pid).splitlines():
        _, _, _, number, _, path = (*line.split(None, 5), "", "")[:6]
        if not path.startswith("/"):
            continue
        major, minor = (int(part, 16) for part in number.split(":"))
        inside = path.startswith(mount_path.rstrip("/") + "/")
        if (device is None and inside) or (device is not None and os.makedev(major, minor) == device):
            yield "map", path


def foreign_mounts(device: int | None, *, followers: bool) -> list:
    """Return the mounts of a device in other mount namespaces, which outlive an umount on the host.

    A bind mount of a running container is private: the volume stays busy although the host unmounted it.
    Mounts that follow the host's umount (shared or slave) count only when `followers` is true.
    """
    seen, rows = {os.readlink("/proc/self/ns/mnt")}, []
    for pid in (name for name in os.listdir("/proc") if name.isdigit() and device is not None):
        try:
            namespace = os.readlink("/proc/%s/ns/mnt" % pid)
        except OSError:
            continue
        lines = [] if namespace in seen else read_text("/proc/%s/mountinfo" % pid).splitlines()
        seen.add(namespace)
        for fields in (line.split(" - ")[0].split(" ") for line in lines):
            follows = any(tag.startswith(("shared:", "master:")) for tag in fields[6:])
            if os.makedev(*(int(part) for part in fields[2].split(":"))) == device and (followers or not follows):
                command = read_text("/proc/%s/comm" % pid).strip()
                who = {"pid": int(pid), "parents": parents(int(pid)), "command": command}
                rows.append({**who, "path": fields[4], "kind": "namespace"})
    return rows
