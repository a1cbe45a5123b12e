"""Make an empty directory that looks like the root of a new filesystem, for the negative control.

Changes: a directory below /var/lib/runbook, made anew; never on the data volume.
"""

from __future__ import annotations

import os
import shutil

from prelude import STORE


def main(arguments: dict) -> dict:
    """Return the path of a directory that holds nothing but `lost+found`."""
    path = os.path.join(STORE, arguments["run_id"], "empty-filesystem")
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(os.path.join(path, "lost+found"), mode=0o700)
    return {"path": path}
