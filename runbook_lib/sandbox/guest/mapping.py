"""Map the paths a guest sees to the real folders behind them, and back.

A view is a JSON file: the real folder of ``/``, the mounts, the folder of programs. Pure look-ups with ``posix``;
changes nothing. Symbolic links are resolved here, because the kernel would resolve absolute ones outside the guest.
"""

from __future__ import annotations

import errno
import posix
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_lstat, _stat, _readlink, _open = posix.lstat, posix.stat, posix.readlink, open

MAX_LINKS = 40
CACHE_S = 0.5
REAL_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "stdin", "stdout", "stderr", "fd")
PROGRAM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class View:
    """The path table of one host or container, read again when its file changes.

    Args:
        path: The view's JSON file; "" for the machine as it is, which the fork server sees.
        passthrough: Real paths that mean themselves: the interpreter and its library.
    """

    def __init__(self, path: str, passthrough: tuple[str, ...] = ()) -> None:
        self.path = path
        self.passthrough = passthrough
        self._stamp: tuple[int, int] = (0, 0)
        self._cache: dict[str, tuple[str, str]] = {}
        self._cache_ends = 0.0
        self.data: dict[str, Any] = {"root": "/.", "mark": "", "bin": "/nonexistent"}
        self._mounts: dict[str, tuple[str, bool, int]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the table again if it was replaced since, and forget old look-ups."""
        if not self.path:
            self._cache = {}
            return
        found = _stat(self.path)
        stamp = (found.st_mtime_ns, found.st_ino)
        now = time.monotonic()
        if stamp == self._stamp and now < self._cache_ends:
            return
        self._cache_ends = now + CACHE_S
        self._cache = {}
        if stamp == self._stamp:
            return
        import json  # noqa: PLC0415 - 5 ms, only where a table is read

        with _open(self.path, encoding="utf-8") as file:
            self.data = json.load(file)
        self._stamp = stamp
        # A later mount on the same path hides the earlier one.
        self._mounts = {guest: (real, read_only, size) for guest, real, read_only, size in self.data["mounts"]}

    def is_mount(self, guest: str) -> bool:
        """Return whether something is mounted exactly there, the root included."""
        self.refresh()
        return guest == "/" or guest in self._mounts

    def mount_of(self, guest: str) -> tuple[str, bool, int]:
        """Return (real folder, read-only, size in bytes or 0) of the mount that holds a canonical guest path."""
        while guest != "/":
            if guest in self._mounts:
                return self._mounts[guest]
            guest = guest.rpartition("/")[0] or "/"
        return str(self.data["root"]), False, 0

    def to_real(self, path: str, *, follow: bool = True) -> str:
        """Return the real path of an absolute guest path.

        Args:
            path: Absolute path as the guest sees it.
            follow: Whether a symbolic link in the last component is followed.

        Raises:
            OSError: Too many symbolic links.
        """
        return self.locate(path, follow=follow)[1]

    def locate(self, path: str, *, follow: bool = True) -> tuple[str, str]:
        """Return (canonical guest path, real path) of an absolute guest path."""
        self.refresh()
        special = self._special(path)
        return special if special is not None else self._walk(clean(path), follow, 0)

    def to_guest(self, real: str) -> str | None:
        """Return the guest path of a real path, or None when the guest cannot see it."""
        self.refresh()
        best = ""
        answer = None
        places = [("/", str(self.data["root"]))]
        places += [(guest, entry[0]) for guest, entry in self._mounts.items()]
        for guest, folder in places:
            if len(folder) > len(best) and (real == folder or real.startswith(folder + "/")):
                best = folder
                answer = ("" if guest == "/" else guest) + real[len(folder) :] or "/"
        return answer

    def _special(self, path: str) -> tuple[str, str] | None:
        for prefix in self.passthrough:
            if path == prefix or path.startswith(prefix + "/"):
                return path, path
        if path.startswith("/dev/") and path[5:].partition("/")[0] in REAL_DEVICES:
            return path, path
        return None

    def _walk(self, path: str, follow: bool, links: int) -> tuple[str, str]:  # noqa: FBT001 - internal recursion
        if path == "/":
            return "/", str(self.data["root"])
        parent, _, name = path.rpartition("/")
        folder_guest, folder_real = self._folder(parent or "/", links)
        guest = ("" if folder_guest == "/" else folder_guest) + "/" + name
        if guest in self._mounts:
            return guest, self._mounts[guest][0]
        real = folder_real + "/" + name
        if folder_guest in PROGRAM_FOLDERS:
            real = self._program(real, name)
        if not follow:
            return guest, real
        try:
            target = _readlink(real)
        except OSError:
            return guest, real
        if links >= MAX_LINKS:
            raise OSError(errno.ELOOP, "Too many levels of symbolic links", path)
        special = self._special(target)
        if special is not None:
            return special
        joined = target if target.startswith("/") else folder_guest + "/" + target
        return self._walk(clean(joined), follow=True, links=links + 1)

    def _program(self, real: str, name: str) -> str:
        """Return the guest's own command of that name where its folders have no such file."""
        command = f"{self.data['bin']}/{name}"
        return command if not _exists(real) and _exists(command) else real

    def _folder(self, path: str, links: int) -> tuple[str, str]:
        known = self._cache.get(path)
        if known is None:
            known = self._cache[path] = self._walk(path, follow=True, links=links)
        return known


def _exists(path: str) -> bool:
    try:
        _lstat(path)
    except OSError:
        return False
    return True


def clean(path: str) -> str:
    """Return an absolute path without empty, ``.`` and ``..`` components; ``..`` at the root stays there."""
    if "//" not in path and "/." not in path and not path.endswith("/"):
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)
