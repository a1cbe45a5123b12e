"""Secrets planted in every channel: none is found in anything that a run leaves behind, or shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from click.testing import CliRunner

from runbook_lib import cli_runs, parameters, planfile, run_approval, run_control
from runbook_lib.archive import verify
from runbook_lib.cli import main
from runbook_lib.errors import JournalError
from runbook_lib.procedures import target_root
from runbook_lib.report_status import HOLD
from runbook_lib.run import open_run
from runbook_lib.run_attempt import runner_fields
from runbook_lib.scrub import SECRETS, _forms
from tests.approval_desk import BOB, Desk
from tests.lease_places import OtherProcess
from tests.test_cli import EXAMPLE, write_notebook
from tests.test_ways_to_die import ENVIRONMENT

KNOWN = "canary\"\\ö<&'rd-7zq1"
PATTERNS = {
    "key id": "AKIACANARYCANARY7777",
    "token": "ghp_canarycanary0123456789",
    "web token": "eyJjYW5hcnkiOiJ4In0.eyJjYW5hcnkiOiJ5In0.Y2FuYXJ5LTc3",
    "private key": "-----BEGIN PRIVATE KEY-----\nCANARY77CANARY77\n-----END PRIVATE KEY-----",
    "named": "DB_PASSWORD=canary-by-name",
}
MARKS = ("7zq1", "CANARY7777", "ghp_canary", "Y2FuYXJ5LTc3", "CANARY77CANARY77", "canary-by-name")

STEP = """\
import json, os, pathlib, subprocess, sys
from IPython.display import HTML, display
import runbook_lib as runbook
from runbook_lib.errors import AwsError
from runbook_lib.model import Check
from runbook_lib.steps import Step, perform
run = runbook.open_run(parameters_file, migration, run_id=run_id, reason=reason, execute=execute)
told = json.loads(pathlib.Path(PLANTED).read_text())
for canary in [os.environ["CANARY"], *told]:
    run.journal.append("api-call", service="ec2", operation="RunInstances", target=canary, request_id=canary)
    run.keep_evidence("source-host", {"fstab": [canary], "password": canary})
    check = lambda facts: (Check("canary", passed=True, expected=canary, observed=str(facts), why=canary),)
    perform(Step("canary", "mine", canary, lambda run: {"seen": canary}, lambda facts: canary, check=check), run)
    print(canary)
    print(canary, file=sys.stderr)
    os.write(2, canary.encode() + b"\\n")  # several may come as one message, where nothing else ends a token
    subprocess.run(["printf", "%s\\n", canary])
    display({"text/plain": canary, "application/json": {"a": [canary]}}, raw=True)
    display(HTML("<b>" + canary + "</b>"))
[os.environ["CANARY"], *told]
"""
SPLIT = """\
for canary in [os.environ["CANARY"], *told]:
    sys.stdout.write(canary[:9])
    sys.stdout.flush()
    sys.stdout.write(canary[9:] + "\\n")
    sys.stdout.flush()
"""
FAIL = """\
def observe(run):
    raise AwsError("DescribeVolumes", "Refused", " ".join([os.environ["CANARY"], *told]))
try:
    perform(Step("refused", "mine", "Be refused", observe, str), run)
except Exception as error:
    raise RuntimeError(" ".join([os.environ["CANARY"], *told])) from error
"""
DIE = "import os\nos.write(2, os.environ['CANARY'].encode())\nos._exit(1)"


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Let this process know no secret before, and none afterwards."""
    monkeypatch.setattr(SECRETS, "_labels", {})
    monkeypatch.setattr(SECRETS, "_known", None)
    monkeypatch.setattr(SECRETS, "_cores", ())


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """Return a parameters file that refers to the canary."""
    monkeypatch.setenv("CANARY", KNOWN)
    document = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(tmp_path / "runs"), "secrets": ["env:CANARY"]}
    path = tmp_path / "parameters.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def leaks(folder: Path, output: str = "") -> list[str]:
    """Return every file below a folder, and the output, that holds a canary in any form."""
    forms = {form for secret in (KNOWN, *PATTERNS.values()) for form in _forms(secret)} | set(MARKS)
    texts = {str(p): p.read_bytes().decode("utf-8", "replace") for p in folder.rglob("*") if p.is_file()}
    return [f"{name}: {form}" for name, text in {**texts, "output": output}.items() for form in forms if form in text]


