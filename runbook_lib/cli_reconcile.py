# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""`runbook reconcile`: the record of a run beside AWS's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_output as output
from runbook_lib import cli_runs
from runbook_lib.errors import JournalError

if TYPE_CHECKING:
    from runbook_lib.parameters_model import Parameters
    from runbook_lib.reconcile import Reconciliation

_DISAGREES_EXIT_CODE = 3


@click.command()
@click.argument("run_id")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write what was found there."
)
@click.option("--profile", help="Your own AWS profile; the role of the parameters is not assumed then.")
@click.option(
    "--credentials-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your own AWS credentials file; the role of the parameters is not assumed then.",
)
@cli_runs.directory_option
@click.pass_context
def reconcile(ctx: click.Context, /, run_id: str, json_file: Path | None, directory: Path, **credentials: Any) -> None:
    """Compare the journal of RUN_ID with CloudTrail: calls that one of them lacks, and what others did meanwhile.

    Reads only. CloudTrail's event history lags some minutes and goes back 90 days. Exits 3 when they do not agree.
    """
    from runbook_lib import parameters as parameter_file
    from runbook_lib.adapters import trail
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.reconcile import KEPT_FOR, window_of
    from runbook_lib.reconcile import reconcile as compare
    from runbook_lib.run_approval import own_session
    from runbook_lib.run_lease import open_session

    folder = cli_runs.folder_of(run_id, directory)
    events = cli_runs.open_folder(folder).events()
    parameters, window, now = parameter_file.load(folder / "parameters.yaml"), window_of(events), Clock().now_utc()
    if now - window.begin > KEPT_FOR:
        raise JournalError(
            f"run {folder.name} began {window.begin:%Y-%m-%d}; CloudTrail's event history keeps {KEPT_FOR.days} days. "
            "Nothing was changed. Look for the journal's request ids in a trail's log files, if the account keeps them"
        )
    own = {name: value for name, value in credentials.items() if value}
    session = (own_session if own else open_session)(parameters, f"{folder.name}-reconcile", **own)
    told = trail.changes_between(session, window.begin, window.end)
    found = compare(events, told, run_id=folder.name, names=_names(parameters), now=now)
    if json_file:
        json_file.write_text(json.dumps(_document(found, folder.name), indent=2, sort_keys=True) + "\n", "utf-8")
    _show(found, sum(event.kind == "api-call" for event in events))
    if not found.agrees:
        ctx.exit(_DISAGREES_EXIT_CODE)


def _names(parameters: Parameters) -> set[str]:
    """Return the names of what a migration is about, as API calls name them."""
    target = parameters.target
    return {parameters.source.instance_id, parameters.volume.volume_id, target.cluster_name, target.service_name}


def _document(found: Reconciliation, run_id: str) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "agrees": found.agrees,
        "agreed": found.agreed,
        "differing": found.differing,
        "only_in_journal": found.only_in_journal,
        "only_in_trail": found.only_in_trail,
        "terraform": [[*key, count] for key, count in sorted(found.terraform.items())],
        "others": [[*key, count] for key, count in sorted(found.others.items())],
    }


def _show(found: Reconciliation, calls: int) -> None:
    click.echo(f"{found.agreed} of {calls} recorded calls are in CloudTrail with the same outcome")
    _table("with another outcome", found.differing, ("at_utc", "operation", "target", "outcome", "trail_outcome"))
    _table("in the journal only", found.only_in_journal, ("at_utc", "operation", "target", "outcome", "why"))
    _table("in CloudTrail only, by this run", found.only_in_trail, ("at_utc", "operation", "who", "outcome"))
    if found.terraform:
        click.echo(f"\n{sum(found.terraform.values())} calls by this run's Terraform, as its plans and applies say")
    if found.others:
        from runbook_lib.reconcile import MARGIN

        minutes = int(MARGIN.total_seconds() // 60)
        click.echo(f"\nby others, on the same resources, from {minutes} minutes before the run to {minutes} after it")
        rows = [(*key, str(count)) for key, count in sorted(found.others.items())]
        output.show_table(("who", "service", "operation", "outcome", "calls"), rows)
    word = click.style("agrees", fg="green", bold=True) if found.agrees else click.style("differs", fg="red", bold=True)
    click.echo(f"\n{word}")


def _table(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if rows:
        click.echo(f"\n{title}")
        output.show_table(columns, [tuple(str(row[column]) for column in columns) for row in rows])


COMMANDS = (reconcile,)
