"""The reference pages of the site, made from the code: commands, notebooks, library, faults, report, decisions.

`scripts/documents` writes and compares them; this module returns texts and writes nothing.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import runbook_lib
from runbook_lib import cli, errors, steps
from runbook_lib.sandbox.faults_catalog import KINDS

ROOT = Path(__file__).resolve().parents[1]
MADE = "\n*This page is made from the code by `scripts/documents`.*\n"
NOTEBOOKS = f"""# Notebooks and their steps
{MADE}
A step looks first. What is so already comes back as `skipped`; a failed check changes nothing; without `--execute` a
step says what it would do. The id of a step is the id of its cell, and its verb is the same with underscores:
`runbook.detach_volume(run)`. [What if …](../what-if.md) says what a kill leaves.
"""
LIBRARY = f"""# The library
{MADE}
`import runbook_lib as runbook` gives a notebook these names, and one verb for each step of
[the notebooks](notebooks.md).
"""
SECTIONS = ("Args", "Returns", "Raises", "Changes", "Source")


def pages() -> dict[str, str]:
    """Return the reference pages by path."""
    return {
        "docs/reference/commands.md": commands(),
        "docs/reference/notebooks.md": notebooks(),
        "docs/reference/library.md": library(),
        "docs/reference/faults.md": faults(),
        "docs/reference/report.md": report(),
        "docs/adr/README.md": decisions(),
    }


def cell(text: str) -> str:
    """Return text for a cell of a table: on one line, its pipes and angle brackets as they are."""
    line = " ".join(text.split()).replace("|", "\\|")
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in re.split(r"(`[^`]*`)", line))


# --- commands -----------------------------------------------------------------------------------------------------


def commands() -> str:
    """Return every command with its arguments and options."""
    parts = [f"# Commands\n{MADE}"]
    parts += [command_of(path, command) for path, command in commands_below(cli.main, ("runbook",))]
    return "\n".join(parts)


def commands_below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Return a command and all below it, in the order of their names."""
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands_below(command.commands[name], (*path, name))


def command_of(path: tuple[str, ...], command: click.Command) -> str:
    """Return one command: what it does, how it is called, its options."""
    name = " ".join(path)
    context = click.Context(command, info_name=name)
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    told = inspect.cleandoc(command.help or "").replace("<", "&lt;")
    text = f"## `{name}`\n\n{told}\n\n```text\n{usage}\n```\n"
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and "--help" not in p.opts]
    records = [record for option in options if (record := option.get_help_record(context))]
    if not records:
        return text
    rows = "".join(f"| `{cell(names)}` | {cell(help_text)} |\n" for names, help_text in records)
    return f"{text}\n| option | means |\n|---|---|\n{rows}"


# --- notebooks ----------------------------------------------------------------------------------------------------


def notebooks() -> str:
    """Return every notebook with its steps, in the order in which they run."""
    names = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    return "\n".join((NOTEBOOKS, *(notebook_of(name) for name in names)))


def notebook_of(name: str) -> str:
    """Return one notebook: its title cell, then a row for each step."""
    document = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
    texts = {c["id"]: "".join(c["source"]) for c in document["cells"]}
    title, _, facts = texts["title"].partition("\n")
    procedure = importlib.import_module(f"runbook_lib.procedures.{name[3:]}")
    rows = "".join(step_row(step, texts) for step in procedure.STEPS if step.step_id in texts)
    return (
        f"## `{name}`\n\n{title.removeprefix('# ')}.\n\n{facts.strip()}\n\n"
        f"| step | what it does, and what if it fails | outage | way back |\n|---|---|---|---|\n{rows}"
    )


def step_row(step: steps.Step, texts: dict[str, str]) -> str:
    """Return one step as a row."""
    heading, _, told = texts.get(f"about-{step.step_id}", "").partition("\n")
    title = heading.removeprefix("## ").strip() or step.title
    way_back = f"`{step.roll_back}`" if step.roll_back else ""
    return f"| `{step.step_id}` | **{cell(title)}.** {cell(told)} | {'yes' if step.in_outage else ''} | {way_back} |\n"


# --- library ------------------------------------------------------------------------------------------------------


