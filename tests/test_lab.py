"""`make lab`: what JupyterLab shows first, what clicking leaves behind, and notebooks prepared for a run by hand."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.contents.filemanager import FileContentsManager
from parameter_sets import SANDBOX
from traitlets.config.loader import PyFileConfigLoader

import runbook_lib
from runbook_lib import lab_prepare
from runbook_lib.errors import JournalError, ParameterError
from runbook_lib.run_digests import notebook_digests, notebook_summary
from runbook_lib.run_report import ReportPath

ROOT = Path(__file__).resolve().parents[1]
LAB = ROOT / "lab"
START = ROOT / "notebooks" / "start_here.ipynb"
EXTENSION = LAB / "labextensions" / "runbooks"


def settings():
    """Return what the committed configuration sets."""
    return PyFileConfigLoader("jupyter_lab_config.py", str(LAB)).load_config()


def test_it_opens_on_the_start_page_and_listens_on_this_machine_only():
    """The page that opens is there, the file browser begins at the notebooks, and one Ctrl-C ends it."""
    config = settings()

    assert config.ServerApp.ip == "127.0.0.1"
    assert (ROOT / config.LabApp.default_url.removeprefix("/lab/tree/")).is_file()
    assert config.FileContentsManager.preferred_dir == str(ROOT / "notebooks")
    assert config.ServerApp.answer_yes is True


def test_tabs_and_settings_stay_in_the_checkout():
    """JupyterLab writes its workspace where git does not look."""
    config = settings()

    assert Path(config.LabApp.workspaces_dir).is_relative_to(ROOT / ".sandbox")
    assert Path(config.LabApp.user_settings_dir).is_relative_to(ROOT / ".sandbox")


def test_the_kernel_is_named_and_is_that_of_the_environment(monkeypatch):
    """`python3`, which the notebooks and Papermill name, is shown as Runbooks and runs this interpreter."""
    monkeypatch.setenv("JUPYTER_PATH", str(LAB))
    spec = KernelSpecManager().get_kernel_spec("python3")

    assert (spec.display_name, spec.argv[0], Path(spec.resource_dir)) == ("Runbooks", "python", LAB / "kernels/python3")


def test_each_tile_leads_somewhere():
    """JupyterLab finds the extension, and each of its tiles opens a file, at a heading that is there."""
    package = json.loads((EXTENSION / "package.json").read_text("utf-8"))
    text = (EXTENSION / package["jupyterlab"]["_build"]["load"]).read_text("utf-8")
    headings = {
        "#" + line.lstrip("# ").replace(" ", "-")
        for cell in nbformat.read(START, 4).cells
        for line in cell.source.splitlines()
        if cell.cell_type == "markdown" and line.startswith("#")
    }

    assert re.findall(r"label: '([^']+)'", text) == ["Start here", "The migration", "Day two", "Game day"]
    assert f"_JUPYTERLAB.{package['name']} =" in text
    assert re.search(r"START = '([^']+)'", text)[1] == str(START.relative_to(ROOT))
    assert [path for path in re.findall(r"path: '([^']+)'", text) if not (ROOT / path).is_file()] == []
    assert set(re.findall(r"fragment: '([^']+)'", text)) <= headings


def test_the_start_page_calls_public_names_only():
    """Each code cell of the start page is one call of the library, as in every notebook."""
    cells = [cell for cell in nbformat.read(START, 4).cells if cell.cell_type == "code"]
    calls = [node for cell in cells[1:] for node in ast.parse(cell.source).body]

    assert cells[0].source == "import runbook_lib as runbook"
    assert [type(node.value) for node in calls] == [ast.Call] * len(calls)
    assert {node.value.func.attr for node in calls} <= set(runbook_lib.__all__)
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []


def test_the_links_of_the_start_page_lead_somewhere():
    """Every relative link in it points to a file that exists."""
    text = "".join(cell.source for cell in nbformat.read(START, 4).cells)
    links = re.findall(r"\]\(([^)#]+)", text)

    assert links
    assert [link for link in links if not (START.parent / link).exists()] == []


def as_run(model):
    """Return a notebook's model as JupyterLab sends it after every cell was run."""
    for cell in model["content"]["cells"]:
        cell["metadata"] |= {"trusted": True, "collapsed": False}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": 3, "outputs": [nbformat.v4.new_output("stream", text="seen")]}
    model["content"]["metadata"] |= {"language_info": {"name": "python", "version": "3.99"}, "widgets": {}}
    return {"type": "notebook", "format": "json", "content": model["content"]}


@pytest.fixture
def contents(tmp_path):
    """Return JupyterLab's view of a checkout that has the committed notebooks."""
    (tmp_path / "notebooks" / "work").mkdir(parents=True)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        (tmp_path / "notebooks" / path.name).write_bytes(path.read_bytes())
    hook = settings().FileContentsManager.pre_save_hook
    return FileContentsManager(root_dir=str(tmp_path), pre_save_hook=hook)


