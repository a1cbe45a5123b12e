"""Jupyter Scheduler's way to a run: a job runs its notebook as `runbook run` does, with engine, record, log and hooks.

Jupyter Scheduler's own execution manager would run the cells too, but without attempts, exit codes and hooks. Needs the
extra `scheduler`, and `--Scheduler.execution_manager_class=runbook_lib.cli_jupyter.RunbookJobs` for JupyterLab.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import nbformat
from jupyter_scheduler.executors import DefaultExecutionManager

from runbook_lib import cli_log, cli_runs
from runbook_lib.errors import ParameterError, RunbookError
from runbook_lib.execute_names import find_notebooks

if TYPE_CHECKING:
    from runbook_lib.execute import RunOutcome

_KINDS: dict[str, type] = {"parameters_file": str, "run_id": str, "reason": str, "execute": bool}


class JobError(RunbookError):
    """A job did not end with exit code 0; Jupyter Scheduler shows its message and knows no codes.

    Args:
        outcome: How the run ended.
    """

    def __init__(self, outcome: RunOutcome) -> None:
        ended = outcome.notebooks[-1]
        what = next((one.error for one in outcome.notebooks if one.error), "")
        super().__init__(f"exit code {outcome.exit_code}, run {outcome.run_id}, {ended.notebook}: {what}")


class RunbookJobs(DefaultExecutionManager):  # type: ignore[misc] # jupyter_scheduler has no types
    """Runs the notebook of a job as a run of its own."""

    def execute(self) -> None:
        """Run it.

        Raises:
            ParameterError: when the job's parameters are not those of a notebook of this package.
            JobError: when the run ended with another exit code than 0.

        Changes:
            Whatever the notebook changes; the run folder; the job's outputs.
        """
        job = self.model
        values = job_values(job.parameters or {})
        notebook = job_notebook(Path(self.staging_paths["input"]))
        with click.Context(click.Command("job")) as ctx:
            cli_log.use(ctx, "text")
            outcome = cli_runs.run_to_the_end(
                (notebook,),
                Path(values.pop("parameters_file")),
                execute=values.get("execute", False),
                reason=values.get("reason", ""),
                run_id=values.get("run_id", ""),
            )
        self.create_output_files(job, nbformat.read(outcome.notebooks[0].output, as_version=4))
        if outcome.exit_code:
            raise JobError(outcome)


def job_values(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of a job as values.

    Args:
        parameters: Texts; Python literals, or for a text the text itself.

    Returns:
        Values of the right kind, `parameters_file` among them.

    Raises:
        ParameterError: when one is unknown, missing or of another kind.
    """
    values = {name: _value(text) for name, text in parameters.items()}
    problems = [f"job: unknown parameter {name!r}; expected {', '.join(_KINDS)}" for name in values.keys() - _KINDS]
    problems += [
        f"job: parameter {name} is {values[name]!r}; expected {'True or False' if kind is bool else 'a text'}"
        for name, kind in _KINDS.items()
        if name in values and not isinstance(values[name], kind)
    ]
    if not Path(str(values.get("parameters_file", ""))).is_absolute():
        problems.append("job: parameters_file: expected an absolute path, because a job runs in a folder of its own")
    if problems:
        raise ParameterError(problems)
    return values


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def job_notebook(staged: Path) -> str:
    """Return the notebook that a job means: that of the checkout, where the job's copy is equal to it.

    Args:
        staged: The copy that Jupyter Scheduler took when the job was defined.

    Returns:
        A name or path for `find_notebooks`.

    Raises:
        ParameterError: when the checkout has one of this name with other code.
    """
    try:
        (own,) = find_notebooks([staged.stem])
    except ParameterError:
        return str(staged)
    if _sources(own) != _sources(staged):
        fix = "define the job anew from the notebook as it is, or give your own notebook another name"
        raise ParameterError([f"{staged.name}: this job's copy has other code than {own}. Fix: {fix}"])
    return staged.stem


def _sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
