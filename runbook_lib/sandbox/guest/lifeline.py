"""End with the sandbox: when the daemon's end of the lifeline closes, the kernel kills this process.

Opens one named pipe and keeps it open, in forked children too.
"""

from __future__ import annotations

import fcntl
import os

SET_SIGNAL = 10  # fcntl's F_SETSIG on Linux
KILL = 9
KILLED = 137

_open, _read, _close = os.open, os.read, os.close  # before the mapping is in place
_held: list[int] = []


def hold(path: str) -> None:
    """Let the kernel kill this process, and each that it forks, when nobody holds the lifeline for writing any more.

    Args:
        path: Real path of the named pipe.
    """
    _hold(path)
    os.register_at_fork(after_in_child=lambda: _hold(path))


def is_held(descriptor: int) -> bool:
    """Return whether a descriptor is this process's end of the lifeline."""
    return descriptor in _held


def _hold(path: str) -> None:
    for descriptor in _held:
        _close(descriptor)
    descriptor = _open(path, os.O_RDONLY | os.O_NONBLOCK)
    _held[:] = [descriptor]
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, SET_SIGNAL, KILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    try:
        _read(descriptor, 1)
    except BlockingIOError:  # nothing to read: somebody holds the other end
        return
    os._exit(KILLED)