@pytest.mark.filterwarnings("ignore::nbformat.warnings.MissingIDFieldWarning")
def test_running_and_saving_a_committed_notebook_leaves_it_as_it_was(contents, tmp_path):
    """After every notebook was run and saved, each file has the bytes it had."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        contents.save(as_run(contents.get(f"notebooks/{path.name}")), f"/notebooks/{path.name}")

        assert (tmp_path / "notebooks" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_change_of_a_committed_notebook_is_saved(contents, tmp_path):
    """What a person writes is kept; only what running it left is not."""
    model = as_run(contents.get("notebooks/start_here.ipynb"))
    model["content"]["cells"][1]["source"] = "changed"
    contents.save(model, "notebooks/start_here.ipynb")

    cell = nbformat.read(tmp_path / "notebooks/start_here.ipynb", 4).cells[1]
    assert (cell.source, cell.outputs) == ("changed", [])


def test_a_working_copy_keeps_its_outputs(contents, tmp_path):
    """Below the committed notebooks, where the copies of runs lie, everything is saved."""
    contents.save(as_run(contents.get("notebooks/64_check_drift.ipynb")), "notebooks/work/64_check_drift.ipynb")

    saved = nbformat.read(tmp_path / "notebooks/work/64_check_drift.ipynb", 4)
    assert {cell.outputs[0].text for cell in saved.cells if cell.cell_type == "code"} == {"seen"}
    assert saved.metadata.language_info.version == "3.99"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a parameters file with an archive of its own; the working copies go beside it."""
    monkeypatch.setattr(lab_prepare, "COPIES", tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    text = SANDBOX.read_text("utf-8").replace("directory: ../runs", "directory: runs")
    (tmp_path / "parameters.yaml").write_text(text, "utf-8")
    return str(tmp_path / "parameters.yaml")


def test_notebooks_are_prepared_for_one_run(file, tmp_path):
    """Every copy carries the run, its own parameters and whether it acts; links open them in order."""
    prepared = runbook_lib.prepare_notebooks("00", "30", parameters_file=file, execute=True, reason="CHG-1")

    assert [path.stem for path in prepared.copies] == ["00_inspect_source", "30_cut_over_volume"]
    for path in prepared.copies:
        injected = nbformat.read(path, 4).cells[2]
        assert injected.metadata.tags == ["injected-parameters"]
        assert f'run_id = "{prepared.run_id}"' in injected.source
        assert f'parameters_file = "{tmp_path}/runs/{prepared.run_id}/parameters.yaml"' in injected.source
        assert "execute = True" in injected.source
    assert "acts" in repr(prepared)
    links = re.findall(r"\d\. \[\w+\]\(([^)]+)\)", prepared._repr_markdown_())
    assert [tmp_path / link for link in links] == list(prepared.copies)
    assert notebook_summary("30_cut_over_volume")["title"] in prepared._repr_markdown_()


def test_preparing_again_keeps_what_a_copy_shows(file):
    """A copy that is there is left as it is; another notebook joins it in the same run."""
    first = runbook_lib.prepare_notebooks("00", parameters_file=file)
    first.copies[0].write_text("with outputs", "utf-8")

    second = runbook_lib.prepare_notebooks("00", "64", parameters_file=file, run_id=first.run_id)

    assert (second.run_id, second.copies[0]) == (first.run_id, first.copies[0])
    assert first.copies[0].read_text("utf-8") == "with outputs"
    assert "plans only" in repr(second)


def test_what_cannot_be_prepared_leaves_nothing_behind(file, tmp_path):
    """An unknown notebook, wrong parameters and an unknown run are refused before there is a run or a copy."""
    Path(file).with_name("wrong.yaml").write_text("migration: {}", "utf-8")
    wrong = str(Path(file).with_name("wrong.yaml"))
    for error, names, options in (
        (ParameterError, ["99"], {}),
        (ParameterError, ["00"], {"parameters_file": wrong}),
        (JournalError, ["00"], {"run_id": "20261130T000000Z-guestbook-0000"}),
    ):
        with pytest.raises(error):
            runbook_lib.prepare_notebooks(*names, **({"parameters_file": file} | options))

    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "work").exists()


def test_the_start_page_is_no_part_of_what_runs():
    """Whoever writes into it changes no run."""
    assert len(notebook_digests()) == len(list((ROOT / "notebooks").glob("[0-9]*.ipynb")))
    assert "start_here" not in notebook_digests()


def test_the_last_cell_links_the_report_where_somebody_sits(tmp_path, monkeypatch):
    """The path, and in JupyterLab a link that is relative to the notebook; in a kept notebook none."""
    path = ReportPath(tmp_path / "runs" / "20261130T000000Z-wiki-0000" / "report.html")
    (tmp_path / "notebooks" / "work").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks" / "work")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert path._repr_markdown_() is None
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/work/00.ipynb")

    name = "20261130T000000Z-wiki-0000/report.html"
    assert path._repr_markdown_() == f"[{name}](../../runs/{name})"
    assert path == str(tmp_path / "runs" / name)


def test_a_closed_run_keeps_no_client(file):
    """A notebook keeps the run that its cell showed; its AWS clients and hosts go, and are made again on demand."""
    run = runbook_lib.open_run(file)
    clients, host = run.ec2, run.source_host

    runbook_lib.close_run(run)

    assert run.ec2 is not clients
    assert run.source_host is not host
