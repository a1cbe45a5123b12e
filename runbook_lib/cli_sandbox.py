# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The commands `runbook sandbox ...`: the embedded local AWS.

The sandbox is imported by the command that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook_lib import cli_sandbox_iam
from runbook_lib.cli_faults import fault
from runbook_lib.errors import RunbookError

if TYPE_CHECKING:
    from runbook_lib.sandbox.lifecycle import SandboxInfo

_LOST_WRITES_EXIT_CODE = 4
_state = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".sandbox"),
    show_default=True,
    help="Directory of the sandbox.",
)
_latency = click.option(
    "--latency",
    type=click.Choice(["aws", "fast", "none"]),
    default="fast",
    show_default=True,
    help="How long attaching, booting and the like take: as on AWS, a fraction of it, or no time.",
)
_hosts = click.option(
    "--hosts",
    type=click.Choice(["simulated", "real"]),
    default="simulated",
    show_default=True,
    help="simulated on any machine; real, each with a Docker Engine and disks of its own, on Linux as root.",
)
_postgres = click.option(
    "--postgres",
    "estate_options",
    flag_value="postgres",
    default="",
    help="PostgreSQL beside the sample service, on its volume; with real hosts only.",
)


@click.group()
def sandbox() -> None:
    """Run AWS as far as this package needs it on this machine: no account, no privileges, no network."""


sandbox.add_command(fault)
sandbox.add_command(cli_sandbox_iam.iam)


@sandbox.command()
@_state
@click.option(
    "--port", type=int, default=4599, show_default=True, help="Port of the AWS API on 127.0.0.1; 0 for a free one."
)
@_latency
@_hosts
@_postgres
@cli_sandbox_iam.option
def up(*, state: Path, port: int, latency: str, hosts: str, estate_options: str, policy: str) -> None:
    """Start the sandbox and keep it until `runbook sandbox down`."""
    from runbook_lib.sandbox import lifecycle

    running = lifecycle.status(state)
    began = running is None
    if running is None:
        options = estate_options.split()
        running = lifecycle.start(state, port=port, latency=latency, hosts=hosts, detached=True, estate_options=options)
    else:
        click.echo("already up")
    _show(running)
    try:
        if policy:
            cli_sandbox_iam.enforce(running, policy)
    except RunbookError:
        if began:  # nobody is to find a sandbox that judges nothing where one that judges was asked for
            lifecycle.stop(state)
        raise


@sandbox.command()
@_state
def down(state: Path) -> None:
    """Stop the sandbox and everything it started; its files stay. What dead ones left on this machine goes too."""
    from runbook_lib.sandbox import lifecycle, machine

    click.echo("stopped" if lifecycle.stop(state) else f"no sandbox runs in {state}")
    for state_dir, found in machine.sweep().items():
        click.echo(f"removed     {found}, left by the sandbox of {state_dir}")


@sandbox.command()
@_state
@click.pass_context
def status(ctx: click.Context, state: Path) -> None:
    """Show where the sandbox is, its hosts, and what its service's client was told and can read back."""
    from runbook_lib.sandbox import lifecycle, machine

    running, held = lifecycle.status(state), machine.held(state)
    if running is None:
        click.echo(f"no sandbox runs in {state}; `runbook sandbox up` starts one")
        if held:
            click.echo(f"left over   {held}; `runbook sandbox down` removes it")
        ctx.exit(1)
    _show(running)
    if held:
        click.echo(f"holds       {held}")
    for instance_id, facts in sorted(running.control("GET", "/_sandbox/status")["hosts"].items()):
        click.echo(f"host        {instance_id} {_host_line(facts)}")
    client = running.control("GET", "/_sandbox/client")
    click.echo(f"client      {_client_line(client)}")


@sandbox.command("exec", context_settings={"ignore_unknown_options": True})
@_latency
@_hosts
@_postgres
@cli_sandbox_iam.option
@click.option(
    "--port", type=int, default=0, show_default=True, help="Port of the AWS API on 127.0.0.1; 0 for a free one."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def exec_(
    ctx: click.Context, *, latency: str, hosts: str, estate_options: str, policy: str, port: int,
    command: tuple[str, ...],
) -> None:  # fmt: skip
    """Run COMMAND in a fresh sandbox that is taken down afterwards, whatever happens.

    {parameters} and {state} in COMMAND become the sandbox's parameters file and directory. At the end every write that
    the service acknowledged to its client is looked for; one that cannot be found makes the command fail.
    """
    from runbook_lib.sandbox import lifecycle

    result = lifecycle.run_inside(
        command,
        latency=latency,
        hosts=hosts,
        port=port,
        estate_options=estate_options.split(),
        prepare=lambda running: cli_sandbox_iam.enforce(running, policy) if policy else None,
    )
    click.echo(f"client    {_client_line(result.client)}")
    click.echo("sandbox   gone, and with it what the run could go on with; `runbook sandbox up` starts one that stays")
    all_there = result.client.get("missing") == 0
    ctx.exit(result.exit_code or (0 if all_there else _LOST_WRITES_EXIT_CODE))


def _show(running: SandboxInfo) -> None:
    click.echo(f"endpoint    {running.endpoint_url}")
    click.echo(f"parameters  {running.parameters_path}")
    click.echo(f"state       {running.state_dir}")


def _host_line(facts: Mapping[str, Any]) -> str:
    """Return in one line how a host is and what runs on it."""
    if not facts["powered"]:
        return "has no power"
    state = "up" if facts["booted"] else "boots"
    trouble = f"; {facts['boot_error']}" if facts["boot_error"] else ""
    return f"{state}, runs {', '.join(facts['containers']) or 'no container'}{trouble}"


def _client_line(client: Mapping[str, Any]) -> str:
    """Return in one line what became of the writes that the service acknowledged."""
    if client.get("missing") is None:
        return f"{client.get('acknowledged', 0)} writes acknowledged; no service answers now, so none can be looked for"
    return f"{client['acknowledged']} writes acknowledged, {client['missing']} of them missing"
