"""Which notebooks there are, and which of them `all` means.

Reads the notebooks' folder and nothing else; quick to import.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook_lib.errors import ParameterError

MIGRATION = (
    "00_inspect_source",
    "10_provision_target",
    "20_snapshot_volume",
    "25_rehearse_on_clone",
    "30_cut_over_volume",
    "40_verify_persistence",
    "45_adopt_volume",
)
"""What `all` means, in order. 50_retire_source is the point of no return and is named by hand, days later."""

CUT_OVER = "30_cut_over_volume"
ROLL_BACK = "90_roll_back"

_NUMBERED = re.compile(r"^(?P<number>\d+)_(?P<title>.+)$")


def find_notebooks(names: Sequence[str], folder: Path | None = None) -> list[Path]:
    """Return the notebook files that the names mean.

    Args:
        names: `30_cut_over_volume`, `30`, `cut_over_volume`, a path to an `.ipynb` file, or `all`.
        folder: Folder of the notebooks; None for the checkout's `notebooks/`, else the one in the working directory.

    Returns:
        Absolute paths in the order given.

    Raises:
        ParameterError: when a name fits no notebook; it says which names do.
    """
    folder = folder or _notebook_folder()
    known = {path.stem: path.resolve() for path in sorted(folder.glob("*.ipynb"))}
    wanted = [name for given in names for name in (MIGRATION if given == "all" else (given,))]
    found = [_find_notebook(name, known) for name in wanted]
    problems = [
        _unknown_notebook(name, known, folder) for name, path in zip(wanted, found, strict=True) if path is None
    ]
    if problems or not found:
        raise ParameterError(problems or ["no notebook was named; name one or more, or `all`"])
    return [path for path in found if path is not None]


def name_of(path: Path, folder: Path | None = None) -> str:
    """Return the name by which a notebook is found again.

    Args:
        path: A file that `find_notebooks` returned.
        folder: As there.

    Returns:
        Its name when it lies in the notebooks' folder, else its path.
    """
    return path.stem if path.parent == (folder or _notebook_folder()).resolve() else str(path)


def _notebook_folder() -> Path:
    checkout = Path(__file__).resolve().parents[1] / "notebooks"
    return checkout if checkout.is_dir() else Path.cwd() / "notebooks"


def _find_notebook(name: str, known: Mapping[str, Path]) -> Path | None:
    if name in known:
        return known[name]
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).resolve()
    for stem, path in known.items():
        parts = _NUMBERED.match(stem)
        if parts and name in parts.groups():
            return path
    return None


def _unknown_notebook(name: str, known: Mapping[str, Path], folder: Path) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{folder} has: {', '.join(known) or 'none'}"
    return f"notebook {name!r}: expected the name, number or path of a notebook, or `all`; {hint}"
