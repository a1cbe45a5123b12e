"""The scripts that run on hosts, as text: nothing here is imported by the library, it is sent.

A script is a file of this folder with `main(arguments)`. It may import other files of this folder by name
(`from prelude import run`); `source` puts them all into one text that needs nothing but Python 3.7 on the host.
"""

from __future__ import annotations

import ast
import threading
from importlib.resources import files

_HEAD = '''"""A host script of runbook_lib with the parts it imports; built by runbook_lib.host_scripts.source."""
import sys, types
def part(name, text):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name + ".py", "exec"), module.__dict__)
    return module
'''
_PARSING = threading.Lock()  # Python 3.11 counts how deep a tree is for all threads together, and then fails
_FOUNDATION = ("digests", "prelude")  # what every script stands on, imported ones first


def names() -> tuple[str, ...]:
    """Return the name of every script that can be sent, sorted; parts without `main` are left out."""
    found = (entry.name.removesuffix(".py") for entry in files(__package__).iterdir() if entry.name.endswith(".py"))
    return tuple(sorted(name for name in found if name != "__init__" and "\ndef main(" in read(name)))


def read(name: str) -> str:
    """Return the text of one file of this folder.

    Args:
        name: The file's name without ``.py``.

    Returns:
        Its text.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    return files(__package__).joinpath(f"{name}.py").read_text(encoding="utf-8")


def source(name: str) -> str:
    """Return the text to execute on a host for one script.

    Args:
        name: The script's name, for example ``inspect_host``.

    Returns:
        Python text that defines ``main`` (the script's) and ``answer`` (which calls it and prints the JSON answer).
        The same script always gives the same text, so its SHA-256 identifies what ran.

    Raises:
        FileNotFoundError: when there is no such script.
    """
    with _PARSING:
        parts = [f"part({part!r}, {_code_alone(read(part))!r})\n" for part in _with_imports(name)]
    return f"{_HEAD}{''.join(parts)}from prelude import answer\nfrom {name} import main\n"


def _code_alone(text: str) -> str:
    """Return a file without docstrings, comments and annotations: Systems Manager takes no long command.

    What annotations alone import goes with them: it would take time at the start of every script.
    """
    tree = ast.parse(text)
    tree.body = [one for one in tree.body if not (isinstance(one, ast.ImportFrom) and one.module == "typing")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(tree)


def _with_imports(name: str) -> list[str]:
    """Return a script and the files of this folder it imports, imported ones first."""
    siblings = {entry.name.removesuffix(".py") for entry in files(__package__).iterdir()}
    ordered = list(_FOUNDATION[: _FOUNDATION.index(name)] if name in _FOUNDATION else _FOUNDATION)
    for node in ast.parse(read(name)).body:
        if isinstance(node, ast.ImportFrom) and node.module in siblings:
            ordered += [part for part in _with_imports(node.module) if part not in ordered]
    return [*ordered, name]
