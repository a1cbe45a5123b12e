"""Decide what really runs when a guest starts a program: its own commands, or Python scripts of its own.

Reads the first line of a script; changes nothing. Every other executable is refused: it would run unmapped.
"""

from __future__ import annotations

import errno
import posix
import posixpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_open, _read, _close, _stat = posix.open, posix.read, posix.close, posix.stat


def command_for(real: str, shown: str, argv: Sequence[str], programs: str) -> list[str]:
    """Return the real argument list that runs a program of the guest.

    Args:
        real: Real path of the program.
        shown: The same path as the guest names it.
        argv: The argument list as given, the program's name first.
        programs: Real folder of the guest's own commands.

    Raises:
        OSError: There is no such program, or it is neither a command of the guest nor a Python script.
    """
    if posixpath.dirname(real) == programs:
        _stat(real)
        return [real, *argv[1:]]
    line = _first_line(real)
    words = line[2:].split() if line.startswith("#!") else []
    names = [posixpath.basename(word) for word in words]
    if names[:1] == ["env"]:
        names, words = names[1:], words[1:]
    if not names or not names[0].startswith("python"):
        text = "Exec format error: a simulated host runs its own commands and Python scripts only"
        raise OSError(errno.ENOEXEC, text, shown)
    return [programs + "/python3", *words[1:], shown, *argv[1:]]


def _first_line(path: str) -> str:
    descriptor = _open(path, posix.O_RDONLY)
    try:
        return _read(descriptor, 256).split(b"\n")[0].decode(errors="replace")
    finally:
        _close(descriptor)
