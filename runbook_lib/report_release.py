"""What identifies the code that turns a journal into a report: only the same code must come to the same report."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_SOURCES = ("approval*.py", "journal.py", "model.py", "report*.py", "templates/*.j2")
_LIBRARIES = ("jinja2", "matplotlib")


@cache
def release() -> str:
    """Return what identifies this release's way from a journal to a report.

    Returns:
        SHA-256 in hex, of the sources and templates, and of the versions of the libraries that draw.
    """
    package = Path(__file__).parent
    hashed = hashlib.sha256(" ".join(version(name) for name in _LIBRARIES).encode())
    for path in sorted(path for pattern in _SOURCES for path in package.glob(pattern)):
        hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return hashed.hexdigest()
