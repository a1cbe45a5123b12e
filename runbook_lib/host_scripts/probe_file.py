"""Where a probe file is: in `.runbook` of the data volume, reached as the container sees it."""

from __future__ import annotations

import os
import re

from containers import find_container, view_path
from prelude import Refused


def open_folder(arguments: dict, *, create: bool) -> tuple:
    """Return (descriptor of the folder or None, the probe's path); symlinks are not followed."""
    name = arguments["name"]
    if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", name) or name == "sentinel.json":
        raise Refused("bad-name", "a probe cannot be named %r" % name, name=name)
    view = view_path(find_container(arguments["container"]), arguments["container_path"])
    root = os.open(view, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if create and not os.path.lexists(os.path.join(view, ".runbook")):
            os.mkdir(".runbook", 0o700, dir_fd=root)
            os.fsync(root)
        folder = os.open(".runbook", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    except FileNotFoundError:
        folder = None
    finally:
        os.close(root)
    return folder, os.path.join(arguments["container_path"], ".runbook", name)
