"""The import rules, the homes and the sizes that docs and style promise."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "runbook_lib"
SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "images" not in p.parts)
PURE = {"checks", "planfile", "plan_rules", "manifest", "compose", "render", "model", "parameters"}

# room -> rooms it may import, besides itself and errors
MAY_IMPORT = {
    "errors": set(),
    "scrub": set(),
    "model": {"errors"},
    "parameters": {"model"},
    "permissions": {"parameters"},  # which statement has an action is told where AWS refuses it
    "checks": {"model", "parameters"},
    "planfile": {"model", "parameters"},
    "manifest": {"model", "parameters"},
    "compose": {"model", "parameters"},
    "render": {"model", "parameters"},
    "host_scripts": set(),
    "adapters": {"model", "host_scripts", "permissions"},
    "journal": {"model", "scrub"},
    "storage": {"checks", "model", "parameters"},
    "steps": {"journal", "model"},
    "approval": {"model"},  # who may say yes is decided without asking anybody
    "report": {"model", "journal", "approval"},
    "archive": {"model", "journal", "report", "approval", "lease", "scrub"},  # whether who holds a run lives
    "history": {"model", "journal", "archive", "report", "parameters"},
    "lint": {"model", "journal", "report", "parameters", "approval"},
    "reconcile": {"model"},
    "notices": {"model", "report"},  # what the log and the hooks tell of a run follows from its events alone
    "schedule": {"model"},
    "procedures": {
        "steps", "storage", "checks", "planfile", "manifest", "compose", "render", "model", "parameters", "scrub",
        "archive",  # 64_check_drift verifies the last record; the archive imports no procedure
    },
    "lease": {"scrub"},  # who may hold a volume: it is handed its clock and its bucket, so it needs no pipe
    "run": {"scrub", "adapters", "steps", "journal", "lease", "report", "parameters", "model", "approval", "notices"},
    "engine": {"journal", "model", "report", "scrub"},  # plain Papermill has nobody else who writes the report
    "form": {"model", "parameters"},
    # the run knows how an account is asked, and how a run is held, released and given up
    "widgets": {"form", "model", "parameters", "run", "journal", "report", "steps"},
    "lab": {"execute", "parameters", "run", "journal", "report"},  # Jupyter's server answers what a run's card says
    "execute": {"engine", "journal", "parameters", "model"},
    "sandbox": {"model"},
    "cli": {
        "execute", "run", "report", "archive", "history", "lint", "approval", "sandbox", "parameters", "model",
        "journal", "adapters", "lease", "scrub", "reconcile", "notices", "schedule", "form",
        "permissions",
    },
}  # fmt: skip

# library -> rooms that may import it
HOMES = {
    "boto3": {"adapters", "sandbox"},
    "botocore": {"adapters", "sandbox"},
    "subprocess": {"adapters", "sandbox", "host_scripts"},
    "time": {"adapters", "sandbox", "host_scripts"},
    "papermill": {"execute", "engine"},
    "jinja2": {"render", "report"},
    "yaml": {"parameters", "sandbox"},
    "pydantic": {"parameters"},
    "ipywidgets": {"widgets"},
    "pandas": {"history"},
    "matplotlib": {"history", "report"},
    "nbdime": {"history"},
    "cryptography": {"adapters", "sandbox"},
    "moto": {"sandbox"},
    "click": {"cli"},
    "jupyter_scheduler": {"cli"},
    "jupyter_server": {"lab"},
    "rich": {"cli"},
}


def room(path: Path) -> str:
    """Return the room a file belongs to: its folder, or its name up to the first underscore-part that is a room."""
    parts = path.relative_to(PACKAGE).parts
    name = parts[0].removesuffix(".py")
    if name in MAY_IMPORT or len(parts) > 1:
        return name
    for known in sorted(MAY_IMPORT, key=len, reverse=True):
        if name.startswith((f"{known}_", known.removesuffix("file") + "_")):
            return known
    return name


def imports_of(path: Path) -> set[str]:
    """Return the dotted names that a file imports at run time; imports for the type checker do not count."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    """A room imports only the rooms it may import."""
    own = room(path)
    if own == "__init__":
        return
    rooms = {name.split(".")[1] for name in imports_of(path) if name.startswith("runbook_lib.")}
    seen = {room(PACKAGE / f"{name}.py") for name in rooms}
    assert seen - {own} <= MAY_IMPORT[own] | {"errors"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_libraries_have_one_home(path):
    """A library with a home is imported nowhere else."""
    libraries = {name.split(".")[0] for name in imports_of(path)} & set(HOMES)
    assert {library for library in libraries if room(path) not in HOMES[library]} == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    """No file is longer than 300 lines, no function longer than 40."""
    text = path.read_text("utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: code_lines(f) for f in functions if code_lines(f) > 40}
    assert (len(text.splitlines()) <= 300, long) == (True, {})


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    documented = docstring.end_lineno - docstring.lineno + 1 if docstring is not None else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_print_is_in_the_command_line_only():
    """Nothing but the command line, host scripts and guest programs prints."""
    printing = {
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        if room(path) not in {"cli", "host_scripts", "sandbox"}
    }
    assert printing == set()


def test_import_is_quick_and_light():
    """`import runbook_lib` takes under 300 ms and pulls in none of the heavy packages."""
    program = (
        "import sys, time\nstarted = time.process_time()\nimport runbook_lib\n"
        "print(time.process_time() - started)\n"
        "print(sorted({'pandas', 'papermill', 'ipywidgets', 'matplotlib', 'boto3', 'moto'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.splitlines()
    assert (float(seconds) < 0.3, heavy) == (True, "[]")


def test_execute_is_tested_in_one_place():
    """Whether a run executes is asked by `perform`, and by nobody else in the library's rooms of work."""
    asking = {
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "execute" and isinstance(node.ctx, ast.Load)
        if room(path) in {"procedures", "storage", "checks", "steps", "adapters"}
    }
    assert asking == {"steps.py"}


def test_every_sandbox_of_the_migration_is_started_for_a_storage_driver():
    """Who starts one there asks for the driver, so that whoever uses it runs with both."""
    starting = {
        f"{path.name} {node.name}": [argument.arg for argument in node.args.args]
        for path in (ROOT / "tests" / "migration").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and "nursery.start(" in ast.unparse(node)
    }
    assert starting
    assert [name for name, arguments in starting.items() if "driver" not in arguments] == []