def library() -> str:
    """Return the public names of the package that are no steps, how a step is performed, and the errors."""
    others = sorted(runbook_lib._OTHERS)  # noqa: SLF001 - the list of what is public and no step
    parts = [
        LIBRARY,
        *(function_of(f"runbook.{name}", getattr(runbook_lib, name)) for name in others),
        "## A step\n\nEvery verb takes the open run, performs its step, and returns how it ended.\n",
        function_of("perform", steps.perform, level=3),
        "## Errors\n\nAn error says what was expected, what was observed, whether anything changed, and what to do.\n",
        "| error | exit code | means |\n|---|---|---|",
        *error_rows(),
    ]
    return "\n".join(parts) + "\n"


def function_of(name: str, function: Any, level: int = 2) -> str:
    """Return a function with its signature and its docstring."""
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))
    return f"{'#' * level} `{name}`\n\n```python\n{name}{signature}\n```\n\n{docstring_of(function)}\n"


def docstring_of(documented: Any) -> str:
    """Return a docstring in Google's form as Markdown."""
    lines = inspect.getdoc(documented).splitlines()
    found: list[str] = []
    for line in lines:
        heading = line.removesuffix(":")
        if heading in SECTIONS:
            found.append(f"**{heading}**\n")
        elif item := re.match(r" {4}(\w+): (.*)", line):
            found.append(f"- `{item[1]}`: {item[2]}")
        else:
            found.append(re.sub(r"^ {4}(?=\S)", "", line).replace("<", "&lt;"))
    return "\n".join(found)


def error_rows() -> list[str]:
    """Return the errors with their exit codes, in the order of the module."""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.RunbookError)]
    return [f"| `{c.__name__}` | {c.exit_code} | {cell(inspect.getdoc(c).splitlines()[0])} |" for c in classes]


# --- faults, report, decisions ------------------------------------------------------------------------------------


def faults() -> str:
    """Return every fault that the sandbox can be given."""
    rows = "".join(fault_row(kind) for kind in sorted(KINDS, key=lambda kind: kind.name))
    return (
        f"# Faults of the sandbox\n{MADE}\nSwitched on with `runbook sandbox fault add NAME`; "
        "[game days](../game-days.md) says when they begin and how they end.\n\n"
        f"| fault | what happens | `--target` | `--count` | options |\n|---|---|---|---|---|\n{rows}"
    )


def fault_row(kind: Any) -> str:
    """Return one fault as a row."""
    target, lasts, options = kind.target or "none", fault_lasts(kind), fault_options(kind)
    return f"| `{kind.name}` | {cell(kind.does)} | {target} | {lasts} | {options} |\n"


def fault_lasts(kind: Any) -> str:
    """Return what a fault's count counts, or how long it lasts."""
    return kind.counts or ("none: over at once" if kind.once else "none: until it is cleared")


def fault_options(kind: Any) -> str:
    """Return what a fault needs and what it understands."""
    needs = [f"needs `--{name}`" for name in kind.needs]
    return ", ".join((*needs, *(f"`--{name}`" for name in kind.takes)))


def report() -> str:
    """Return the keys of report.json, from its schema."""
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text("utf-8"))
    rows = [
        f"| `{key}` | {kind_of(value)} | {cell(value.get('description', ''))}{inner_of(value)} |"
        for key, value in schema["properties"].items()
    ]
    return (
        f"# The report as data\n{MADE}\n{schema['description']} Its JSON Schema is "
        "[report.schema.json](../report.schema.json); [the run record](../run-record.md) has the files beside it.\n\n"
        "| key | kind | means |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def kind_of(value: dict[str, Any]) -> str:
    """Return the JSON kinds of a value."""
    kinds = value.get("type", "any")
    return " or ".join(sorted(kinds, key=lambda kind: kind == "null")) if isinstance(kinds, list) else kinds


def inner_of(value: dict[str, Any]) -> str:
    """Return the keys below a value, in words."""
    inner = value.get("items", value).get("properties", {})
    return f" Keys: {', '.join(f'`{key}`' for key in inner)}." if inner else ""


def decisions() -> str:
    """Return the list of decisions."""
    rows = []
    for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")):
        number, _, title = path.read_text("utf-8").partition("\n")[0].removeprefix("# ").partition(". ")
        rows.append(f"| {number} | [{title}]({path.name}) |\n")
    return (
        f"# Decisions\n{MADE}\nOne page for each, with what led to it and what follows from it.\n\n"
        f"| number | decision |\n|---|---|\n{''.join(rows)}"
    )
