"""Make the file functions of this interpreter take and give guest paths.

Changes only this process: the functions of ``os``, ``posix``, ``io`` and ``builtins``. Relative paths are
resolved against the guest's own idea of the current folder, so that mounts below it are seen.
"""

from __future__ import annotations

import _io
import builtins
import errno
import io
import os
import posix
import posixpath

from .entries import GuestEntries
from .mapping import View
from .procview import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Does the call follow a link in the last component?  Does it write?
READS = {"stat": True, "access": True, "listdir": True, "chdir": True, "pathconf": True, "getxattr": True,
         "listxattr": True, "lstat": False, "readlink": False, "statvfs": True, "scandir": True}  # fmt: skip
WRITES = {"chmod": True, "chown": True, "utime": True, "truncate": True, "setxattr": True, "removexattr": True,
          "lchown": False, "mkdir": False, "mkfifo": False, "mknod": False, "remove": False, "unlink": False,
          "rmdir": False}  # fmt: skip
TWO_PATHS = ("rename", "replace", "link")
ENTRIES = {"mkdir", "mkfifo", "mknod", "remove", "unlink", "rmdir"}  # they change the folder that holds the path
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
BLOCK_BYTES = 4096

_getcwd, _scandir, _lstat = os.getcwd, os.scandir, os.lstat


