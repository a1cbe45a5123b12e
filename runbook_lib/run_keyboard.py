"""Whether somebody sits at this kernel."""

from __future__ import annotations

import os

_SESSION = "JPY_SESSION_NAME"
"""Jupyter's server sets it for the kernel of a page that somebody opened; Papermill and nbclient do not."""


def at_a_keyboard() -> bool:
    """Return whether this process is the kernel of a notebook that somebody opened in JupyterLab."""
    return _SESSION in os.environ
