# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The log of a command that nobody watches: one line for each thing that happens, on standard error.

With `--log` standard output stays empty. Without it the same things are shown as people at a terminal read them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from runbook_lib.scrub import SECRETS

if TYPE_CHECKING:
    from runbook_lib.cli_output import Progress
    from runbook_lib.journal import Journal
    from runbook_lib.model import Event
    from runbook_lib.notices import Level, Notice
    from runbook_lib.run_notify import Hooks

_META = "runbook_lib.log"


class Log:
    """Writes notices as lines to standard error.

    Args:
        form: `text`, or `json` for one JSON object a line.
    """

    def __init__(self, form: str) -> None:
        self._form = form
        self._lock = threading.Lock()

    def show(self, notice: Notice) -> None:
        """Write one line.

        Args:
            notice: What happened.
        """
        if self._form == "json":
            line = json.dumps(SECRETS.value(notice.as_json()), default=str)
        else:
            at_utc = f"{notice.at_utc[:19]}Z"
            line = SECRETS.text(f"{at_utc} {notice.run_id or '-'} {notice.level} {notice.event}: {notice.text}")
        with self._lock:
            click.echo(line, err=True, color=False)

    def say(self, event: str, text: str, level: Level = "info", run_id: str = "", **fields: Any) -> None:
        """Write one line about something that no journal has.

        Args:
            event: What happened, in a word.
            text: The same as a sentence.
            level: How bad it is.
            run_id: The run, or "".
            **fields: The same for programs, JSON-able.
        """
        from runbook_lib.notices import Notice, one_line

        at_utc = datetime.now(UTC).isoformat(timespec="microseconds")
        self.show(Notice(event, level, at_utc, run_id, one_line(text), fields))


def use(ctx: click.Context, form: str) -> None:
    """Let a command speak to a log from now on.

    Args:
        ctx: The command's context.
        form: As `Log`.
    """
    ctx.meta[_META] = Log(form)


def _take(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        use(ctx, value)


option = click.option(
    "--log",
    type=click.Choice(("text", "json")),
    expose_value=False,
    callback=_take,
    is_eager=True,
    help="Log to standard error, one line for each thing that happens, and show nothing else: for schedules.",
)


def current() -> Log | None:
    """Return the log of this command, or None when it speaks to a person."""
    ctx = click.get_current_context(silent=True)
    return None if ctx is None else ctx.meta.get(_META)


def say(text: str, event: str, run_id: str = "") -> None:
    """Tell a person on standard output, or the log.

    Args:
        text: What to say.
        event: What the log calls it.
        run_id: The run, or "".
    """
    log = current()
    if log is None:
        click.echo(text)
    else:
        log.say(event, text, run_id=run_id)


def warn(word: str, text: str, *, colour: str = "yellow", run_id: str = "") -> None:
    """Tell a person on standard error, or the log, what somebody may have to do something about.

    Args:
        word: What it is about; the log's name of it has underscores for blanks.
        text: What to say.
        colour: Of the word at a terminal.
        run_id: The run, or "".
    """
    log = current()
    if log is None:
        click.echo(f"{click.style(word, fg=colour, bold=True)}  {SECRETS.text(text)}", err=True)
    else:
        log.say(word.lower().replace(" ", "_"), text, "warning", run_id)


def complaint(run_id: str) -> Callable[[str, str, str], None]:
    """Return what tells of a hook that did not take a notice; it may be called in any thread.

    Args:
        run_id: The run.
    """
    log = current()  # here, because a thread has no click context

    def complain(hook: str, event: str, reason: str) -> None:
        if log is None:
            what = click.style("not notified", fg="yellow", bold=True)
            click.echo(f"{what}  {hook}, of {event}: {SECRETS.text(reason)}", err=True)
        else:
            text = f"{hook} was not told of {event}: {reason}"
            log.say("not_notified", text, "warning", run_id, hook=hook, of=event, reason=reason)

    return complain


def listener(journal: Journal, progress: Progress, hooks: Hooks) -> Callable[[Event], None]:
    """Return what takes the events of a run while its notebooks run: for the person or the log, and for the hooks.

    Args:
        journal: The run's journal.
        progress: What a person sees, where there is no log.
        hooks: Who else is told.
    """
    from runbook_lib.notices import Notices

    log, opened = current(), journal.last("run-opened")
    notices = Notices(journal.run_id, opened.fields if opened else {}, journal.folder.resolve())

    def hear(event: Event) -> None:
        notice = notices.of(event)
        if log is None:
            progress.show(event)
        elif notice is not None:
            log.show(notice)
        if notice is not None:
            hooks.send(notice)

    return hear
