"""Let /proc show what a forked process is: its own command line and environment, not those of the fork server.

The kernel reads both from the memory in which the process was started. A forked process still has its parent's there,
so it writes its own over it. Changes only this process's memory.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_open, _read, _close = posix.open, posix.read, posix.close  # before the mapping is in place
ARGUMENTS, ENVIRONMENT = 45, 47  # fields 48 to 51 of /proc/PID/stat, of which two are cut off before the state


def show(argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Put a command line and an environment where /proc reads them, as much of each as there is room for.

    Args:
        argv: What the process runs.
        environment: Its environment, the entries that matter most first.
    """
    status = _open("/proc/self/stat", posix.O_RDONLY)
    fields = _read(status, 4096).rpartition(b")")[2].split()
    _close(status)
    memory = _open("/proc/self/mem", posix.O_RDWR)
    try:
        _put(memory, fields[ARGUMENTS : ARGUMENTS + 2], argv)
        _put(memory, fields[ENVIRONMENT : ENVIRONMENT + 2], [f"{name}={value}" for name, value in environment.items()])
    finally:
        _close(memory)


def _put(memory: int, bounds: Sequence[bytes], entries: Sequence[str]) -> None:
    start, end = (int(one) for one in bounds)
    room = end - start - 1  # the kernel takes a last byte that is not zero for the sign of a longer text
    text = b""
    for entry in entries:
        line = entry.encode(errors="surrogateescape") + b"\0"
        text += line[: room - len(text)]
    posix.pwrite(memory, text.ljust(room + 1, b"\0"), start)
