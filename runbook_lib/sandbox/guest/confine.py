"""Refuse every write outside the sandbox's state directory, whatever function tries it.

An audit hook of this process: the last line behind the path mapping. Changes nothing else.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PATH_ARGUMENTS = {
    "os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.chmod": (0,), "os.chown": (0,), "os.truncate": (0,),
    "os.utime": (0,), "os.setxattr": (0,), "os.removexattr": (0,), "os.rename": (0, 1), "os.link": (0, 1),
    "os.symlink": (1,), "sqlite3.connect": (0,),
}  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/stdout", "/dev/stderr")
HARMLESS = (*DEVICES, "/proc/self/fd/", "/proc/self/mem")  # its own memory, in which it notes what it is
REFUSED = {"os.system": "there is no shell on a simulated host; pass an argument list to subprocess"}

_getcwd = os.getcwd


def install(state_dir: str) -> None:
    """Add the hook.

    Args:
        state_dir: The only folder below which this process may write.
    """
    inside = state_dir.rstrip("/") + "/"

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if arguments[2] & WRITE_FLAGS:
                check(arguments[0], inside)
        elif event in PATH_ARGUMENTS:
            for number in PATH_ARGUMENTS[event]:
                check(arguments[number], inside)
        elif event in REFUSED:
            raise PermissionError(REFUSED[event])

    sys.addaudithook(hook)


def check(path: Any, inside: str) -> None:
    """Refuse a path that is not below a folder; descriptors and databases in memory pass.

    Args:
        path: What an audit event names.
        inside: The folder, with a slash at its end.

    Raises:
        PermissionError: It is somewhere else.
    """
    if isinstance(path, int) or path is None:
        return
    text = os.fsdecode(path)
    if text in {"", ":memory:"} or text.startswith("file:"):
        return
    if not text.startswith("/"):
        text = _getcwd() + "/" + text
    if "/../" in text or text.endswith("/.."):
        text = os.path.normpath(text)
    if not text.startswith((inside, *HARMLESS)):
        raise PermissionError(f"the sandbox refuses a write outside its state directory: {text}")
