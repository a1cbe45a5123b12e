"""The guest's ``python3``: install the path mapping, then run a script, a module, a text or standard input.

Reads its guest from the environment. Ends with the sandbox: when the daemon's end of the lifeline closes, the
kernel kills this process.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from . import children, compiled, confine, lifeline
from .files import Files
from .mapping import View
from .procview import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FLAGS = ("-u", "-B", "-E", "-I", "-s", "-S", "-O", "-OO", "-b", "-q", "-P")


class ImportHook:
    """A finder that patches a module right after it is first imported.

    Args:
        patches: What to do with each module, by name.
    """

    def __init__(self, patches: dict[str, Callable[[ModuleType], None]]) -> None:
        self._patches = patches

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find a module that is to be patched, with a loader that patches it."""
        patch = self._patches.pop(name, None)
        if patch is None:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = _then(spec.loader.exec_module, patch)  # type: ignore[assignment,method-assign]
                return spec
        return None


def _then(execute: Callable[[ModuleType], None], patch: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def exec_module(module: ModuleType) -> None:
        execute(module)
        patch(module)

    return exec_module


def prepare() -> Files:
    """Put the path mapping into this interpreter, which still sees the machine as it is; return the mapping."""
    guest_lib = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - start fast
    guest_dir = os.path.dirname(guest_lib)  # noqa: PTH120
    confine.install(os.environ["RUNBOOK_SANDBOX_STATE"])
    lifeline.hold(guest_dir + "/lifeline")
    view = View("", (*sys.path, sys.executable, guest_lib))
    files = Files(view, Processes(view))
    files.install()
    children.install(files)
    compiled.install(guest_dir + "/compiled")
    patches = {"socket": _socket_patch(files), "_sqlite3": _sqlite_patch(files)}
    for name in sys.modules.keys() & patches:
        patches.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, ImportHook(patches))
    sys.dont_write_bytecode = True
    return files


def enter(files: Files) -> None:
    """Become a process of the guest that the environment names.

    Args:
        files: The path mapping of this interpreter.
    """
    files.view = View(os.environ["RUNBOOK_SANDBOX_VIEW"], files.view.passthrough)
    files.processes = Processes(files.view)
    children.enter()
    sys.executable = "/usr/bin/python3"
    if os.environ.pop("RUNBOOK_SANDBOX_MAIN", ""):
        import signal  # noqa: PLC0415 - only in the main process of a container

        # The kernel drops signals that process 1 of a container does not handle; children start with the defaults.
        signal.signal(signal.SIGTERM, lambda *_: None)


def install() -> None:
    """Make this interpreter one of the guest's from its start."""
    enter(prepare())


def _socket_patch(files: Files) -> Callable[[ModuleType], None]:
    def patch(module: ModuleType) -> None:
        from .network import Network  # noqa: PLC0415 - only when sockets are used

        address, _, port = os.environ["RUNBOOK_SANDBOX_API"].partition(":")
        Network((address, int(port)), files).install(module)

    return patch


def _sqlite_patch(files: Files) -> Callable[[ModuleType], None]:
    def patch(module: ModuleType) -> None:
        from . import databases  # noqa: PLC0415 - only when SQLite is used

        databases.install(module, files)

    return patch


def main(arguments: list[str]) -> None:
    """Run Python as the command line says.

    Args:
        arguments: What follows ``python3``: flags, then ``-c TEXT``, ``-m MODULE``, ``-``, or a script. The
            interpreter is the guest's already.
    """
    while arguments and (arguments[0] in FLAGS or arguments[0] in {"-W", "-X"}):
        arguments = arguments[2:] if arguments[0] in {"-W", "-X"} else arguments[1:]
    if arguments and arguments[0] in {"-V", "--version"}:
        print("Python", sys.version.partition(" ")[0])  # noqa: T201 - it is the command's answer
        return
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    if not arguments or arguments[0] == "-":
        sys.argv = ["-", *arguments[1:]]
        sys.path.insert(0, "")
        _execute(sys.stdin.read(), "<stdin>", module)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path.insert(0, "")
        _execute(arguments[1], "<string>", module)
    elif arguments[0] == "-m":
        import runpy  # noqa: PLC0415 - 5 ms, seldom needed

        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0].startswith("-"):
        sys.exit(f"python3: the simulated host does not know the option {arguments[0]}")
    else:
        _run_script(arguments, module)


def _run_script(arguments: list[str], module: ModuleType) -> None:
    sys.argv = arguments
    script = arguments[0]
    try:
        with open(script, "rb") as file:  # noqa: PTH123 - start fast
            text = file.read()
    except OSError as error:
        sys.stderr.write(f"python3: can't open file {script!r}: [Errno {error.errno}] {error.strerror}\n")
        sys.exit(2)
    module.__dict__["__file__"] = script
    sys.path.insert(0, os.path.dirname(script))  # noqa: PTH120 - modules beside the script
    _execute(text, script, module)


def _execute(text: str | bytes, name: str, module: ModuleType) -> None:
    exec(compile(text, name, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - running code is what python3 is for