def plant(tmp_path: Path, *sources: str) -> Path:
    """Write a notebook that plants canaries, which are not in its own text."""
    planted = tmp_path / "planted.json"
    planted.write_text(json.dumps(list(PATTERNS.values())), "utf-8")
    return write_notebook(tmp_path / "mine.ipynb", f"PLANTED = {str(planted)!r}", *sources)


def test_the_whole_bundle(tmp_path, file):
    """Reason, outputs, tracebacks, facts, evidence, events, report and terminal: no canary is anywhere."""
    notebook = plant(tmp_path, STEP, SPLIT, FAIL)
    reason = " ".join([KNOWN, *PATTERNS.values()])
    os.environ.pop("PYTEST_CURRENT_TEST")  # with it a kernel does not look at what its children print
    ended = CliRunner().invoke(main, ["run", str(notebook), "-f", str(file), "--reason", reason])
    assert ended.exit_code != 0
    assert leaks(tmp_path / "runs", ended.output) == []
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/journal.jsonl"))
    text = (folder / "notebooks/mine.1.ipynb").read_text()
    assert text.count("(secret: env:CANARY)") > 10, "the canaries were really planted"
    assert text.count("(secret: private key)") > 10
    journal = (folder / "journal.jsonl").read_text()
    assert journal.count("(secret: env:CANARY)") > 10
    assert '"references":[{"outcome":"kept out","reference":"env:CANARY"}]' in journal
    assert "(secret: env:CANARY)" in (folder / "report.html").read_text()
    assert verify(folder).problems == ()
    nbformat.validate(nbformat.read(folder / "notebooks/mine.1.ipynb", 4))


def test_last_words_of_a_kernel(tmp_path, file):
    """What a dying kernel wrote past its outputs does not come into the record either."""
    notebook = write_notebook(tmp_path / "mine.ipynb", DIE)
    ended = CliRunner().invoke(main, ["run", str(notebook), "-f", str(file)])
    assert ended.exit_code == 5
    assert "(secret: env:CANARY)" in ended.output
    assert leaks(tmp_path / "runs", ended.output) == []


def test_plain_papermill(tmp_path, file):
    """Papermill's own output notebook, its log and the files for standard output are clean as well."""
    notebook = plant(tmp_path, STEP)
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb"), "--engine", "runbook"]
    command += ["--no-progress-bar", "--log-output", "--stdout-file", str(folder / "stdout"), "-r", "reason"]
    command += [PATTERNS["token"], "-r", "parameters_file", str(file)]
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "PYTEST_CURRENT_TEST"}
    done = subprocess.run(command, env=environment | {"CANARY": KNOWN}, capture_output=True, text=True, check=True)
    assert "(secret: env:CANARY)" in (folder / "stdout").read_text()
    assert leaks(folder, done.stdout + done.stderr) == []
    assert leaks(tmp_path / "runs") == []


