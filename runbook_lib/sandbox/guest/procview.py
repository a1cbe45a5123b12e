"""Show a guest only its own processes below /proc.

A process belongs to a guest when its environment carries the guest's mark. Reads /proc; changes nothing.
"""

from __future__ import annotations

import errno
import posix

from .mapping import View

_listdir, _open, _read, _close = posix.listdir, posix.open, posix.read, posix.close
MOUNT_FILES = ("mounts", "mountinfo")


class Processes:
    """The processes of one guest.

    Args:
        view: The guest's view; a host sees its containers too, a container only itself.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        key = "VIEW" if view.data.get("kind") == "container" else "HOST"
        self._mark = f"RUNBOOK_SANDBOX_{key}={view.data['mark']}".encode()

    def names(self) -> list[str]:
        """Return what a listing of /proc holds for this guest."""
        return [name for name in _listdir("/proc") if not name.isdigit() or self.is_ours(int(name))]

    def is_ours(self, pid: int) -> bool:
        """Return whether a process belongs to this guest."""
        return pid == posix.getpid() or self._mark in environment_of(pid)

    def to_real(self, path: str) -> str:
        """Return the real path of a path below /proc.

        Raises:
            FileNotFoundError: The process does not belong to this guest.
        """
        head, _, rest = path[len("/proc/") :].partition("/")
        if head in {"self", "thread-self"}:
            head = str(posix.getpid())
        if head == "mounts":
            return self._mount_file(self.view, "mounts")
        if not head.isdigit():
            return path
        if not self.is_ours(int(head)):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        if rest in MOUNT_FILES:
            return self._mount_file(self._view_of(int(head)), rest)
        if rest == "root" or rest.startswith("root/"):
            return self._view_of(int(head)).to_real("/" + rest[len("root/") :])
        return f"/proc/{head}" + (f"/{rest}" if rest else "")

    def link_target(self, path: str, target: str) -> str:
        """Return what readlink shows for a link below /proc, in the guest's words."""
        if path.endswith("/root"):
            return "/"
        return self.view.to_guest(target) or target

    def shown_maps(self, text: bytes) -> bytes:
        """Return the content of a ``maps`` file with the guest's paths."""
        lines = []
        for line in text.split(b"\n"):
            head, slash, path = line.partition(b"/")
            shown = self.view.to_guest("/" + path.decode(errors="surrogateescape")) if slash else None
            lines.append(head + shown.encode(errors="surrogateescape") if shown is not None else line)
        return b"\n".join(lines)

    def _view_of(self, pid: int) -> View:
        for entry in environment_of(pid):
            if entry.startswith(b"RUNBOOK_SANDBOX_VIEW="):
                return View(entry.partition(b"=")[2].decode(), self.view.passthrough)
        return self.view

    @staticmethod
    def _mount_file(view: View, name: str) -> str:
        return view.path.rpartition("/")[0] + "/" + name


def environment_of(pid: int) -> list[bytes]:
    """Return the environment a process was started with, [] when it is gone or not readable."""
    try:
        descriptor = _open(f"/proc/{pid}/environ", posix.O_RDONLY)
    except OSError:
        return []
    try:
        chunks = []
        while chunk := _read(descriptor, 65536):
            chunks.append(chunk)
    except OSError:
        return []
    finally:
        _close(descriptor)
    return b"".join(chunks).split(b"\0")
