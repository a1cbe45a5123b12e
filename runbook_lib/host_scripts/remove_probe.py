"""Remove a probe file through the container's view of the data volume. Changes: that file is gone."""

from __future__ import annotations

import os

from probe_file import open_folder


def main(arguments: dict) -> dict:
    """Remove the probe; one that is not there stays so."""
    folder, path = open_folder(arguments, create=False)
    if folder is None:
        return {"removed": False, "path": path}
    try:
        os.unlink(arguments["name"], dir_fd=folder)
        os.fsync(folder)
    except FileNotFoundError:
        return {"removed": False, "path": path}
    finally:
        os.close(folder)
    return {"removed": True, "path": path}
