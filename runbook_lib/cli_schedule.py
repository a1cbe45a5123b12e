# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The command that writes units and crontab lines for runs that nobody watches; it installs nothing."""

from __future__ import annotations

import getpass
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_runs
from runbook_lib.errors import ParameterError

if TYPE_CHECKING:
    from runbook_lib.parameters import Parameters
    from runbook_lib.schedule import Schedule

_SPAN = re.compile(r"(\s*\d+\s*(us|ms|s|sec|second|m|min|minute|h|hr|hour|d|day|w|week)?s?)+", re.ASCII)
_UNIT = re.compile(r"[A-Za-z0-9:_.@%\\-]+\.(service|target)")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")
_STEM = re.compile(r"[A-Za-z0-9:_.-]+")
_NAMES = (
    ("on_failure", _UNIT, "a unit such as page@%n.service"),
    ("user", _USER, "the name of a user"),
    ("name", _STEM, "letters, digits and :_.- for a unit"),
)
_DEFAULT_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@click.command()
@click.argument("notebooks", nargs=-1, required=True)
@click.option(
    "-f",
    "--parameters",
    "parameters_file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Parameters file of the migration.",
)
@click.option(
    "--on-calendar", "calendar", multiple=True, metavar="SPEC", help="systemd units for these times: '*-*-* 03:00 UTC'."
)
@click.option("--cron", default="", metavar="SPEC", help="Crontab lines for this time: '0 3 * * *'.")
@click.option(
    "--missed",
    type=click.Choice(("once", "skip")),
    default="skip",
    show_default=True,
    help="What was due while the machine was off: make up for it once, or leave it out.",
)
@click.option("--random-delay", default="", metavar="SPAN", help="Begin up to so much later, at random: 5min.")
@click.option(
    "--timeout", default="12h", show_default=True, metavar="SPAN", help="Longest time for a run, or infinity."
)
@click.option(
    "--environment-file",
    default="",
    type=click.Path(dir_okay=False),
    help="File with the variables that `env:` references name.",
)
@click.option("--user", default="", metavar="NAME", help="Who runs it; without it who runs this command.")
@click.option("--scope", type=click.Choice(("system", "user")), default="system", show_default=True)
@click.option("--on-failure", default="", metavar="UNIT", help="Unit to start when it fails: 'page@%n.service'.")
@click.option("--name", default="", help="Name of the units; without it made of migration and notebooks.")
@click.option("--log-format", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to; else it is shown."
)
@click.option("--replace", is_flag=True, help="Write over files in that folder that are different.")
@cli_runs.execute_option
@cli_runs.reason_option
def schedule(
    notebooks: tuple[str, ...],
    parameters_file: Path,
    output: Path | None,
    replace: bool,  # noqa: FBT001 - click passes options by name
    **how: Any,
) -> None:
    """Write what lets this machine run NOTEBOOKS by itself: a systemd service and timer, or lines for a crontab.

    Nothing is installed, and nothing needs root; what to do next is said on standard error. Exit code 2 when a time,
    the parameters or a reference cannot work unattended.
    """
    from runbook_lib import parameters as parameter_file
    from runbook_lib import schedule as texts
    from runbook_lib.adapters.systemd import next_elapse

    parameters = parameter_file.load(parameters_file)
    made = _made(notebooks, parameters_file, parameters, how)
    due = [f"{spec}: next on {moment}" for spec in made.calendar if (moment := next_elapse(spec))]
    files = {}
    if made.calendar:
        files = {f"{made.unit}.service": texts.service(made), f"{made.unit}.timer": texts.timer(made)}
    if made.cron:
        files[f"{made.unit}.crontab"] = texts.crontab(made)
    if output is None:
        click.echo("\n".join(f"# {name}\n{text}" for name, text in files.items()), nl=False)
    else:
        _write(output, files, replace=replace)
    notes = [*due, *_notes(made, parameters, execute=how["execute"], notebooks=notebooks)]
    for note in notes:
        click.echo(f"note      {note}", err=True)
    for index, line in enumerate(_next_steps(made, output, sorted(files))):
        click.echo(f"{'next' if index == 0 else '':<8}  {line}", err=True)


