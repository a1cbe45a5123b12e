"""How a notebook that plain Papermill runs, and the run that it opens, come to know of each other.

The engine hands its kernel an offer in the environment; the first run that is opened there takes the next attempt of
that notebook and answers in a file. It writes journal events, claims the attempt's file, and writes that answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.journal import Journal

OFFER = "RUNBOOK_ENGINE_OFFER"
"""Environment variable of the kernel; no secret is in it."""


@dataclass(frozen=True)
class Link:
    """The attempt that a notebook is in a run.

    Args:
        folder: The run folder.
        notebook: Name of the notebook.
        attempt: Its number in the run.
        seq: Number of its `notebook-started` event.
    """

    folder: Path
    notebook: str
    attempt: int
    seq: int


def claim_attempt(folder: Path, name: str) -> tuple[int, Path]:
    """Return the next attempt's number and its file, which now exists, so that nobody else takes it.

    Args:
        folder: The run's `notebooks/`; made when missing.
        name: Name of the notebook.

    Returns:
        The number, from 1, and the file.

    Changes:
        The file, empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = [re.fullmatch(rf"{re.escape(name)}\.(\d+)\.ipynb", file.name) for file in folder.iterdir()]
    attempt = max((int(match[1]) for match in taken if match), default=0) + 1
    while True:
        output = folder / f"{name}.{attempt}.ipynb"
        try:
            output.touch(exist_ok=False)
        except FileExistsError:
            attempt += 1
        else:
            return attempt, output


def digest_of_attempt(folder: Path, notebook: str, attempt: int) -> dict[str, str]:
    """Return what ties an executed notebook to the journal, once its file is final.

    Args:
        folder: The run folder.
        notebook: Name of the notebook.
        attempt: Which attempt.

    Returns:
        Key `sha256`; empty when there is no file.
    """
    file = folder / "notebooks" / f"{notebook}.{attempt}.ipynb"
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()} if file.is_file() else {}


def offer(notebook: str, output: str, answer: Path) -> dict[str, str]:
    """Return what the kernel's environment needs, so that a run it opens knows of the notebook.

    Args:
        notebook: Name of the notebook.
        output: Where Papermill writes the executed notebook.
        answer: File for the answer; exists and is empty.

    Returns:
        Environment variables.
    """
    said = {"notebook": notebook, "output": output, "answer": str(answer), "runner": os.getpid()}
    return {OFFER: json.dumps(said)}


def accept(journal: Journal, runner: Mapping[str, Any]) -> None:
    """Make the notebook that runs in this kernel an attempt of this run, when plain Papermill runs it.

    Args:
        journal: The run that was opened.
        runner: Fields of a `runner` event for the parent of this process.

    Changes:
        A `runner` and a `notebook-started` event, the attempt's file and the answer; nothing without an offer, or when
        it was answered before.
    """
    said = json.loads(os.environ.get(OFFER) or "{}")
    if not said or said["runner"] != os.getppid():  # a program started in the kernel inherits the variable
        return
    answer = Path(said["answer"])
    if not answer.is_file() or answer.stat().st_size:
        return
    attempt, file = claim_attempt(journal.folder.resolve() / "notebooks", said["notebook"])
    journal.append("runner", **runner)
    started = journal.append(
        "notebook-started",
        notebook=said["notebook"],
        attempt=attempt,
        output=f"notebooks/{file.name}",
        written_to=said["output"],
    )
    answer.write_text(json.dumps([str(journal.folder.resolve()), said["notebook"], attempt, started.seq]), "utf-8")


def answered(answer: Path) -> Link | None:
    """Return what a kernel answered to an offer.

    Args:
        answer: As given to `offer`.

    Returns:
        The attempt, or None while no run was opened.
    """
    try:
        folder, *rest = json.loads(answer.read_text("utf-8"))
    except ValueError:  # empty, or this very moment being written
        return None
    return Link(Path(folder), *rest)