class TestWhatPeopleType:
    """Reasons that are typed into commands of their own, each in a process that has resolved nothing before."""

    WORDS = " ".join([KNOWN, *PATTERNS.values()])

    @pytest.fixture
    def waiting(self, file, tmp_path, monkeypatch):
        """Return a desk whose run waits for an approval, under the parameters that refer to the canary."""
        one = Desk(tmp_path / "runs")
        monkeypatch.setattr(run_approval, "own_session", one.session)
        one.open(parameters_sha256=one.journal.write("parameters.yaml", file.read_text("utf-8")))
        return one

    def say(self, one, *words):
        """Run a command on the run; check that it went well, and that it left nothing."""
        done = CliRunner().invoke(main, [*words, one.journal.run_id, "--reason", self.WORDS, "-d", str(one.archive)])
        assert done.exit_code == 0, done.output
        assert leaks(one.archive, done.output) == []
        assert "(secret: env:CANARY)" in (one.journal.folder / "journal.jsonl").read_text().splitlines()[-1]

    def test_why_a_change_is_approved(self, waiting):
        """Neither the approval nor the report has it."""
        waiting.stopped_at()
        waiting.at_keyboard = BOB
        self.say(waiting, "approve")

    def test_what_a_review_found(self, waiting):
        """Nor has the review of what was done without an approval."""
        runner = runner_fields(os.getppid())
        waiting.journal.append("break-glass", phase="requested", operator="ops@host", reason="it burns", **runner)
        waiting.confirm()
        waiting.at_keyboard = BOB
        self.say(waiting, "review")

    def test_why_a_cutover_is_released(self, waiting, monkeypatch):
        """Nor has the release of a hold."""
        holder = SimpleNamespace(run_id=waiting.journal.run_id)
        lease = SimpleNamespace(look=lambda: SimpleNamespace(alive=True, holder=holder))
        monkeypatch.setattr(run_control, "lease_of", lambda _parameters: lease)
        waiting.journal.append("wait", step_id=HOLD, reason="a person", timeout_s=60)
        self.say(waiting, "cut-over")

    def test_why_everything_is_given_up(self, waiting, monkeypatch):
        """Nor has the panic, which is noted before the way back begins."""
        monkeypatch.setattr(cli_runs, "run_notebooks", lambda *_names, **_terms: 0)
        self.say(waiting, "panic", "--yes")


def test_why_a_dead_lease_is_taken_over(tmp_path, file):
    """Nor has the lease that says who took it over, wherever it lies in the archive."""
    OtherProcess(file, "20260101T000000Z-killed-0000").kill()
    words = TestWhatPeopleType.WORDS
    done = CliRunner().invoke(main, ["lease", "take-over", "-f", str(file), "--reason", words])
    assert done.exit_code == 0, done.output
    assert leaks(tmp_path / "runs", done.output) == []
    assert any("(secret: env:CANARY)" in path.read_text() for path in (tmp_path / "runs" / ".leases").iterdir())


class Terraform:
    """A Terraform whose plan holds a canary that it marks, and shows it once more where it marks nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self, out: Path) -> None:
        out.parent.mkdir(parents=True)
        out.write_text(KNOWN)

    def show_json(self, _plan: Path) -> dict:
        after = {"password": KNOWN, "container_definitions": json.dumps([{"environment": [KNOWN]}])}
        change = {"actions": ["create"], "before": None, "after": after, "after_sensitive": {"password": True}}
        resource = {"address": "x.y", "type": "x", "mode": "managed", "change": change}
        return {"format_version": "1.2", "resource_changes": [resource]}


def test_terraform(tmp_path, file):
    """What a plan marks as sensitive is in no file, also where Terraform shows it unmarked; the plan file goes."""
    document = yaml.safe_load(file.read_text())
    del document["migration"]["archive"]["secrets"]
    file.write_text(yaml.safe_dump(document))
    run = open_run(str(file))
    run.__dict__["terraform"] = Terraform(run.journal.folder / "terraform")
    target_root._plan(run, importing=False)
    run.journal.append("note", diagnostic=f"invalid value {KNOWN}")
    run.close()
    assert leaks(tmp_path / "runs") == []
    assert planfile.REDACTED in run.journal.read("terraform/plan.json").decode()
    assert "(secret: sensitive in Terraform's plan)" in run.journal.read("terraform/plan.json").decode()


def test_a_secret_that_cannot_be_resolved(tmp_path, file, monkeypatch):
    """What is not known cannot be kept out: nothing begins, but the way back does."""
    monkeypatch.delenv("CANARY")
    with pytest.raises(JournalError, match="there is no environment variable CANARY"):
        open_run(str(file))
    assert not (tmp_path / "runs").exists()
    run = open_run(str(file), way_back=True)
    (said,) = run.journal.last("secrets").fields["references"]
    assert said == {"reference": "env:CANARY", "outcome": "there is no environment variable CANARY"}


def test_no_reference_contacts_nobody(file, monkeypatch):
    """Without references nothing is resolved, and the parameters hold the reference only."""
    assert "canary" not in parameters.dump(parameters.load(file))
