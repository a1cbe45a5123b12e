"""The few system calls that Python 3.11 does not have: mount namespaces and another network namespace's sockets.

Changes the calling thread only.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def own_mounts() -> None:
    """Give this thread, and those it starts, a mount namespace of its own: what is mounted in it ends with it.

    Raises:
        OSError: The kernel refused.
    """
    _checked(_libc.unshare(CLONE_NEWNS), "unshare")
    _checked(_libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "mount --make-rprivate /")


def listen_inside(pid: int, address: str, port: int) -> socket.socket:
    """Return a listening socket in the network namespace of a process; whoever accepts may be anywhere.

    Args:
        pid: Of a process in that namespace.
        address: One that the namespace has.
        port: TCP port.

    Raises:
        OSError: The namespace is gone or the address is taken.
    """

    def listen() -> socket.socket:
        with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
            _checked(_libc.setns(namespace.fileno(), CLONE_NEWNET), "setns")
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(64)
        return listening

    made: socket.socket = _in_a_thread(listen)
    return made


def _in_a_thread(work: Callable[[], Any]) -> Any:
    """Run work in a thread that ends afterwards, because setns changes the thread for good."""
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["result"] = work()
        except OSError as error:
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
