"""Let SQLite open the guest's paths, in ``connect`` and in ``ATTACH`` and ``VACUUM INTO``.

Changes only this process: ``sqlite3.connect``. SQLite opens files by itself, past every function of ``os``.
"""

from __future__ import annotations

import os
from urllib.parse import quote, unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from .files import Files

ATTACH = 24


def install(module: ModuleType, files: Files) -> None:
    """Replace ``connect`` of ``_sqlite3`` before ``sqlite3`` copies it.

    Args:
        module: The ``_sqlite3`` extension.
        files: The path mapping of this process.
    """
    module.connect = _connect(module.connect, files, module.OperationalError)  # type: ignore[attr-defined]


def _connect(original: Callable[..., Any], files: Files, failed: type[Exception]) -> Callable[..., Any]:
    def connect(database: Any, *args: Any, **options: Any) -> Any:
        try:
            mapped = _mapped(database, files)
        except PermissionError as error:
            raise failed("unable to open database file") from error
        connection = original(mapped, *args, **options)
        connection.set_authorizer(_authorize)
        return connection

    return connect


def _mapped(database: Any, files: Files) -> Any:
    text = os.fsdecode(database)
    if text in {"", ":memory:"}:
        return text
    if not text.startswith("file:"):
        real = files.real(database)
        files.refuse_immutable(os.fsdecode(real), text, "content")
        return real
    path, mark, query = text[len("file:") :].partition("?")
    path = unquote(path.removeprefix("//"))
    files.refuse_immutable(files.real(path), path, "content")
    return "file:" + quote(files.real(path)) + mark + query


def _authorize(action: int, first: str | None, *_: Any) -> int:
    """Refuse to attach a file by an absolute path, which SQLite would open unmapped."""
    return 1 if action == ATTACH and first and first.startswith("/") else 0
