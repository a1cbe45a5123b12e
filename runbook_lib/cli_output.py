# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""What the command line shows: lines while notebooks run, the verdict at the end, and errors as blocks.

On a terminal a moving line shows what is being waited for; elsewhere there are plain lines only.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from runbook_lib import cli_log
from runbook_lib.errors import RunbookError
from runbook_lib.model import Event
from runbook_lib.scrub import SECRETS

_COLOURS = {
    "succeeded": "green",
    "completed": "green",
    "identical": "green",
    "planned": "blue",
    "skipped": "bright_black",
    "failed": "red",
    "damaged": "red",
    "interrupted": "yellow",
    "rolled_back": "yellow",
    "running": "blue",
    "waiting": "yellow",
}
_TONES = {"good": "green", "bad": "red", "warn": "yellow", "calm": "blue"}


def word(text: str, width: int = 0) -> str:
    """Return a status word in its colour.

    Args:
        text: The word.
        width: Least number of columns.

    Returns:
        Text for `click.echo`, which removes the colour where there is no terminal.
    """
    colour = _COLOURS.get(text)
    return click.style(text.ljust(width), fg=colour) if colour else text.ljust(width)


class Progress:
    """Shows journal events while notebooks run.

    Args:
        moving: A `rich.status.Status`, or None where there is no terminal.
    """

    def __init__(self, moving: Any = None) -> None:
        self._moving = moving

    def show(self, event: Event) -> None:
        """Show one event, if it is one that an operator waits for.

        Args:
            event: The event, soon after it was written.
        """
        from runbook_lib.report_words import seconds

        fields = event.fields
        if event.kind == "notebook-started":
            again = f" (attempt {fields['attempt']})" if fields["attempt"] > 1 else ""
            again += " is planned, so that whoever approves sees all of it" if fields.get("for_approval") else ""
            self._line(click.style(f"{fields['notebook']}{again}", bold=True), "starting the kernel")
        elif event.kind == "step" and fields["status"] == "running":
            self._move(fields["title"])
        elif event.kind == "step":
            self._line(f"  {word(fields['status'], 9)}  {fields['title']} ({seconds(fields['duration_s'])})", "")
        elif event.kind == "break-glass" and fields["phase"] == "used":
            self._line(f"  {click.style('BREAK GLASS', fg='red', bold=True)}  {fields['step_id']} is not approved", "")
        elif event.kind == "wait" and "since_utc" in fields:  # hours, maybe: also where no line can move
            self._line(f"  {word('waiting', 9)}  since {fields['since_utc']} for {fields['reason']}", fields["reason"])
        elif event.kind == "wait":
            self._move(f"waiting for {fields['reason']}")
        elif event.kind == "notebook-finished":
            self._line(f"  {word(fields['status'])} in {seconds(fields['duration_s'])}", "")

    def _line(self, text: str, moving: str) -> None:
        if self._moving is None:
            click.echo(text)
            return
        from rich.text import Text

        self._moving.console.print(Text.from_ansi(text))  # above the moving line, which `click.echo` would hit
        self._move(moving)

    def _move(self, text: str) -> None:
        if self._moving is not None:
            from rich.markup import escape

            self._moving.update(escape(text) or " ")  # an empty text would leave the former one


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Show what happens until the block ends.

    Yields:
        What takes the events.
    """
    if cli_log.current() is not None or not sys.stdout.isatty():
        yield Progress()
        return
    from rich.console import Console

    with Console().status("") as moving:
        yield Progress(moving)


def show_lines(lines: Sequence[str]) -> None:
    """Print lines as they are.

    Args:
        lines: The lines; none prints nothing.
    """
    for line in lines:
        click.echo(line)


def show_not_started(notebooks: Sequence[str]) -> None:
    """Show the notebooks that were asked for and never began.

    Args:
        notebooks: Their names; none shows nothing.
    """
    if notebooks:
        click.echo(f"not started: {', '.join(notebooks)}")


def show_report(report: Mapping[str, Any], path: str) -> None:
    """Show the verdict on a run, what went wrong, what to do next, and where the report is.

    Args:
        report: As `build_report`.
        path: The HTML report.
    """
    from runbook_lib.report_next import next_steps
    from runbook_lib.report_words import grade, headline

    verdict = headline(report)
    click.echo()
    click.echo(f"{click.style(verdict.word, fg=_TONES[verdict.tone], bold=True)} {verdict.text}")
    failure = report["failure"]
    if failure and report["status"] != "rolled_back":
        click.echo(f"\n{_indent(failure.get('message') or failure.get('kind', ''))}")
        if "Changed:" not in failure.get("message", ""):
            click.echo(f"  Changed: {failure.get('changed', 'unknown')}.")
    click.echo()
    if report["evidence_grade"]:
        click.echo(f"evidence  {report['evidence_grade']}: {grade(report).source}")
    for index, (text, command) in enumerate(next_steps(report)):
        click.echo(f"{'next' if index == 0 else '':<8}  {text}\n{'':<8}  {click.style(command, bold=True)}")
    click.echo(f"report    {path}")


def show_running(processes: Sequence[str], steps: Sequence[Mapping[str, Any]]) -> None:
    """Show that a run is under way, by whom, and in which step; there is no verdict on it yet.

    Args:
        processes: Who is at it.
        steps: Of its report.
    """
    step = next((one["title"] for one in reversed(steps) if one["status"] == "running"), "")
    click.echo(f"\n{click.style('Running.', fg='blue', bold=True)} At it: {', '.join(processes)}.")
    if step:
        click.echo(f"in        {SECRETS.text(step)}")


def show_error(error: RunbookError) -> None:
    """Show an error of this package as a block on standard error; it says itself what to do.

    Args:
        error: The error.
    """
    log = cli_log.current()
    if log is None:
        click.echo(f"{click.style('error', fg='red', bold=True)} {SECRETS.text(str(error))}", err=True)
        return
    log.say("error", str(error), "error", exit_code=error.exit_code, kind=type(error).__name__)


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show rows in columns as wide as they need.

    Args:
        head: Heading of each column.
        rows: The cells as text.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    widths[-1] = 0
    lines = ["  ".join(map(str.ljust, head, widths))]
    lines += ["  ".join(map(word, row, widths)) for row in rows]
    click.echo("\n".join(lines))  # at once: an archive has thousands of lines


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
