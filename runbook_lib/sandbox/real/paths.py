"""Resolve a host's path within its own root: a link there never leads to this machine's files. Reads links only."""

from __future__ import annotations

import errno
import os
import posixpath
from pathlib import Path

MOST_LINKS = 40


def resolve(root: str, path: str, *, follow: bool = True) -> str:
    """Return an absolute path of a host with its symbolic links resolved as the host itself resolves them.

    Args:
        root: Where this machine has the host's root.
        path: The host's path; what does not exist stays as it is.
        follow: Whether the last part, too, is followed when it is a link.

    Raises:
        OSError: ELOOP, as the kernel says it.
    """
    done: list[str] = []
    waiting = [part for part in reversed(path.split("/")) if part]
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            done = done[:-1]
        if part in {".", ".."}:
            continue
        target = _link(root + "/" + "/".join([*done, part])) if waiting or follow else ""
        if not target:
            done.append(part)
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if posixpath.isabs(target):
            done = []
        waiting += [one for one in reversed(target.split("/")) if one]
    return "/" + "/".join(done)


def _link(path: str) -> str:
    """Return where a link leads, "" for what is none."""
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
