# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The commands `runbook sandbox fault ...`: rehearse an incident by letting the sandbox go wrong on demand.

The sandbox stays an outside world that knows no step of ours. A fault that is to begin at a step is posted by this
command, which follows the run's journal as an operator would.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_output as output
from runbook_lib.errors import JournalError, SandboxError

if TYPE_CHECKING:
    from runbook_lib.model import Event
    from runbook_lib.sandbox.lifecycle import SandboxInfo

_PATH = "/_sandbox/faults"
_POLL_S = 0.01
_state = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sandbox"),
    show_default=True,
    help="Directory of the sandbox.",
)


@click.group()
def fault() -> None:
    """Let the sandbox go wrong on demand, to see what a runbook makes of it."""


@fault.command()
@click.argument("name")
@click.option("--target", help="What it hits: see `fault list`; without it everything it can.")
@click.option("--trigger", type=click.Choice(["now"]), help="Begin at once, which is the default.")
@click.option("--after-calls", type=int, metavar="N", help="Begin after N calls of --operation, or of any operation.")
@click.option("--at-step", metavar="STEP_ID", help="Begin when a run comes to this step; waits until then.")
@click.option("--run-id", default="", help="With --at-step: this run only, not any run of the archive.")
@click.option(
    "-d",
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --at-step: archive of runs; without it the one that the sandbox's parameters name.",
)
@click.option("--count", type=int, metavar="N", help="How often it strikes; without it until it is cleared.")
@click.option("--operation", metavar="OP", help="API operation, for example DetachVolume.")
@click.option("--code", help="AWS error code that api-error answers.")
@click.option("--seconds", type=float, help="How long slow-api lets callers wait.")
@_state
def add(state: Path, at_step: str | None, run_id: str, directory: Path | None, **given: Any) -> None:
    """Switch the fault NAME on; `runbook sandbox fault list` names them all."""
    if sum(given[name] is not None for name in ("trigger", "after_calls")) + (at_step is not None) > 1:
        raise click.UsageError("give one of --trigger, --after-calls and --at-step")
    if run_id and at_step is None:
        raise click.UsageError("--run-id goes with --at-step")
    running = _running(state)
    wanted = {name: value for name, value in given.items() if value is not None and name != "trigger"}
    wanted["times"] = wanted.pop("count", None)
    if at_step is not None:
        running.control("POST", _PATH, {**wanted, "dry_run": True})  # what is wrong shows now, not when the step comes
        wanted["note"] = _wait_for_step(at_step, run_id, directory or _archive_of(running))
    _show_added(running.control("POST", _PATH, wanted))


@fault.command("list")
@_state
def list_(state: Path) -> None:
    """Show the faults that were switched on, and every fault there is."""
    answer = _running(state).control("GET", _PATH)
    if answer["on"]:
        head = ("number", "fault", "state", "struck", "begins", "what it does")
        output.show_table(head, [_row(one) for one in answer["on"]])
    else:
        click.echo("no fault was switched on")
    click.echo()
    output.show_table(("fault", "what it does"), sorted(answer["known"].items()))


@fault.command()
@click.argument("number", default="all")
@_state
def clear(state: Path, number: str) -> None:
    """Switch the fault with this NUMBER off, or all of them."""
    running = _running(state)
    if number == "all":
        removed = running.control("DELETE", _PATH)["removed"]
    elif number.isdecimal():
        removed = [running.control("DELETE", f"{_PATH}/{number}")["removed"]]
    else:
        raise click.BadParameter(f"expected a number of `fault list` or `all`, got {number!r}", param_hint="NUMBER")
    for one in removed:
        click.echo(f"cleared {one['number']}: {one['name']}{_of(one['target'])}")
    if not removed:
        click.echo("there was no fault to clear")


def _running(state: Path) -> SandboxInfo:
    from runbook_lib.sandbox import lifecycle

    running = lifecycle.status(state)
    if running is None:
        raise SandboxError(f"no sandbox runs in {state}; `runbook sandbox up` starts one. Nothing was changed.")
    return running


def _archive_of(running: SandboxInfo) -> Path:
    from runbook_lib import parameters

    return Path(parameters.load(running.parameters_path).archive.directory)


def _show_added(fault_: dict[str, Any]) -> None:
    words = {"waiting": "waits for its calls", "on": "is on", "spent": "has happened"}
    click.echo(f"fault {fault_['number']} {words[fault_['state']]}: {fault_['name']}{_of(fault_['target'])}")
    click.echo(f"  {fault_['does']}")
    if fault_["state"] != "spent":
        click.echo(f"  runbook sandbox fault clear {fault_['number']} switches it off")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    struck = str(one["struck"]) + (f" of {one['times']}" if one["times"] else "")
    aim = ", ".join(one[key] for key in ("operation", "code", "target") if one[key])
    name = one["name"] + (f" ({aim})" if aim else "")
    calls = f"after {one['after_calls']} calls, {one['calls']} seen" if one["after_calls"] else ""
    return (
        str(one["number"]),
        name,
        one["state"],
        struck,
        one["note"] or calls or "at once",
        one["problem"] or one["does"],
    )


def _of(target: str) -> str:
    return f" of {target}" if target else ""


def _wait_for_step(step_id: str, run_id: str, directory: Path) -> str:
    """Follow journals until a step runs that was not running before; return which, in words."""
    from runbook_lib.adapters.clock import Clock

    where = f"run {run_id}" if run_id else f"the runs in {directory.resolve()}"
    if run_id and not (directory / run_id / "journal.jsonl").is_file():
        raise JournalError(f"no run {run_id!r} in {directory.resolve()}; `runbook list` shows what is there")
    follower = _Follower(directory, run_id)
    click.echo(f"waiting until {where} comes to step {step_id}; nothing is on until then, Ctrl-C ends the wait")
    while True:
        for name, event in follower.new_events():
            if event.kind == "step" and (event.fields["step_id"], event.fields["status"]) == (step_id, "running"):
                return f"at step {step_id} of {name}"
        Clock().sleep(_POLL_S)


class _Follower:
    """Reads what is added to the journals of an archive from now on.

    Args:
        directory: The archive.
        run_id: Only this run; "" follows every run, also those that are opened later.
    """

    def __init__(self, directory: Path, run_id: str) -> None:
        self._pattern = f"{run_id or '*'}/journal.jsonl"
        self._directory = directory
        self._seen = {path: (path.stat().st_size, _count(path)) for path in directory.glob(self._pattern)}

    def new_events(self) -> Iterator[tuple[str, Event]]:
        """Yield run id and event of everything that was written since the last call, oldest first in each run."""
        from runbook_lib.journal import read_events

        for path in self._directory.glob(self._pattern):
            size, count = self._seen.get(path, (0, 0))
            now = path.stat().st_size
            if now == size:
                continue
            events = read_events(path)
            self._seen[path] = (now, len(events))
            for event in events[count:]:
                yield path.parent.name, event


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n")
