"""Which git commit the code that acts was checked out from. Reads git's files; runs no program."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@cache
def git_commit(checkout: Path = _CHECKOUT) -> str:
    """Return the commit that is checked out, as it was when this process first asked.

    What is not committed does not show here; the digests of library and notebooks tell it.

    Args:
        checkout: Folder with `.git`, which is a file in a worktree.

    Returns:
        The commit in hex, or "" where there is no git, as in an installed package.

    Source: gitrepository-layout(5).
    """
    try:
        folder = _git_folder(checkout / ".git")
        found = (folder / "HEAD").read_text("utf-8").strip()
        if found.startswith("ref: "):
            found = _commit_of(found.removeprefix("ref: "), folder)
    except OSError:
        return ""
    return found if _COMMIT.fullmatch(found) else ""


def _git_folder(path: Path) -> Path:
    if path.is_dir():
        return path
    return path.parent / path.read_text("utf-8").removeprefix("gitdir:").strip()


def _commit_of(name: str, folder: Path) -> str:
    """Return the commit that a branch is at: in a file of its own, or among the packed ones."""
    shared = folder / "commondir"
    common = folder / shared.read_text("utf-8").strip() if shared.is_file() else folder
    for place in (folder, common):
        if (place / name).is_file():
            return (place / name).read_text("utf-8").strip()
    packed = (line.split(" ", 1) for line in (common / "packed-refs").read_text("utf-8").splitlines() if " " in line)
    return next((commit for commit, ref in packed if ref == name), "")
