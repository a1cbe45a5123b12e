"""What differs between the executed notebooks of two runs, as nbdime sees it. Reads run folders; writes nothing.

The only home of nbdime, which is slow to import: it is asked only for notebooks whose code is not the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook_lib.journal_notebook import read_notebook

Notebooks = tuple[Path, Sequence[Mapping[str, Any]]]
"""A run folder, and the notebooks of its report."""

_INJECTED = "injected-parameters"
_MISSING = "executed, its file is missing"


def differing_notebooks(first: Notebooks, second: Notebooks) -> Iterator[tuple[str, str, str]]:
    """Yield the notebooks that two runs do not have in common.

    Args:
        first: A run's.
        second: Another's.

    Yields:
        Name, and what it is in either run; "" where it was not executed. What Papermill injects (run id, reason) does
        not count, nor do outputs.
    """
    before, now = _newest(first), _newest(second)
    for name in sorted(before | now):
        codes = [_code(found[name]) if name in found else None for found in (before, now)]
        if codes[0] != codes[1]:
            words = [
                "" if code is None else code if isinstance(code, str) else f"{len(code)} code cells" for code in codes
            ]
            yield name, words[0], words[1] if words[0] != words[1] else f"{words[1]}, other code"


def show_notebooks(first: Notebooks, second: Notebooks, *, outputs: bool = False, colour: bool = False) -> str:
    """Return how the notebooks that both runs executed differ, cell by cell.

    Args:
        first: A run's.
        second: Another's.
        outputs: Whether outputs count too, and what Papermill injected.
        colour: Whether to mark lines for a terminal.

    Returns:
        nbdime's text; "" when nothing differs.
    """
    before, now = _newest(first), _newest(second)
    return "".join(
        _nbdime(before[name], now[name], outputs=outputs, colour=colour)
        for name in sorted(set(before) & set(now))
        if outputs or _code(before[name]) != _code(now[name])
    )


def _newest(notebooks: Notebooks) -> dict[str, Path]:
    """Return the file of the last attempt of each notebook."""
    folder, rows = notebooks
    return {row["notebook"]: folder / row["output"] for row in rows if row["output"]}


def _code(path: Path) -> list[tuple[str, str]] | str:
    """Return id and source of each code cell but the injected one."""
    notebook = read_notebook(path)
    if notebook is None:
        return _MISSING
    return [
        (str(cell.get("id", "")), "".join(cell.get("source", "")))
        for cell in notebook["cells"]
        if cell.get("cell_type") == "code" and _INJECTED not in cell.get("metadata", {}).get("tags", [])
    ]


def _nbdime(first: Path, second: Path, *, outputs: bool, colour: bool) -> str:
    import nbformat  # noqa: PLC0415 - both are slow to import
    from nbdime.diffing.notebooks import diff_notebooks, set_notebook_diff_targets  # noqa: PLC0415
    from nbdime.prettyprint import PrettyPrintConfig, pretty_print_notebook_diff  # noqa: PLC0415

    one, two = (_read(nbformat, path, outputs=outputs) for path in (first, second))
    set_notebook_diff_targets(sources=True, outputs=outputs, attachments=False, metadata=False, details=False)
    difference = diff_notebooks(one, two)
    text = io.StringIO()
    config = PrettyPrintConfig(out=text, use_color=colour, use_git=False, use_diff=False)
    pretty_print_notebook_diff(str(first), str(second), one, difference, config)
    return text.getvalue()


def _read(nbformat: Any, path: Path, *, outputs: bool) -> Any:
    if not path.is_file():
        return nbformat.v4.new_notebook()
    notebook = nbformat.read(path, as_version=4)
    if not outputs:
        notebook.cells = [cell for cell in notebook.cells if _INJECTED not in cell.metadata.get("tags", [])]
    return notebook
