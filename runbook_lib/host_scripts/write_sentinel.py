"""Write the sentinel onto the data volume: `.runbook/sentinel.json`, the file that proves persistence.

Changes: creates `.runbook` (0700) and writes the file atomically, fsync'd with its folders. Doing it again with the
same content changes nothing.
"""

from __future__ import annotations

import os

from digests import sha256
from mounts import mount_at
from prelude import Refused

FOLDER, NAME = ".runbook", "sentinel.json"


def main(arguments: dict) -> dict:
    """Write the content unless it is there already; refuse a path that is not a mount."""
    mount_path = arguments["mount_path"]
    if mount_at(mount_path) is None:
        raise Refused("not-mounted", "nothing is mounted at %s" % mount_path, mount_path=mount_path)
    content = arguments["content"].encode("utf-8")
    root = os.open(mount_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        folder = open_folder(root)
        try:
            former = read_former(folder)
            if former != content:
                write(folder, content, arguments["run_id"])
        finally:
            os.close(folder)
    finally:
        os.close(root)
    return {
        "path": "/".join((mount_path.rstrip("/"), FOLDER, NAME)),
        "sha256": sha256(content).hexdigest(),
        "written": former != content,
        "replaced": "" if former in (None, content) else sha256(former).hexdigest(),
    }


def open_folder(root: int) -> int:
    """Return a descriptor of `.runbook`, made when missing; a symlink of that name is refused."""
    try:
        os.mkdir(FOLDER, 0o700, dir_fd=root)
        os.fsync(root)
    except FileExistsError:
        pass
    try:
        return os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    except OSError as error:
        raise Refused("not-a-folder", "%s on the volume is no folder: %s" % (FOLDER, error)) from error


def read_former(folder: int) -> bytes | None:
    """Return the sentinel's content, or None when there is none."""
    try:
        descriptor = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def write(folder: int, content: bytes, run_id: str) -> None:
    """Write the sentinel whole or not at all, and wait until it is on the disk."""
    partial = ".%s.%s.partial" % (NAME, run_id)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, NAME, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
