"""What an executed notebook's file says of its cells, and putting it right when whoever ran it was killed.

Needs the standard library only: the engine starts this very file as a process of its own that outlives it. It writes
nothing but the notebook it is given, whole or not at all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

COMPLETED, FAILED, INTERRUPTED, NOT_RUN, SKIPPED = "completed", "failed", "interrupted", "not run", "skipped"
PENDING, RUNNING = "pending", "running"  # Papermill's words while it works
AT_REST = b"."
"""What the engine says to its witness when the notebook's file is final."""
_KILLED = "the process that ran this notebook was killed; what this cell did is unknown"


def cell_id(cell: Mapping[str, Any], index: int) -> str:
    """Return a cell's id; notebooks older than format 4.5 have none.

    Args:
        cell: The cell.
        index: Its place, from 0.

    Returns:
        The id.
    """
    return str(cell.get("id") or f"cell-{index + 1}")


def read_notebook(path: Path) -> dict[str, Any] | None:
    """Return a notebook.

    Args:
        path: Its file.

    Returns:
        The notebook; None when there is none, or a write of it was cut off.
    """
    try:
        notebook = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return notebook if isinstance(notebook, dict) and isinstance(notebook.get("cells"), list) else None


def write_notebook(path: Path, text: str) -> None:
    """Write a notebook, whole or not at all.

    Args:
        path: Its file.
        text: Its JSON.

    Changes:
        The file, replaced atomically.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, "utf-8", "surrogateescape")
    partial.replace(path)


def add_note(cell: dict[str, Any], status: str, text: str) -> None:
    """Let a cell show why it did not complete, in whatever shows notebooks; a former note is replaced.

    Args:
        cell: A code cell.
        status: How it ended.
        text: Why; "" takes a note away.

    Changes:
        The cell's outputs.
    """
    cell["outputs"] = [one for one in cell.get("outputs", []) if "runbook" not in one.get("metadata", {})]
    if text:
        data = {"text/plain": f"{status}: {text}"}
        note = {"output_type": "display_data", "data": data, "metadata": {"runbook": {"status": status}}}
        cell["outputs"].append(note)


def settle(notebook: dict[str, Any], known: Mapping[str, str], why: str = _KILLED) -> dict[str, str]:
    """Give every cell of a notebook whose runner was killed the status that it really had.

    Args:
        notebook: The notebook as its last save left it.
        known: What else is known, by cell id: how the cell's step ended.
        why: What to say in an interrupted cell.

    Returns:
        The status of each code cell by its id, in order.

    Changes:
        The notebook that was given: cells that ran are `interrupted`, those that waited are `not run`.
    """
    found: dict[str, str] = {}
    for index, cell in enumerate(notebook["cells"]):
        said = cell.setdefault("metadata", {}).setdefault("papermill", {})
        status, name = said.get("status", PENDING), cell_id(cell, index)
        if status in {PENDING, NOT_RUN}:
            status = NOT_RUN
        elif name in known:
            status = known[name]
        elif status == RUNNING:
            status = INTERRUPTED
        said["status"] = status
        if cell.get("cell_type") == "code":
            found[name] = status
            if status in {FAILED, INTERRUPTED}:
                said["exception"] = True
            add_note(cell, status, why if status == INTERRUPTED else "")
    ended = notebook.setdefault("metadata", {}).setdefault("papermill", {})
    ended["end_time"] = ended.get("end_time") or datetime.now(UTC).isoformat()
    if set(found.values()) - {COMPLETED, SKIPPED}:
        ended["exception"] = True
    return found


def is_settled(notebook: Mapping[str, Any]) -> bool:
    """Return whether no cell of a notebook says that it runs or waits.

    Args:
        notebook: The notebook.

    Returns:
        False while it is executed, and after its runner was killed.
    """
    told = [cell.get("metadata", {}).get("papermill", {}).get("status") for cell in notebook["cells"]]
    return not {PENDING, RUNNING} & set(told)


def _watch(path: Path) -> None:
    """Wait until the engine ends; put its notebook right when it did not say that the file is final."""
    if AT_REST in sys.stdin.buffer.read():
        return
    notebook = read_notebook(path)
    if notebook is not None and not is_settled(notebook):
        settle(notebook, {})
        write_notebook(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
