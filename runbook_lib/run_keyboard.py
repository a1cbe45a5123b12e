"""Whether somebody sits at this kernel."""

from __future__ import annotations

import importlib
import os

_SESSION = "JPY_SESSION_NAME"
"""Jupyter's server sets it for the kernel of a page that somebody opened; Papermill and nbclient do not."""


def say_at_once(text: str) -> None:
    """Show somebody who ran a cell that it has begun, where what it does shows nothing for a while.

    Args:
        text: What it does; the next output takes its place.
    """
    if at_a_keyboard():
        display = importlib.import_module("IPython.display")  # costs time where nobody sits
        display.display({"text/plain": text}, raw=True)
        display.clear_output(wait=True)


def at_a_keyboard() -> bool:
    """Return whether this process is the kernel of a notebook that somebody opened in JupyterLab."""
    return _SESSION in os.environ
