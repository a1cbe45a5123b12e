"""What JupyterLab's server answers about the run of a working copy: its live card, and what the card's buttons do.

A page that was loaded again cannot ask a kernel that is busy with a cell, and one that has ended answers nobody; the
journal can always be read. The answers say what the card in the cell would say, the acts are those of the commands.
"""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from runbook_lib.errors import RunbookError
from runbook_lib.journal import Journal
from runbook_lib.report_card import card_of, is_cutover
from runbook_lib.report_card_html import render_card
from runbook_lib.run_control import ask_to_hold, release_hold, start_panic
from runbook_lib.run_earlier import earlier_durations
from runbook_lib.run_folder import open_journal

if TYPE_CHECKING:
    from runbook_lib.adapters.detached import Detached

_HOW = "the card in JupyterLab"
_INJECTED = "injected-parameters"
_panics: dict[Path, Detached] = {}
"""The panic of each run that a card of this server began last: what it refused is told, where it did."""


def find_journal(notebook: Path) -> Journal | None:
    """Return the journal of the run that a working copy is for.

    Args:
        notebook: A notebook file.

    Returns:
        The journal; None when the notebook is no working copy, or its run is not there any more.
    """
    try:
        cells = json.loads(notebook.read_text("utf-8")).get("cells", [])
        (injected,) = [cell for cell in cells if _INJECTED in cell.get("metadata", {}).get("tags", [])]
        given = _constants("".join(injected["source"]))
        return open_journal(given["run_id"], Path(given["parameters_file"]).parent.parent)
    except (OSError, ValueError, KeyError, AttributeError, SyntaxError, RunbookError):
        return None


def _constants(source: str) -> dict[str, Any]:
    """Return the values that a parameters cell assigns."""
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    return {getattr(node.targets[0], "id", ""): ast.literal_eval(node.value) for node in assigned}


def card_json(journal: Journal) -> dict[str, Any]:
    """Return what a page needs to show the card of a run.

    Args:
        journal: The run's journal.

    Returns:
        Keys `run_id, html, runs, is_cutover, may_hold, holds, refused` (what a panic refused, or "").
    """
    panic = _panics.get(journal.folder)
    card = card_of(journal.events(), journal.now(), took=earlier_durations(journal.folder))
    return {
        "run_id": journal.run_id,
        "html": render_card(card),
        "runs": card.runs,
        "is_cutover": is_cutover(card),
        "may_hold": card.may_hold,
        "holds": card.holds,
        "refused": panic.output if panic is not None and panic.exit_code not in {None, 0} else "",
    }


def do(journal: Journal, act: str) -> str:
    """Do what a button of the card says.

    Args:
        journal: The run's journal.
        act: `hold`, `release` or `panic`.

    Returns:
        What became of it, in one line.

    Raises:
        RunbookError: when it is refused; nothing was changed.

    Changes:
        As `runbook run --hold-before-cutover`, `runbook cut-over` and `runbook panic`.
    """
    if act == "hold":
        ask_to_hold(journal, how=_HOW)
        return "The cutover will hold before the outage, until it is released."
    if act == "release":
        return release_hold(journal, how=_HOW)
    _panics[journal.folder] = start_panic(journal.folder, reason=f"panic, by {_HOW}")
    return "Going back to compose. That ends the kernel that performs the run; this card shows how far it is."


class CardHandler(APIHandler):
    """Answers for one working copy, `?path=` from the server's root."""

    auth_resource = "runbooks"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer what the card says now; `{}` for a notebook that is no working copy."""
        self.finish(await asyncio.to_thread(self._card))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Do what `?act=` says; answer what became of it, and whether it was refused."""
        act = self.get_query_argument("act")
        if act not in {"hold", "release", "panic"}:
            raise web.HTTPError(400, f"act: expected hold, release or panic, got {act!r}")
        self.finish(await asyncio.to_thread(self._do, act))

    def _card(self) -> dict[str, Any]:
        journal = self._journal()
        return {} if journal is None else card_json(journal)

    def _do(self, act: str) -> dict[str, Any]:
        journal = self._journal()
        if journal is None:
            return {"said": "this notebook is for no run that is there; nothing was changed", "refused": True}
        try:
            return {"said": do(journal, act), "refused": False}
        except RunbookError as error:
            return {"said": str(error), "refused": True}

    def _journal(self) -> Journal | None:
        root = Path(self.contents_manager.root_dir)
        notebook = (root / self.get_query_argument("path")).resolve()
        return find_journal(notebook) if notebook.is_relative_to(root.resolve()) else None


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell Jupyter's server what this module is."""
    return [{"module": "runbook_lib.lab_server"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the answers to Jupyter's server."""
    url = url_path_join(serverapp.web_app.settings["base_url"], "runbooks", "card")
    serverapp.web_app.add_handlers(".*$", [(url, CardHandler)])
