"""The state directory of one sandbox: marked as ours, held by one daemon, cleaned when its daemon is gone.

Touches only the directory it is given, and that only when it is empty or carries the mark.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import IO, Any

from runbook_lib.errors import SandboxError

MARK = ".runbook-sandbox"
DAEMON_FILE = "daemon.json"
LOG_FILE = "daemon.log"
PARAMETERS_FILE = "parameters.yaml"
_SWEPT_AFTER_S = 600


def prepare(state_dir: Path) -> None:
    """Make an empty, marked state directory.

    Args:
        state_dir: Where; a directory of a sandbox that is gone is emptied first.

    Raises:
        SandboxError: A sandbox runs there, or it holds files that are not a sandbox's.

    Changes:
        The directory.
    """
    if is_held(state_dir):
        raise SandboxError(
            f"a sandbox already runs in {state_dir}. Nothing was changed. "
            f"Use it, stop it with `runbook sandbox down`, or choose another state directory."
        )
    state_dir.mkdir(parents=True, exist_ok=True)
    entries = list(state_dir.iterdir())
    if entries and not (state_dir / MARK).exists():
        raise SandboxError(
            f"{state_dir} is not empty and was not made by the sandbox. Nothing was changed. Choose another directory."
        )
    for entry in entries:
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (state_dir / MARK).touch()


def hold(state_dir: Path) -> IO[str]:
    """Take the directory for this process.

    Returns:
        A file to keep open as long as the sandbox runs; when the process ends, however it ends, the kernel lets go.

    Raises:
        SandboxError: Another process has it.
    """
    handle = (state_dir / MARK).open("a", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise SandboxError(f"another sandbox runs in {state_dir}; nothing was started.") from error
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def holder(state_dir: Path) -> int:
    """Return the process that holds the directory, ready or not yet; 0 when none does."""
    text = (state_dir / MARK).read_text(encoding="utf-8") if is_held(state_dir) else ""
    return int(text) if text.isdigit() else 0


def is_held(state_dir: Path) -> bool:
    """Say whether a living daemon has the directory."""
    mark = state_dir / MARK
    if not mark.exists():
        return False
    with mark.open("a", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def sweep(folder: Path, prefix: str) -> None:
    """Remove what sandboxes left that were killed together with their starter.

    Args:
        folder: Where their state directories are.
        prefix: With which the names of these begin.

    Changes:
        Removes directories that carry our mark, belong to this user, and that nobody has held for ten minutes.
    """
    for state_dir in folder.glob(f"{prefix}*"):
        mark = state_dir / MARK
        with contextlib.suppress(OSError):  # it went meanwhile
            found = mark.stat()
            old = time.time() - found.st_mtime > _SWEPT_AFTER_S  # a younger one may be about to be held
            if found.st_uid == os.getuid() and old and not is_held(state_dir):
                shutil.rmtree(state_dir)


def write_daemon(state_dir: Path, facts: dict[str, Any]) -> None:
    """Write ``daemon.json``, which says that the sandbox is ready and where it is."""
    temporary = state_dir / (DAEMON_FILE + ".new")
    temporary.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(temporary, state_dir / DAEMON_FILE)  # noqa: PTH105 - atomic on purpose, as os.replace promises


def read_daemon(state_dir: Path) -> dict[str, Any]:
    """Return what ``daemon.json`` says; empty when it is not there yet."""
    try:
        facts = json.loads((state_dir / DAEMON_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
