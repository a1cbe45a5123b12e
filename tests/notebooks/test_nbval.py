"""Every notebook, planned against a sandbox and run by nbval as by hand: top to bottom, what it shows compared.

Committed notebooks have no outputs, so what is expected lies in planned.json, by cell; `RUNBOOK_NBVAL_WRITE=1` writes
what was seen there. sanitize.cfg says what may differ from run to run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

import runbook_lib
from runbook_lib import lab_prepare
from runbook_lib.execute_names import MIGRATION
from tests.conftest import RunningSandbox

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
EXPECTED = Path(__file__).with_name("planned.json")
SANITIZE = Path(__file__).with_name("sanitize.cfg")
QUICK = ("00_inspect_source", "20_snapshot_volume")
"""Without Terraform, which takes most of the time; the migration's plan runs them all through Papermill anyway."""
DAY_TWO = ("60", "63", "64", "90")
WRITES = bool(os.environ.get("RUNBOOK_NBVAL_WRITE"))


def parameters_of(running, folder):
    """Return the sandbox's parameters file with an archive in a folder and no bake time."""
    document = yaml.safe_load(Path(running.parameters_path).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    document["migration"].setdefault("policy", {})["bake_time_s"] = 0
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


def rules():
    """Return the patterns of sanitize.cfg with what replaces them, in their order."""
    lines = [line.partition(": ")[2] for line in SANITIZE.read_text("utf-8").splitlines() if ": " in line[:10]]
    return list(zip(lines[::2], lines[1::2], strict=True))


def sanitized(text):
    """Return an output without what may differ from run to run."""
    for pattern, replacement in rules():
        text = re.sub(pattern, replacement, text)
    return text


def with_expected(copy):
    """Put what is expected into a working copy, and mark those cells for nbval to compare."""
    expected = json.loads(EXPECTED.read_text("utf-8")).get(copy.stem, {})
    notebook = nbformat.read(copy, 4)
    for cell in notebook.cells:
        if cell.get("id") in expected:
            cell.execution_count = 1
            cell.outputs = [nbformat.v4.new_output("execute_result", expected[cell.id], execution_count=1)]
            cell.metadata.tags = [*cell.metadata.get("tags", []), "nbval-check-output"]
    nbformat.write(notebook, copy)


def write_expected(copies):
    """Run working copies and note what each step's cell shows."""
    found = json.loads(EXPECTED.read_text("utf-8")) if EXPECTED.exists() else {}
    for copy in copies:
        notebook = nbformat.read(copy, 4)
        NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(copy.parent)}}).execute()
        shown = {c.id: c.outputs[0].data for c in notebook.cells if c.cell_type == "code" and c.outputs}
        shown.pop("close-run", None)
        found[copy.stem] = {key: {mime: sanitized(text) for mime, text in data.items()} for key, data in shown.items()}
    EXPECTED.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def validate(copies):
    """Run working copies under nbval; return its exit code and what it said."""
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=240", f"--nbval-sanitize-with={SANITIZE}"]
    apart = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(copies[0].parent), "-q"]
    command = [sys.executable, "-m", "pytest", *options, *apart, *map(str, copies)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTEST_"))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout


def plan(running, folder, monkeypatch, *names, **options):
    """Prepare notebooks for a planned run in a folder; return the working copies, with what they should show."""
    monkeypatch.setattr(lab_prepare, "COPIES", folder / "work")
    monkeypatch.chdir(folder)
    copies = runbook_lib.prepare_notebooks(*names, parameters_file=str(parameters_of(running, folder)), **options).copies
    if WRITES:
        write_expected(copies)
    for copy in copies:
        with_expected(copy)
    return copies


def test_what_is_planned_is_shown_as_expected(sandbox, tmp_path, monkeypatch):
    """The first notebooks run top to bottom, and every cell shows what it showed before; the copies say the run."""
    copies = plan(sandbox, tmp_path, monkeypatch, *QUICK)

    code, said = validate(copies)

    assert (code, said.splitlines()[-1].split(" in ")[0]) == (0, "15 passed"), said


@pytest.mark.thorough
def test_nbval_notices_another_output(sandbox, tmp_path, monkeypatch):
    """A cell that shows something else than expected fails, so that the comparison can fail."""
    (copy,) = plan(sandbox, tmp_path, monkeypatch, QUICK[0])
    copy.write_text(copy.read_text("utf-8").replace("us-east-1", "us-east-9"), "utf-8")

    code, said = validate([copy])

    assert (code, "Cell outputs differ" in said) == (1, True), said


@pytest.mark.thorough
def test_the_whole_migration_can_be_planned_by_hand(sandbox, tmp_path, monkeypatch):
    """Each notebook of the migration runs top to bottom in one planned run, and shows what it showed before."""
    code, said = validate(plan(sandbox, tmp_path, monkeypatch, *MIGRATION))

    assert code == 0, said


@pytest.mark.thorough
def test_what_comes_after_the_migration_can_be_planned_by_hand(start_sandbox, tmp_path, monkeypatch):
    """On a migrated service, day two, the change of the storage driver and the way back run top to bottom too."""
    running = start_sandbox()
    migrated = tmp_path / "migrated"
    migrated.mkdir()
    command = [str(Path(sys.executable).with_name("runbook")), "run", "all", "--execute", "--reason", "test"]
    subprocess.run([*command, "-f", str(parameters_of(running, migrated))], check=True, capture_output=True)

    (journal,) = migrated.glob("runs/*/journal.jsonl")

    code, said = validate(plan(running, migrated, monkeypatch, *DAY_TWO))
    assert code == 0, said
    code, said = validate(plan(running, migrated, monkeypatch, "50", run_id=journal.parent.name))
    assert code == 0, said

    changed = tmp_path / "changed"
    changed.mkdir()
    other = RunningSandbox(running.info, "host_mount")
    code, said = validate(plan(other, changed, monkeypatch, "65"))
    assert code == 0, said
