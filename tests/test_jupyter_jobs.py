"""Jupyter Scheduler: a job definition runs a notebook as a run, asks nobody, and says truthfully how it ended."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from runbook_lib.archive import verify
from runbook_lib.errors import ParameterError
from runbook_lib.journal import Journal
from tests.test_cli import EXAMPLE, write_notebook

NOTEBOOKS = EXAMPLE.parents[1] / "notebooks"
pytestmark = [
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="jupyter-scheduler stands on pydantic's first interface"),
    pytest.mark.filterwarnings("ignore:The declarative_mixin decorator:DeprecationWarning"),
]


@pytest.fixture
def scheduler(tmp_path):
    """Return Jupyter Scheduler as JupyterLab would have it, with our way to run a job and a database of its own."""
    from jupyter_scheduler.environments import CondaEnvironmentManager
    from jupyter_scheduler.orm import create_tables
    from jupyter_scheduler.scheduler import Scheduler
    from traitlets.config import Config

    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    create_tables(url)
    settings = Config()
    settings.Scheduler.execution_manager_class = "runbook_lib.cli_jupyter.RunbookJobs"
    settings.Scheduler.task_runner_class = None  # what begins jobs at their time; they are begun by hand here
    settings.Scheduler.staging_path = str(tmp_path / "staged")
    return Scheduler(str(tmp_path), CondaEnvironmentManager(), url, config=settings)


@pytest.fixture
def job(scheduler, tmp_path, wait_until):
    """Return a function that defines a job, begins it and waits for its end."""
    from jupyter_scheduler.models import CreateJobDefinition, CreateJobFromDefinition, Status

    over = {Status.COMPLETED, Status.FAILED}  # a new job is called STOPPED until it begins

    def begin(notebook, **parameters):
        definition = CreateJobDefinition(
            input_uri=notebook, name=notebook, runtime_environment_name="here", output_formats=["ipynb"],
            parameters=parameters, schedule="0 3 * * *", timezone="UTC",
        )  # fmt: skip
        job_id = scheduler.create_job_from_definition(
            scheduler.create_job_definition(definition), CreateJobFromDefinition(parameters=parameters)
        )
        wait_until(lambda: scheduler.get_job(job_id, job_files=False).status in over, "the job is over", 240)
        ended = scheduler.get_job(job_id, job_files=False)
        (output,) = (tmp_path / "staged" / job_id).glob("*-*.ipynb")
        return ended, nbformat.read(output, as_version=4)

    return begin


def write_parameters(folder, source=EXAMPLE):
    """Write a parameters file with an archive of its own."""
    document = yaml.safe_load(Path(source).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    path = folder / "parameters.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")
    return path


def test_a_job_that_fails(job, tmp_path):
    """It is FAILED, its message has exit code, run and reason; the job's output and the record are whole."""
    write_notebook(tmp_path / "nightly.ipynb", "1 + 1", "import sys; print(sys.stdin.read())", "raise ValueError('no')")
    ended, output = job("nightly.ipynb", parameters_file=str(write_parameters(tmp_path)), reason="'CHG-7'")
    (folder,) = (tmp_path / "runs").glob("*-guestbook-*")
    assert (ended.status, ended.status_message.partition(": ")[0]) == (
        "FAILED", f"exit code 5, run {folder.name}, nightly"
    )  # fmt: skip
    assert "ValueError: no" in ended.status_message
    assert [cell.metadata.papermill["status"] for cell in output.cells if "papermill" in cell.metadata][-3:] == [
        "completed", "completed", "failed",
    ]  # fmt: skip
    assert verify(folder).problems == ()
    opened = Journal(folder, lambda: None).last("run-opened")
    assert (opened.fields["reason"], opened.fields["execute"]) == ("CHG-7", False)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_job_runs_one_of_our_notebooks(job, start_sandbox, tmp_path):
    """00_inspect_source in planned mode against the sandbox, as JupyterLab would schedule it: COMPLETED."""
    running = start_sandbox("none")
    file = write_parameters(tmp_path, running.parameters_path)
    shutil.copy(NOTEBOOKS / "00_inspect_source.ipynb", tmp_path)
    ended, output = job("00_inspect_source.ipynb", parameters_file=repr(str(file)), execute="False")
    assert (ended.status, ended.status_message) == ("COMPLETED", None)
    (folder,) = (tmp_path / "runs").glob("*-guestbook-*")
    steps = [event.fields for event in Journal(folder, lambda: None).events() if event.kind == "step"]
    assert {step["status"] for step in steps} == {"planned"}
    assert any(cell.get("outputs") for cell in output.cells)
    assert verify(folder).problems == ()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"parameters_file": "x.yaml"}, "parameters_file: expected an absolute path"),
        ({"parameters_file": "/x.yaml", "executes": "True"}, "unknown parameter 'executes'"),
        ({"parameters_file": "/x.yaml", "execute": "yes"}, "execute is 'yes'; expected True or False"),
        ({"parameters_file": "/x.yaml", "execute": "1"}, "execute is 1; expected True or False"),
        ({"parameters_file": "/x.yaml", "reason": "7"}, "reason is 7; expected a text"),
    ],
)
def test_parameters_of_a_job_that_are_refused(parameters, said):
    """A typing mistake does not run something else."""
    from runbook_lib.cli_jupyter import job_values

    with pytest.raises(ParameterError, match=re.escape(said)):
        job_values(parameters)


def test_parameters_of_a_job():
    """Texts with and without quotes, as people write them into the form."""
    from runbook_lib.cli_jupyter import job_values

    values = job_values({"parameters_file": '"/srv/a b.yaml"', "execute": "True", "reason": "nightly backup"})
    assert values == {"parameters_file": "/srv/a b.yaml", "execute": True, "reason": "nightly backup"}


def test_the_copy_of_a_job_is_not_older_than_the_checkout(tmp_path):
    """An equal copy means the checkout's notebook; an altered one is refused; one of another name is itself."""
    from runbook_lib.cli_jupyter import job_notebook

    staged = Path(shutil.copy(NOTEBOOKS / "64_check_drift.ipynb", tmp_path))
    assert job_notebook(staged) == "64_check_drift"
    staged.write_text(staged.read_text("utf-8").replace("runbook.report_drift(run)", "run"), "utf-8")
    with pytest.raises(ParameterError, match="this job's copy has other code"):
        job_notebook(staged)
    mine = write_notebook(tmp_path / "mine.ipynb", "1")
    assert job_notebook(mine) == str(mine)
