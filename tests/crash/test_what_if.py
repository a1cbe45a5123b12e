"""The page of the crash matrix has every row of a notebook, or none of it and says so."""

from __future__ import annotations

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest

from tests.crash.strikes import ROOT, STRIKES, cases
from tests.test_documents import rows_of


@pytest.fixture
def what_if(tmp_path, monkeypatch):
    """Return scripts/what_if, its page in a folder of the test."""
    loader = SourceFileLoader("what_if", str(ROOT / "scripts" / "what_if"))
    module = module_from_spec(spec_from_loader("what_if", loader))
    loader.exec_module(module)
    page = tmp_path / "what-if.md"
    page.write_text(f"# What if\n\n{module.MARK}\nold rows\n", "utf-8")
    monkeypatch.setattr(module, "PAGE", page)
    return module


def every_cell():
    """Return a cell for each step, strike and way, as the crash tests note them."""
    return [
        {"order": [notebook, 0, STRIKES.index(strike)], "way": way, "notebook": notebook, "step_id": step_id,
         "strike": strike, "left": "compose serves", "then": f"{way} of {step_id}"}
        for notebook, step_id in cases()
        for strike in STRIKES
        for way in ("resume", "roll back")
    ]  # fmt: skip


def write(what_if, tmp_path, cells):
    """Write these cells; return the exit code and the page."""
    path = tmp_path / "cells.jsonl"
    path.write_text("".join(json.dumps(cell) + "\n" for cell in cells), "utf-8")
    return what_if.main(path), what_if.PAGE.read_text("utf-8")


def test_a_whole_matrix_is_written_in_the_order_of_the_steps(what_if, tmp_path):
    """Six rows a step whatever the order of the cells; what only reads is named; the old rows are gone."""
    code, text = write(what_if, tmp_path, reversed(every_cell()))
    assert code == 0
    assert "old rows" not in text
    for notebook, step_id in cases():
        back = what_if.NO_WAY_BACK.get(notebook, f"roll back of {step_id}")
        assert rows_of(text, step_id) == [
            [strike, "compose serves", f"resume of {step_id}", back] for strike in STRIKES
        ]
    assert text.index("#### `detach-volume`") < text.index("#### `name-volume`") < text.index("### 40_")
    assert "`check-readiness`" in text


def test_a_notebook_with_an_empty_cell_has_no_rows(what_if, tmp_path, capsys):
    """The missing cell is named, the page says that it is missing, and the other notebooks have their rows."""
    cells = every_cell()
    gone = cells.pop(next(n for n, cell in enumerate(cells) if cell["step_id"] == "detach-volume"))
    code, text = write(what_if, tmp_path, cells)
    assert code == 1
    assert f"{gone['notebook']} detach-volume, {gone['strike']}: {gone['way']}" in capsys.readouterr().out
    assert (rows_of(text, "detach-volume"), len(rows_of(text, "restart-task"))) == ([], len(STRIKES))
    assert "cells 1 were not seen" in text
