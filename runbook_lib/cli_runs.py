# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""What commands on runs share: finding a run's folder, running notebooks in it, the options they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_log, cli_s3
from runbook_lib import cli_output as output
from runbook_lib.errors import JournalError, ParameterError

if TYPE_CHECKING:
    from runbook_lib.execute import RunOutcome
    from runbook_lib.journal import Journal
    from runbook_lib.run_repair import Repair

directory_option = click.option(
    "-d",
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Archive of runs.",
)
execute_option = click.option(
    "--execute", is_flag=True, help="Act. Without it everything is planned and nothing changes."
)
reason_option = click.option("--reason", default="", help="Why, and the ticket; goes into the record.")
accept_option = click.option(
    "--accept-changes",
    default="",
    metavar="REASON",
    help="Go on although notebooks, library or parameters changed since the run was opened; goes into the record.",
)
take_over_option = click.option(
    "--take-over",
    default="",
    metavar="REASON",
    help="Take the volume from a run whose process is gone; refused while it lives; goes into the record.",
)
break_glass_option = click.option(
    "--break-glass",
    is_flag=True,
    help="Act without the approvals that the policy wants. Needs --reason, and leaves a review that somebody must do.",
)


def folder_of(run_id: str, directory: Path) -> Path:
    """Return a run's folder, from its id or from its path.

    Args:
        run_id: The run's id, or the path of its folder.
        directory: The archive.

    Returns:
        The absolute folder.

    Raises:
        JournalError: when there is no such run.
    """
    for folder in (directory / run_id, Path(run_id)):
        if (folder / "journal.jsonl").is_file():
            return folder.resolve()
    raise JournalError(f"no run {run_id!r} in {directory.resolve()}; `runbook list` shows what is there")


def open_folder(folder: Path) -> Journal:
    """Return the journal of a run folder.

    Args:
        folder: As `folder_of`.

    Returns:
        The journal.
    """
    from runbook_lib.run_folder import open_journal

    return open_journal(folder.name, folder.parent)


def repair(folder: Path, *, only_looks: bool = False) -> Journal:
    """Put the record of attempts right whose runner was killed, and say so.

    Args:
        folder: As `folder_of`.
        only_looks: Whether the command only looks: then a sealed record is left alone, and so is one that cannot be
            written.

    Returns:
        The run's journal.
    """
    from runbook_lib.adapters.clock import Clock
    from runbook_lib.journal import Journal
    from runbook_lib.run_repair import is_sealed, repair_attempts

    journal = Journal(folder, Clock().now_utc)
    if only_looks and is_sealed(journal):
        return journal
    try:
        repaired = repair_attempts(journal)
    except OSError as error:
        if not only_looks:
            raise
        cli_log.warn("not repaired", f"the record of a killed attempt cannot be put right here: {error}")
        return journal
    for one in repaired:
        cli_log.warn("repaired", one.sentence(), run_id=journal.run_id)
    if repaired:
        _tell_of_killed(journal, repaired)
    return journal


def _tell_of_killed(journal: Journal, repaired: Sequence[Repair]) -> None:
    """Tell the run's hooks of attempts that could not do so themselves, because they were killed."""
    from runbook_lib import parameters as parameter_file
    from runbook_lib.notices import of_repair
    from runbook_lib.report import write_report
    from runbook_lib.run_notify import Hooks

    try:
        parameters = parameter_file.load(journal.folder / "parameters.yaml")
    except ParameterError:  # of another release, for which nobody can tell whom it would have told
        return
    opened = journal.last("run-opened")
    with Hooks(parameters, journal, cli_log.complaint(journal.run_id)) as hooks:
        for one in repaired:
            ended = journal.last("notebook-finished", notebook=one.notebook, attempt=one.attempt)
            if ended is not None:
                fields = opened.fields if opened else {}
                hooks.send(of_repair(journal.run_id, fields, journal.folder, ended, one.sentence()))
    if hooks.sent:
        write_report(journal)  # what became of it is in the journal, so the record is sealed anew


def run_notebooks(notebooks: tuple[str, ...], file: Path, **terms: Any) -> int:
    """Run notebooks as `run_to_the_end` does.

    Args:
        notebooks: As there.
        file: As there.
        **terms: As there.

    Returns:
        The exit code.
    """
    return run_to_the_end(notebooks, file, **terms).exit_code


