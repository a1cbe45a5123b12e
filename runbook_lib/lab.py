"""What JupyterLab's server calls when it saves: committed notebooks keep no outputs, and no notebook a dead widget.

Changes the model that is about to be written, nothing else; the page in the browser keeps its outputs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COMMITTED = "notebooks"
"""Folder of the notebooks that are in git; those in folders below are working copies and keep everything."""
_KEPT = ("tags",)
_WIDGET = "application/vnd.jupyter.widget-view+json"


def save_without_outputs(model: dict[str, Any], path: str, contents_manager: Any, **_others: Any) -> None:
    """Take out of a committed notebook what running it put in, and widgets out of any; Jupyter's `pre_save_hook`.

    Args:
        model: What is about to be saved.
        path: Where, from the server's root.
        contents_manager: Who saves.

    Changes:
        The notebook in the model: a widget goes where it left something else to see, because without its kernel it
        shows nothing. Of a committed one outputs and counts go, the cells' metadata too but for tags; the notebook's
        own metadata stay as they are in the file, so that running a notebook leaves `git status` clean.
    """
    place = Path(path.strip("/"))
    if model.get("type") != "notebook":
        return
    notebook = model["content"]
    _drop_widgets(notebook)
    if place.parent != Path(COMMITTED):
        return
    for cell in notebook.get("cells", []):
        cell["metadata"] = {key: value for key, value in cell.get("metadata", {}).items() if key in _KEPT}
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None
    file = Path(contents_manager.root_dir) / place
    if file.is_file():
        notebook["metadata"] = json.loads(file.read_text("utf-8")).get("metadata", {})


def _drop_widgets(notebook: dict[str, Any]) -> None:
    """Leave of each output that is a widget what it showed besides."""
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if len(data) > 1:
                data.pop(_WIDGET, None)
