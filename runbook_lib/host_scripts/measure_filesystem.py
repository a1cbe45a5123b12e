"""Measure the filesystem that a container sees: free space and inodes. Changes nothing."""

from __future__ import annotations

import os

from containers import find_container, view_path


def main(arguments: dict) -> dict:
    """Return total and free bytes and inodes at a path of a running container."""
    found = os.statvfs(view_path(find_container(arguments), arguments["container_path"]))
    return {
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_bytes": found.f_bavail * found.f_frsize,
        "total_inodes": found.f_files,
        "free_inodes": found.f_favail,
    }