def run_to_the_end(
    notebooks: tuple[str, ...],
    file: Path,
    *,
    execute: bool,
    reason: str,
    run_id: str,
    accept_changes: str = "",
    take_over: str = "",
    break_glass: bool = False,
    wish: tuple[str, Mapping[str, Any]] | None = None,
    told: Callable[[Journal], list[str]] = lambda _journal: [],
) -> RunOutcome:
    """Run notebooks in a run, write its report, show both.

    Args:
        notebooks: As `find_notebooks`.
        file: The parameters.
        execute: Whether acts are carried out.
        reason: Why, and the ticket.
        run_id: Continue this run; "" opens a new one.
        accept_changes: Why the run goes on with other code or parameters; "" refuses that.
        take_over: Why a dead holder of the volume is declared gone; "" does not.
        break_glass: Whether approvals are passed over that the policy wants and that are missing; needs a reason.
        wish: Kind and fields of an event to note first, with who wishes it: a `hold` or a `restore`; None is none.
        told: Returns lines to show before the verdict.

    Returns:
        How it ended.
    """
    from runbook_lib import parameters as parameter_file
    from runbook_lib.execute_names import ROLL_BACK, find_notebooks
    from runbook_lib.run_attempt import note_runner
    from runbook_lib.run_folder import Terms, create_run
    from runbook_lib.run_secrets import protect

    _refuse_silent_break_glass(reason, asked=break_glass)
    if run_id:
        repair(folder_of(run_id, Path(parameter_file.load(file).archive.directory)))
    paths = find_notebooks(notebooks)  # a name that fits nothing is refused before there is a run
    terms = Terms(accept_changes=accept_changes, way_back=[path.stem for path in paths] == [ROLL_BACK])
    protect(parameters := parameter_file.load(file), way_back=terms.way_back)
    journal = create_run(parameters, reason=reason, execute=execute, run_id=run_id, terms=terms, notebooks=paths)
    _take_over(parameters, journal, take_over)
    _note_wishes(journal, reason, wish, break_glass=break_glass)
    if cli_log.current() is None:  # the log has its own first line
        click.echo(f"run {journal.run_id} {'executes' if execute else 'plans only; nothing will change'}")
    _show_changes(journal)
    note_runner(journal)
    outcome = _carry_out(notebooks, parameters, journal, parameters_file=file, execute=execute, reason=reason)
    if cli_log.current() is None:
        output.show_not_started(outcome.not_started)
        output.show_lines(told(journal))
    _end(parameters, journal)
    return outcome


def _end(parameters: Any, journal: Journal) -> None:
    """Put the record right, write its report, copy both to the bucket, show the verdict."""
    from runbook_lib.report import build_report, write_report

    repair(journal.folder)  # attempts on other machines, which are over now that this one began and ended
    path = write_report(journal)
    cli_s3.copy_to_bucket(parameters, journal)
    if cli_log.current() is None:
        output.show_report(build_report(journal.events(), journal.run_id), str(path))


def _carry_out(notebooks: tuple[str, ...], parameters: Any, journal: Journal, **options: Any) -> RunOutcome:
    """Run the notebooks and tell whoever listens: the terminal or the log, and the hooks."""
    from runbook_lib.execute import execute_notebooks
    from runbook_lib.run_notify import Hooks

    complain = cli_log.complaint(journal.run_id)
    with Hooks(parameters, journal, complain) as hooks, output.progress() as progress:
        hear = cli_log.listener(journal, progress, hooks)
        return execute_notebooks(notebooks, journal=journal, on_event=hear, **options)


def _take_over(parameters: Any, journal: Journal, reason: str) -> None:
    """Declare a dead holder gone in favour of this run, whose notebooks then find the volume free; "" does not."""
    from runbook_lib.run_lease import lease_of

    if not reason:
        return
    fields = lease_of(parameters, journal.run_id).take_over(reason)
    journal.append("lease", **fields)
    previous = fields["previous"]
    text = f"took the lease over from run {previous['run_id']}" if previous else "nobody held the volume"
    cli_log.say(text, "taken_over", journal.run_id)


def _refuse_silent_break_glass(reason: str, *, asked: bool) -> None:
    if asked and not reason.strip():
        raise ParameterError(["--break-glass: expected --reason with why it cannot wait, got nothing"])


def _note_wishes(
    journal: Journal, reason: str, wish: tuple[str, Mapping[str, Any]] | None, *, break_glass: bool
) -> None:
    """Note how this command is to go on: that it holds, or what it restores; loudly, that it acts without approvals.

    A broken glass covers this process and no other.
    """
    import os

    from runbook_lib.run_attempt import runner_fields
    from runbook_lib.run_folder import operator

    if wish:
        kind, fields = wish
        journal.append(kind, operator=operator(), **fields)
    if not break_glass:
        return
    journal.append("break-glass", phase="requested", operator=operator(), reason=reason, **runner_fields(os.getpid()))
    text = "approvals that the policy wants are passed over where they are missing; it stands in the record"
    cli_log.warn("BREAK GLASS", f"{text}: {reason}", colour="red", run_id=journal.run_id)


def _show_changes(journal: Journal) -> None:
    """Say loudly what changed since the run was last opened; nothing when nothing did."""
    opened, changes = journal.last("run-opened"), journal.last("changes")
    if opened is None or changes is None or changes.seq != opened.seq - 1:
        return
    for change in changes.fields["changes"]:
        text = f"{change['what']} changed: was {change['before'][:12] or 'not recorded'}, is {change['now'][:12]}"
        cli_log.warn("changed", text, run_id=journal.run_id)
    text = f"accepted {changes.fields['accepted']}: {changes.fields['reason'] or 'it is recorded'}"
    cli_log.warn("changed", text, run_id=journal.run_id)
