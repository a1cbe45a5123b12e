"""Read a probe file through the container's view of the data volume. Changes nothing."""

from __future__ import annotations

import os

from digests import sha256
from probe_file import open_folder


def main(arguments: dict) -> dict:
    """Return whether the probe is there, and its content."""
    folder, path = open_folder(arguments, create=False)
    absent = {"present": False, "path": path, "content": "", "sha256": ""}
    if folder is None:
        return absent
    try:
        with os.fdopen(os.open(arguments["name"], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return absent
    finally:
        os.close(folder)
    digest = sha256(content).hexdigest()
    return {"present": True, "path": path, "content": content.decode("utf-8", "replace"), "sha256": digest}
