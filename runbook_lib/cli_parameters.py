# ruff: noqa: PLC0415 - what is slow to import is imported where it is used, so that `runbook --help` answers at once
"""The command that shows parameters: what a file says and what is wrong with it, or which keys there are."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("parameters")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def parameters(file: Path | None) -> None:
    """Check the parameters FILE and show what it says; without FILE, show every key with its meaning.

    Exit code 2 when something is wrong with it. Nothing is contacted. In JupyterLab the same is a form:
    `runbook.parameters_form()`.
    """
    from runbook_lib.errors import ParameterError
    from runbook_lib.form import Form
    from runbook_lib.form_fields import fields
    from runbook_lib.form_table import FormTable, hint

    if file is None:
        for field in fields():
            click.echo(f"{click.style('.'.join(field.keys), bold=True)}\n    {hint(field)}")
            if field.options:
                click.echo(f"    one of: {', '.join(field.options)}")
        return
    form = Form(file)
    for key, value, _meaning in FormTable(form).rows():
        click.echo(f"{key:<40} {value.replace(chr(10), ', ')}")
    if problems := form.problems():
        raise ParameterError(problems)
    click.echo(f"{click.style('valid', fg='green', bold=True)}  {file}")


COMMANDS = (parameters,)
