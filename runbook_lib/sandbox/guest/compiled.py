"""Keep what a guest's Python has compiled, as Python itself does with modules: a script is sent anew each time it runs.

Changes ``builtins.compile`` of this process; writes one file for each text below its folder, which no guest sees.
"""

from __future__ import annotations

import builtins
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHORTEST = 1000  # less is compiled faster than found
FUTURE = 0x1FE0000  # what __future__ sets, in the flags of code and in those of compile

_open, _read, _write, _close, _replace = os.open, os.read, os.write, os.close, os.replace  # before the mapping


def install(folder: str) -> None:
    """Replace ``compile``.

    Args:
        folder: Real folder of the files; it exists.
    """
    original = builtins.compile

    def compiled(source: Any, filename: Any, mode: str, *args: Any, **options: Any) -> Any:
        if args or options or mode != "exec" or not isinstance(filename, str) or not is_kept(source):
            return original(source, filename, mode, *args, **options)
        import hashlib  # noqa: PLC0415 - 5 ms, only for what is kept

        flags = sys._getframe(1).f_code.co_flags & FUTURE  # a caller's __future__ holds for what it compiles
        text = source.encode(errors="surrogatepass") if isinstance(source, str) else source
        head = repr((type(source), filename, flags)).encode(errors="surrogatepass")
        path = f"{folder}/{hashlib.sha256(head + text).hexdigest()}"
        try:
            return marshal.loads(content(path))  # noqa: S302 - only this module writes there
        except OSError:
            code = original(source, filename, mode, flags, dont_inherit=True)
        keep(path, marshal.dumps(code))
        return code

    builtins.compile = compiled


def is_kept(source: object) -> bool:
    """Return whether a source is text, and long enough."""
    return isinstance(source, (str, bytes)) and len(source) >= SHORTEST


def content(path: str) -> bytes:
    """Return a file's content.

    Raises:
        OSError: There is no such file.
    """
    descriptor = _open(path, os.O_RDONLY)
    try:
        chunks = []
        while chunk := _read(descriptor, 1 << 20):
            chunks.append(chunk)
    finally:
        _close(descriptor)
    return b"".join(chunks)


def keep(path: str, data: bytes) -> None:
    """Write a file whole or not at all; one that cannot be written is only missing the next time."""
    beside = f"{path}.{os.getpid()}"
    try:
        descriptor = _open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            is_whole = _write(descriptor, data) == len(data)
        finally:
            _close(descriptor)
        if is_whole:
            _replace(beside, path)
    except OSError:
        return
