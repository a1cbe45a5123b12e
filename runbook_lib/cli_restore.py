"""The command `runbook restore`: a backup brought back as the service's data volume, the loss accepted in words."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_runs
from runbook_lib.errors import ParameterError

if TYPE_CHECKING:
    from runbook_lib.journal import Journal

_NOTEBOOK = "70_restore_volume"


@click.command()
@click.argument("source", metavar="SNAPSHOT_ID|latest|VOLUME_ID")
@click.option(
    "-f",
    "--parameters",
    "parameters_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parameters file that names the volume in service; with --run-id the run's own is used.",
)
@click.option(
    "--accept-loss-of-writes-since",
    "accepts_since",
    default="",
    metavar="TIME",
    help="The time of what is restored, as a run without --execute says it: everything later is lost.",
)
@cli_runs.execute_option
@cli_runs.reason_option
@click.option("--run-id", default="", help="Continue this run instead of opening a new one.")
@cli_runs.accept_option
@cli_runs.take_over_option
@cli_runs.break_glass_option
@cli_runs.directory_option
@click.pass_context
def restore(  # noqa: PLR0917 - one per option
    ctx: click.Context,
    /,
    source: str,
    parameters_file: Path | None,
    accepts_since: str,
    execute: bool,  # noqa: FBT001 - click passes options by name
    reason: str,
    run_id: str,
    directory: Path,
    **terms: Any,
) -> None:
    """Bring a backup back as the service's data volume, and say which writes that loses.

    latest is the newest completed backup of 63_back_up_volume. A snapshot or rollback copy of a run serves as well. The
    id of the volume that served before a restore is the way back. The volume in service is put aside whole; nothing is
    ever deleted.
    """
    problems = [*_problems_of_source(source), *_problems_of_time(accepts_since)]
    if execute and not reason.strip():
        problems.append("--reason: expected why writes are given up, got nothing")
    if parameters_file is None and not run_id:
        problems.append("-f/--parameters: expected a parameters file, because no --run-id was given")
    if problems:
        raise ParameterError(problems)
    file = parameters_file or cli_runs.folder_of(run_id, directory) / "parameters.yaml"
    wish = {"phase": "requested", "source": source, "accepts_since": accepts_since, "reason": reason}
    ctx.exit(
        cli_runs.run_notebooks(
            (_NOTEBOOK,),
            file,
            execute=execute,
            reason=reason,
            run_id=run_id,
            wish=("restore", wish),
            told=_told,
            **terms,
        )
    )


def _told(journal: Journal) -> list[str]:
    """Return what is lost: at the end as it was, else as it would be, which the first step knows in full."""
    step = journal.last("step", step_id="report-loss")
    if step is None or step.fields["status"] == "planned" or not step.fields["plan"]:
        step = journal.last("step", step_id="check-restore")
    return ["", step.fields["plan"]] if step is not None and step.fields["plan"] else []


def _problems_of_source(source: str) -> list[str]:
    if source == "latest" or source.startswith(("snap-", "vol-")):
        return []
    return [f"SOURCE: expected the id of a snapshot or a volume, or latest, got {source!r}"]


def _problems_of_time(text: str) -> list[str]:
    """Return what is wrong with a time; one without a zone could be hours off without anybody noticing."""
    if not text:
        return []
    example = "expected a time with its zone, for example 2026-03-01T12:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return [f"--accept-loss-of-writes-since: {example}, got {text!r}"]
    return [] if moment.utcoffset() is not None else [f"--accept-loss-of-writes-since: {example}, got {text!r}"]


COMMANDS = (restore,)