def _made(names: Sequence[str], file: Path, parameters: Parameters, how: dict[str, Any]) -> Schedule:
    """Return the schedule that the options describe.

    Raises:
        ParameterError: with everything that is wrong with them.
    """
    from runbook_lib.execute_names import find_notebooks, name_of
    from runbook_lib.parameters_notifications import references
    from runbook_lib.run_control import find_program
    from runbook_lib.schedule import Schedule, unit_name

    paths = find_notebooks(names)
    wanted = [name_of(path) for path in paths]
    variables = _variables((*parameters.archive.secrets, *references(parameters.notifications)))
    unit = how["name"] or unit_name(parameters.name, wanted)
    problems = [*_problems(how, unit), *_problems_of_variables(variables, how["environment_file"])]
    if problems:
        raise ParameterError(problems)
    reason = how["reason"].strip() or f"schedule {unit}"
    argv = [find_program(), "run", *wanted, "-f", str(file.resolve()), *(["--execute"] if how["execute"] else [])]
    root = paths[0].parent.parent
    page = root / "docs" / "schedules.md"
    return Schedule(
        unit=unit,
        title=f"{', '.join(path.stem for path in paths)} of {parameters.name}",
        argv=(*argv, "--reason", reason, "--log", how["log_format"]),
        directory=root,
        path=_path(),
        environment_file=str(Path(how["environment_file"]).resolve()) if how["environment_file"] else "",
        variables=variables,
        hooks_s=max((hook.timeout_s for hook in parameters.notifications.values()), default=0),
        user=how["user"] or getpass.getuser(),
        documentation=page.as_uri() if page.is_file() else "",
        **{key: how[key] for key in ("missed", "calendar", "cron", "random_delay", "timeout", "scope", "on_failure")},
    )


def _problems(how: dict[str, Any], unit: str) -> Iterator[str]:
    """Yield what is wrong with the options by themselves."""
    from runbook_lib.schedule_cron import parse

    if not how["calendar"] and not how["cron"]:
        yield "--on-calendar or --cron: expected when to run, got neither"
    if how["cron"]:
        try:
            parse(how["cron"])
        except ValueError as error:
            yield f"--cron: {error}"
    for option in ("timeout", "random_delay"):
        is_endless = how[option] == "infinity" and option == "timeout"
        if how[option] and not is_endless and not _SPAN.fullmatch(how[option]):
            yield f"--{option.replace('_', '-')}: expected a time span such as 90s, 5min or 2h, got {how[option]!r}"
    if how["random_delay"] and not how["calendar"]:
        yield "--random-delay: expected --on-calendar too, because cron knows no such delay"
    for option, pattern, expected in _NAMES:
        value = unit if option == "name" else how[option]
        if value and not pattern.fullmatch(value):
            yield f"--{option.replace('_', '-')}: expected {expected}, got {value!r}"
    texts = (*how["calendar"], how["cron"], how["reason"], how["environment_file"])
    if not all(text.isprintable() for text in texts):
        yield "options: expected one line of printable text in each"


def _variables(references: Sequence[str]) -> tuple[str, ...]:
    """Return the variables that references name."""
    return tuple(dict.fromkeys(one.removeprefix("env:") for one in references if one.startswith("env:")))


