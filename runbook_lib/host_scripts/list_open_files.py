"""List who has files open below a mount. Reads /proc and findmnt; changes nothing."""

from __future__ import annotations

from holders import open_files
from mounts import mount_at


def main(arguments: dict) -> dict:
    """Return whether the path is a mount, who holds it, and how many processes could not be looked into."""
    mounted = mount_at(arguments["mount_path"]) is not None
    rows, unreadable = open_files(arguments["mount_path"]) if mounted else ([], 0)
    return {"mounted": mounted, "open_files": rows, "unreadable_processes": unreadable}
