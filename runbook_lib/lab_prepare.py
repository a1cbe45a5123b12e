"""Working copies of the runbooks for a person who runs them by hand: Papermill's `--prepare-only` for a whole run.

Opens a run, writes copies with the run's parameters injected, and lists them; it starts no kernel and changes nothing
outside the run folder and the folder of the copies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook_lib import parameters
from runbook_lib.execute import prepare_notebook
from runbook_lib.execute_names import find_notebooks
from runbook_lib.run_digests import notebook_summary
from runbook_lib.run_folder import create_run, open_journal

COPIES = "work"
"""Folder of the working copies, beside the committed notebooks; git ignores it."""


@dataclass(frozen=True)
class PreparedRun:
    """A run whose notebooks wait to be run by hand.

    Args:
        run_id: The run.
        execute: Whether they act.
        copies: The working copies in order.
    """

    run_id: str
    execute: bool
    copies: tuple[Path, ...]

    def __repr__(self) -> str:
        """Return plain lines, for terminals and logs."""
        lines = "".join(f"\n  {path}" for path in self.copies)
        return f"run {self.run_id} {_mode(execute=self.execute)}{lines}"

    def _repr_markdown_(self) -> str:
        """Return the same for Jupyter, each copy as a link that opens it in JupyterLab."""
        lines = [
            f"Run `{self.run_id}` {_mode(execute=self.execute)}. Open each and run all its cells, in this order:\n"
        ]
        for number, path in enumerate(self.copies, 1):
            link = Path(os.path.relpath(path)).as_posix()
            lines.append(f"{number}. [{path.stem}]({link}): {notebook_summary(path.stem)['title']}")
        return "\n".join(lines)


def prepare_notebooks(
    *names: str,
    parameters_file: str = "../parameters/sandbox.yaml",
    execute: bool = False,
    reason: str = "",
    run_id: str = "",
) -> PreparedRun:
    """Open a run and write a working copy of each notebook for it, to be run by hand.

    Args:
        *names: Names or numbers of notebooks, or `all` for the migration.
        parameters_file: YAML file of a new run; a relative path counts from the notebook.
        execute: False plans, True acts.
        reason: Why, and the ticket.
        run_id: Prepare further notebooks for this run; "" opens a new one.

    Returns:
        The run and its copies. A copy that is there already is left as it is, with its outputs.

    Raises:
        ParameterError: when a parameter breaks a rule or a name fits no notebook; nothing was written.
        JournalError: when the run does not exist.

    Changes:
        A run folder, and the folder of its copies.
    """
    paths = find_notebooks(names)
    given = parameters.load(parameters_file)
    directory = Path(given.archive.directory)
    journal = open_journal(run_id, directory) if run_id else create_run(given, reason=reason, execute=execute)
    values = {
        "parameters_file": str((journal.folder / "parameters.yaml").resolve()),
        "run_id": journal.run_id,
        "reason": reason,
        "execute": execute,
    }
    folder = paths[0].parent / COPIES / (journal.run_id if execute else f"{journal.run_id}-plan")
    return PreparedRun(journal.run_id, execute, tuple(_copies(paths, folder, values)))


def _copies(paths: Sequence[Path], folder: Path, values: Mapping[str, object]) -> list[Path]:
    """Write the copies that are not there; return all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / path.name for path in paths]
    for path, copy in zip(paths, copies, strict=True):
        if not copy.exists():
            prepare_notebook(path, copy, values)
    return copies


def _mode(*, execute: bool) -> str:
    return "acts" if execute else "plans only; nothing will change"