def _problems_of_variables(variables: Sequence[str], file: str) -> Iterator[str]:
    """Yield what keeps the references of the parameters from being resolved when nobody is logged in."""
    if variables and not file:
        names = ", ".join(variables)
        yield f"--environment-file: expected a file that defines {names}, to which the parameters refer; got none"
    if not file or not Path(file).is_file() or not os.access(file, os.R_OK):
        return
    defined = set(re.findall(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)=", Path(file).read_text("utf-8", "replace")))
    missing = [name for name in variables if name not in defined]
    if missing:
        yield f"{file}: expected {', '.join(missing)}, to which the parameters refer; it defines no such variable"


def _path() -> str:
    """Return the PATH of the command: where Terraform is now, this environment, and what every system has."""
    from runbook_lib.adapters.terraform import find_binary

    own = [str(find_binary(os.environ).parent), str(Path(sys.executable).parent)]
    return ":".join(dict.fromkeys([*own, *_DEFAULT_PATH]))


def _write(folder: Path, files: dict[str, str], *, replace: bool) -> None:
    """Write the files, unless one is there that somebody changed."""
    other = [
        folder / name for name, text in files.items() if (folder / name).is_file() and _is_other(folder / name, text)
    ]
    if other and not replace:
        names = ", ".join(map(str, other))
        raise ParameterError([f"{names}: there already, and different. Nothing was written. Fix: --replace"])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
        click.echo(folder / name)


def _is_other(path: Path, text: str) -> bool:
    return path.read_text("utf-8", "replace") != text


def _notes(made: Schedule, parameters: Parameters, *, execute: bool, notebooks: Sequence[str]) -> Iterator[str]:
    """Yield what somebody should know before this runs by itself."""
    from runbook_lib.execute_names import find_notebooks

    names = {path.stem for path in find_notebooks(notebooks)}
    policy = parameters.policy
    if not execute:
        yield "without --execute it only plans; nothing will change"
    gated = sorted(names & set(policy.approvals.notebooks))
    if execute and policy.approvals.required and gated:
        yield f"{', '.join(gated)}: each run stops for an approval, with exit code 6 (policy.approvals)"
    if execute and policy.hold_before_cutover and "30_cut_over_volume" in names:
        yield "the cutover holds until `runbook cut-over` (policy.hold_before_cutover)"
    if policy.change_window is not None:
        yield "policy.change_window is one window, not one a week: after it no run stops the service any more"
    if execute and parameters.archive.bucket is None:
        yield "the lease excludes runs of this machine only (no archive.bucket)"
    heard = any("failed" in hook.events for hook in parameters.notifications.values())
    if not made.on_failure and not heard:
        yield "nobody is told of a failure: name a hook for `failed` in notifications, or --on-failure"
    yield from _notes_on_file(made.environment_file)
    if made.cron and not heard:
        yield "cron forgets exit codes, sets no limit, and mails what the run logs where a mail system is set up"


def _notes_on_file(name: str) -> Iterator[str]:
    file = Path(name)
    if name and not file.exists():
        yield f"{name} is not there yet: make it with mode 600"
    elif name and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"{name} can be read by others than its owner: chmod 600"


def _next_steps(made: Schedule, output: Path | None, files: Sequence[str]) -> Iterator[str]:
    """Yield what to do with the texts."""
    where = (lambda name: str(output / name)) if output else (lambda name: name)
    units = [where(name) for name in files if not name.endswith(".crontab")]
    if units and made.scope == "system":
        yield f"look at the units, then as root: install -m 644 {' '.join(units)} /etc/systemd/system/"
        yield f"systemctl daemon-reload && systemctl enable --now {made.unit}.timer"
        yield f"to try it now: systemctl start {made.unit}.service; its log: journalctl -u {made.unit}.service"
    elif units:
        yield f"look at the units, then: install -m 644 -D -t ~/.config/systemd/user {' '.join(units)}"
        yield f"systemctl --user daemon-reload && systemctl --user enable --now {made.unit}.timer"
        yield "so that it runs while nobody is logged in: loginctl enable-linger"
    if made.cron:
        yield f"put the lines of {where(f'{made.unit}.crontab')} into the crontab of {made.user}: crontab -e"


COMMANDS = (schedule,)