class Files:
    """The wrapped functions of one guest process.

    Args:
        view: What the guest sees.
        processes: What it sees below /proc.
    """

    def __init__(self, view: View, processes: Processes) -> None:
        self.view = view
        self.processes = processes

    def install(self) -> None:
        """Replace the functions everywhere they are reachable by name."""
        for name, follow in {**READS, **WRITES}.items():
            writes = "entry" if name in ENTRIES else "content" if name in WRITES else ""
            self._replace(name, self._one(getattr(posix, name), follow=follow, writes=writes))
        for name in TWO_PATHS:
            self._replace(name, self._two(getattr(posix, name)))
        for name in ("listdir", "scandir", "readlink", "statvfs"):
            self._replace(name, getattr(self, "_" + name)(getattr(os, name), getattr(posix, name)))
        self._replace("symlink", self._symlink(posix.symlink))
        self._replace("open", self._os_open(posix.open))
        self._replace("getcwd", self._cwd)
        self._replace("getcwdb", lambda: os.fsencode(self._cwd()))
        opened = self._open(builtins.open)
        builtins.open = io.open = _io.open = opened  # tempfile takes it from _io
        io.open_code = _io.open_code = lambda path: opened(path, "rb")  # a script imports modules beside it
        posixpath.ismount = lambda path: self.view.is_mount(self.canonical(path))

    def canonical(self, path: Any) -> str:
        """Return the guest's absolute path of anything that names a file, links resolved except the last."""
        return self.view.locate(self._absolute(os.fsdecode(path)), follow=False)[0]

    def real(self, path: Any, *, follow: bool = True, writes: str = "") -> Any:
        """Return the real path of a guest path, of the same type (text or bytes); descriptors stay.

        Args:
            path: The guest's path.
            follow: Whether a symbolic link in the last component is followed.
            writes: What the caller is about to change: ``content``, ``entry`` of the folder above, or "".

        Raises:
            OSError: The path does not exist for this guest, is on a read-only mount, or is immutable.
        """
        if isinstance(path, int) or path is None:
            return path
        given = os.fspath(path)
        text = os.fsdecode(given)
        if not text or "\0" in text:
            return given
        absolute = self._absolute(text)
        if absolute == "/proc" or absolute.startswith("/proc/"):
            real = self.processes.to_real(absolute)
        else:
            guest, real = self.view.locate(absolute, follow=follow)
            if writes and self.view.mount_of(guest)[1]:
                raise OSError(errno.EROFS, "Read-only file system", text)
            if writes:
                self.refuse_immutable(real, text, writes)
        if text.endswith("/") and not real.endswith("/"):
            real += "/"
        return os.fsencode(real) if isinstance(given, bytes) else real

    def refuse_immutable(self, real: str, text: str, writes: str) -> None:
        """Refuse to change an immutable path, or the entries of an immutable folder, to root too."""
        immutable = self.view.data.get("immutable") or ()
        above = posixpath.dirname(real) in immutable and (writes == "entry" or not _exists(real))
        if real in immutable or above:
            raise OSError(errno.EPERM, "Operation not permitted", text)

    def _absolute(self, text: str) -> str:
        return text if text.startswith("/") else self._cwd() + "/" + text

    def _cwd(self) -> str:
        real = _getcwd()
        return self.view.to_guest(real) or real

    @staticmethod
    def _replace(name: str, function: Callable[..., Any]) -> None:
        original = getattr(os, name)
        for known in ("supports_dir_fd", "supports_fd", "supports_follow_symlinks", "supports_effective_ids"):
            if original in getattr(os, known):
                getattr(os, known).add(function)
        setattr(os, name, function)
        setattr(posix, name, function)

    def _one(self, original: Callable[..., Any], *, follow: bool, writes: str) -> Callable[..., Any]:
        def wrapped(path: Any = ".", *args: Any, **options: Any) -> Any:
            if "path" in options:
                path = options.pop("path")
            if self._is_beside(path, options.get("dir_fd")):
                return original(path, *args, **options)
            real = self.real(path, follow=follow and options.get("follow_symlinks", True), writes=writes)
            return self._call(original, (path, real), real, *args, **options)

        return wrapped

    def _two(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(src: Any, dst: Any, **options: Any) -> Any:
            first = (
                src if self._is_beside(src, options.get("src_dir_fd")) else self.real(src, follow=False, writes="entry")
            )
            second = (
                dst if self._is_beside(dst, options.get("dst_dir_fd")) else self.real(dst, follow=False, writes="entry")
            )
            return self._call(original, (src, first), first, second, second=(dst, second), **options)

        return wrapped

    def _symlink(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def symlink(src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None) -> None:  # noqa: FBT001, FBT002
            real = dst if self._is_beside(dst, dir_fd) else self.real(dst, follow=False, writes="entry")
            self._call(original, (dst, real), src, real, target_is_directory, dir_fd=dir_fd, second=(dst, real))

        return symlink

    @staticmethod
    def _is_beside(path: Any, dir_fd: int | None) -> bool:
        if dir_fd is None:
            return False
        first = path[:1] if isinstance(path, (str, bytes)) else os.fsdecode(path)[:1]  # a manifest asks a million times
        return first not in {"/", b"/"}

    @staticmethod
    def _call(original: Callable[..., Any], first: tuple[Any, Any], *args: Any, **options: Any) -> Any:
        second = options.pop("second", first)
        try:
            return original(*args, **options)
        except OSError as error:  # the guest's words, not the real folders
            if error.filename2 is not None:
                error.filename2 = second[0]
            if error.filename is not None and error.filename == first[1]:
                error.filename = first[0]
            raise

    def _listdir(self, wrapped: Callable[..., Any], _original: Callable[..., Any]) -> Callable[..., Any]:
        def listdir(path: Any = None) -> list[Any]:
            if isinstance(path, (str, os.PathLike)) and self._absolute(os.fspath(path)) in {"/proc", "/proc/"}:
                return self.processes.names()
            return wrapped("." if path is None else path)  # type: ignore[no-any-return]

        return listdir

    def _scandir(self, wrapped: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
        def scandir(path: Any = None) -> Any:
            if isinstance(path, int):
                return original(path)
            given = "." if path is None else os.fspath(path)
            only = None
            if isinstance(given, str) and self._absolute(given) in {"/proc", "/proc/"}:
                only = set(self.processes.names())
            return GuestEntries(wrapped(given), given, only)

        return scandir

    def _readlink(self, wrapped: Callable[..., Any], _original: Callable[..., Any]) -> Callable[..., Any]:
        def readlink(path: Any, *, dir_fd: int | None = None) -> Any:
            absolute = self._absolute(os.fsdecode(path)) if dir_fd is None else ""
            if absolute.startswith("/proc/") and absolute.endswith("/root"):
                self.processes.to_real(absolute)  # raises for a process of somebody else
                return b"/" if isinstance(path, bytes) else "/"
            target = wrapped(path, dir_fd=dir_fd)
            if absolute.startswith("/proc/"):
                shown = self.processes.link_target(absolute, os.fsdecode(target))
                return os.fsencode(shown) if isinstance(target, bytes) else shown
            return target

        return readlink

    def _statvfs(self, wrapped: Callable[..., Any], _original: Callable[..., Any]) -> Callable[..., Any]:
        def statvfs(path: Any) -> os.statvfs_result:
            result: os.statvfs_result = wrapped(path)
            if isinstance(path, int):
                return result
            folder, _, size = self.view.mount_of(self.view.locate(self._absolute(os.fsdecode(path)))[0])
            return sized(result, folder, size) if size else result

        return statvfs

    def _os_open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def os_open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if self._is_beside(path, dir_fd):
                return original(path, flags, mode, dir_fd=dir_fd)  # type: ignore[no-any-return]
            keep = flags & os.O_NOFOLLOW or (flags & os.O_CREAT and flags & os.O_EXCL)
            real = self.real(path, follow=not keep, writes="content" if flags & WRITE_FLAGS else "")
            return self._call(original, (path, real), real, flags, mode)  # type: ignore[no-any-return]

        return os_open

    def _open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def guest_open(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            opener = options.get("opener")
            if opener is not None:  # it opens by itself, with the mapped functions
                options["opener"] = lambda _real, flags: opener(file, flags)
            real = self.real(file, writes="content" if any(letter in mode for letter in "wax+") else "")
            if isinstance(real, str) and real.startswith("/proc/") and real.endswith("/maps"):
                with original(real, "rb") as maps:
                    text = self.processes.shown_maps(maps.read())
                return io.BytesIO(text) if "b" in mode else io.StringIO(os.fsdecode(text))
            return self._call(original, (file, real), real, mode, *args, **options)

        return guest_open


def _exists(real: str) -> bool:
    try:
        _lstat(real)
    except OSError:
        return False
    return True


def sized(result: os.statvfs_result, folder: str, size_bytes: int) -> os.statvfs_result:
    """Return filesystem figures of a volume: its size, and what its files really take."""
    used = _used_bytes(folder)
    blocks = size_bytes // BLOCK_BYTES
    free = max(0, blocks - used // BLOCK_BYTES)
    figures = list(result)
    figures[0:5] = [BLOCK_BYTES, BLOCK_BYTES, blocks, free, free]
    return os.statvfs_result(tuple(figures))


def _used_bytes(folder: str) -> int:
    with _scandir(folder) as entries:
        return sum(_bytes_of(entry) for entry in entries)


def _bytes_of(entry: Any) -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            return _used_bytes(entry.path)
        return int(entry.stat(follow_symlinks=False).st_blocks) * 512
    except FileNotFoundError:  # removed since its name was read, as a database does with its journal
        return 0
