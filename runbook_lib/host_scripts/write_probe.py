"""Write a probe file through the container's view of the data volume.

Changes: creates or replaces `.runbook/<name>` on the volume, fsync'd with its folder.
"""

from __future__ import annotations

import os

from digests import sha256
from probe_file import open_folder


def main(arguments: dict) -> dict:
    """Write the content and wait until it is on the disk."""
    content = arguments["content"].encode("utf-8")
    folder, path = open_folder(arguments, create=True)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(arguments["name"], flags, 0o600, dir_fd=folder), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.fsync(folder)
    finally:
        os.close(folder)
    return {"path": path, "sha256": sha256(content).hexdigest(), "bytes": len(content)}
