"""The path of a run's report, which a notebook that somebody opened shows as a link."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from runbook_lib.run_keyboard import at_a_keyboard


class ReportPath(str):
    """A path as text. Where somebody sits at the kernel, its cell shows a link that JupyterLab opens."""

    __slots__ = ()

    def _repr_markdown_(self) -> str | None:
        """Return the link, relative to the notebook; None where nobody watches: that notebook is moved."""
        if not at_a_keyboard():
            return None
        path = Path(self)
        return f"[{path.parent.name}/{path.name}]({quote(Path(os.path.relpath(path)).as_posix())})"
