"""What a run was opened with, as digests: the library, the notebooks, the parameters; and what changed since.

Reads files of this package and notebooks. A run that goes on with other code than it began with is another run, so
whoever continues it must say that he knows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent
_TERRAFORM = _PACKAGE.parent / "terraform"
_NOTEBOOKS = _PACKAGE.parent / "notebooks"
_NOT_THE_LIBRARY = {"__pycache__", ".terraform", "sandbox", "tests"}
_LEFT_OUT = {".terraform.lock.hcl", "terraform.tfstate"}


@dataclass(frozen=True)
class Change:
    """One thing that is not what the run was opened with.

    Args:
        what: `parameters`, `library` or `notebook <name>`.
        before: Its digest then; "" when none was recorded.
        now: Its digest now.
    """

    what: str
    before: str
    now: str

    def as_json(self) -> dict[str, str]:
        """Return the change for the journal."""
        return {"what": self.what, "before": self.before, "now": self.now}

    def sentence(self) -> str:
        """Return the change for a person."""
        before = f"{self.before[:12]}…" if self.before else "not recorded, the release was older"
        return f"{self.what}: was {before}, is {self.now[:12]}…"


@cache
def library_digest() -> str:
    """Return what identifies the code that acts: this package's sources and templates, and the Terraform modules.

    Returns:
        SHA-256 in hex. The sandbox is left out: it is the world outside, not the library.
    """
    digest = hashlib.sha256()
    for root in (_PACKAGE, _TERRAFORM):
        for file in sorted(path for path in root.rglob("*") if path.is_file() and _is_source(path.relative_to(root))):
            name = f"{root.name}/{file.relative_to(root).as_posix()}"
            digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _is_source(path: Path) -> bool:
    is_ours = not _NOT_THE_LIBRARY & set(path.parts) and path.name not in _LEFT_OUT
    return is_ours and path.suffix in {".py", ".tf", ".hcl", ".j2", ".json", ".tftpl", ".tpl"}


def notebook_digest(path: Path) -> str:
    """Return what identifies the code of a notebook.

    Args:
        path: The `.ipynb` file.

    Returns:
        SHA-256 in hex of its code cells with ids and tags; text and outputs do not count, because saving a notebook
        after running it by hand changes no step.
    """
    cells = json.loads(path.read_text("utf-8")).get("cells", [])
    code = [
        [cell.get("id", ""), cell.get("metadata", {}).get("tags", []), "".join(cell.get("source", ""))]
        for cell in cells
        if cell.get("cell_type") == "code"
    ]
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()


def notebook_summary(name: str) -> dict[str, str]:
    """Return what a notebook says of itself in its title cell.

    Args:
        name: Its name without `.ipynb`.

    Returns:
        Keys `title`, `needs`, `changes`, `rolls_back_with`, `takes_about`; those it has.
    """
    path = _NOTEBOOKS / f"{name}.ipynb"
    if not path.is_file():
        return {}
    title = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
    said = re.findall(r"(?ms)^- \*\*([^*]+):\*\* (.*?)(?=^- |\Z)", title)
    found = {key.lower().replace(" ", "_"): " ".join(text.split()).replace("`", "") for key, text in said}
    return {"title": title.partition("\n")[0].removeprefix("# ")} | found


def notebook_digests(others: Iterable[Path] = ()) -> dict[str, str]:
    """Return the digests of the notebooks of this checkout, and of others.

    Args:
        others: Notebooks that lie elsewhere.

    Returns:
        Digest by name without `.ipynb`; one that lies elsewhere by its path. The start page and copies of it have no
        number: they have no step, so what a person writes there changes no run.
    """
    own = {path.stem: path for path in sorted(_NOTEBOOKS.glob("[0-9]*.ipynb"))}
    elsewhere = {str(path): path for path in others if path.resolve().parent != _NOTEBOOKS}
    return {name: notebook_digest(path) for name, path in (own | elsewhere).items()}


def find_changes(opened: Mapping[str, Any], parameters_sha256: str, notebooks: Mapping[str, str]) -> list[Change]:
    """Return what is not as it was when the run was last opened.

    Args:
        opened: Fields of the last `run-opened` event.
        parameters_sha256: Digest of the parameters now.
        notebooks: As `notebook_digests`.

    Returns:
        The changes: parameters first, then the library, then notebooks by name.
    """
    found = [
        Change("parameters", opened.get("parameters_sha256", ""), parameters_sha256),
        Change("library", opened.get("library_sha256", ""), library_digest()),
    ]
    then = opened.get("notebooks_sha256", {})
    found += [Change(f"notebook {name}", then[name], notebooks[name]) for name in sorted(set(then) & set(notebooks))]
    return [change for change in found if change.before != change.now]
