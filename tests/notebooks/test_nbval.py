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
from tests import nursery
from tests.conftest import RunningSandbox
from tests.running_provider import RunningProvider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).with_name("planned.json")
SANITIZE = Path(__file__).with_name("sanitize.cfg")
QUICK = ("00_inspect_source", "20_snapshot_volume")
"""Without Terraform, which takes most of the time; the migration's plan runs them all through Papermill anyway."""
DAY_TWO = ("60", "63", "64", "90")
WRITES = bool(os.environ.get("RUNBOOK_NBVAL_WRITE"))


def parameters_of(running, folder, changes=()):
    """Return the sandbox's parameters file with an archive in a folder, no bake time, and other changes."""
    document = yaml.safe_load(Path(running.parameters_path).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    for (section, key), value in {("policy", "bake_time_s"): 0, **dict(changes)}.items():
        document["migration"].setdefault(section, {})[key] = value
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


def plan(running, folder, monkeypatch, *names, changes=(), **options):
    """Prepare notebooks for a planned run in a folder; return the working copies, with what they should show."""
    monkeypatch.setattr(lab_prepare, "COPIES", folder / "work")
    monkeypatch.chdir(folder)
    file = str(parameters_of(running, folder, changes))
    copies = runbook_lib.prepare_notebooks(*names, parameters_file=file, **options).copies
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


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Return a service that was migrated and backed up, in a sandbox of its own."""
    folder = tmp_path_factory.mktemp("service")
    running = RunningSandbox(nursery.start(folder / "sandbox", latency="fast"))
    with RunningProvider(folder, running) as provider:
        yield Service(running, folder, provider.environment)
    running.stop()


class Service:
    """A migrated service with a backup.

    Args:
        running: Its sandbox.
        folder: Where its archive is.
        environment: What lets Terraform use a running provider.
    """

    def __init__(self, running, folder, environment):
        self.running, self.folder, self.environment = running, folder, environment
        self.migrated = self.run("run", "all", "63", "--execute", "--reason", "test")

    def run(self, *words, driver="rexray"):
        """Run a command with the parameters of a storage driver; return the id of the run that it opened."""
        before = set(self.folder.glob("runs/*/journal.jsonl"))
        file = parameters_of(RunningSandbox(self.running.info, driver), self.folder)
        command = [str(Path(sys.executable).with_name("runbook")), *words, "-f", str(file)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        (journal,) = set(self.folder.glob("runs/*/journal.jsonl")) - before
        return journal.parent.name


NEWER_IMAGE = {("target", "image"): "registry.sandbox/guestbook:1.1"}
LARGER = {("volume", "size_gib"): 12, ("target", "instance_types"): ["t3.medium"]}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("names", "changes"),
    [(DAY_TWO, {}), (("61",), NEWER_IMAGE), (("62",), LARGER)],
    ids=["as it is", "another image", "another size"],
)
def test_day_two_can_be_planned_by_hand(service, monkeypatch, names, changes):
    """On a migrated service each notebook of day two, and the way back, run top to bottom and show what they showed."""
    code, said = validate(plan(service.running, service.folder, monkeypatch, *names, changes=changes))

    assert code == 0, said


@pytest.mark.thorough
def test_what_a_run_decides_first_can_be_planned_by_hand(service, monkeypatch):
    """Retirement is of the run that migrated; a restore is of the run whose command said what is restored."""
    for name, run_id in (("50", service.migrated), ("70", service.run("restore", "latest"))):
        code, said = validate(plan(service.running, service.folder, monkeypatch, name, run_id=run_id))
        assert code == 0, said


@pytest.mark.thorough
def test_a_host_for_the_other_storage_driver_can_be_planned_by_hand(service, monkeypatch):
    """What comes before a change of the storage driver runs top to bottom, too."""
    other = RunningSandbox(service.running.info, "host_mount")

    code, said = validate(plan(other, service.folder, monkeypatch, "65"))

    assert code == 0, said


@pytest.mark.thorough
def test_a_change_of_the_storage_driver_can_be_planned_by_hand(service, monkeypatch):
    """66 can be planned once 65 has acted in the same run; it comes last here, because that leaves a second host."""
    run_id = service.run("run", "65", "--execute", "--reason", "test", driver="host_mount")
    other = RunningSandbox(service.running.info, "host_mount")

    code, said = validate(plan(other, service.folder, monkeypatch, "66", run_id=run_id))

    assert code == 0, said


def test_every_notebook_is_compared():
    """No notebook is left out of what is expected."""
    expected = json.loads(EXPECTED.read_text("utf-8"))

    assert set(expected) == {path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert [name for name, cells in expected.items() if not cells] == []
