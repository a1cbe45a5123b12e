"""Run commands of `runbook` as a user does, each as a process group of its own that can be struck, paused and killed.

A server that forks one process for each command, so that a sequence of commands need not import everything anew. One
JSON object a line comes in and one goes out: `{"argv": [...], "output": ..., "step_id": ..., "strike": ...}` begins a
command and answers its `pid`; `{"wait": pid}` answers its `exit_code`, negative for a signal. All of the command line
is real but for Papermill and its kernel: a notebook's cells run in the command's own process, because a kernel takes
longer to start than most steps take.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbook_lib import cli, execute, lease, steps
from runbook_lib.adapters.host import Host
from runbook_lib.engine_client import CellFailedError
from runbook_lib.steps import Step
from tests.crash import driver as crash

PAUSED = "paused before the act"
_MORE_THAN_ASKED_S = 30
"""`Host` waits so much longer than the script may run."""


def serve() -> None:
    """Answer requests until standard input ends."""
    crash.share_what_botocore_reads()
    for name in ("archive", "cli_archive", "cli_recovery", "cli_runs", "execute_names"):
        importlib.import_module(f"runbook_lib.{name}")
    crash.read_the_library()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            status = os.waitpid(request["wait"], 0)[1]
            answer = {"exit_code": os.waitstatus_to_exitcode(status)}
        else:
            child = os.fork()
            if child == 0:
                os._exit(run_command(request))
            answer = {"pid": child}
        print(json.dumps(answer), flush=True)  # noqa: T201 - a program: it prints what its caller reads


def run_command(request: Mapping[str, Any]) -> int:
    """Run one command as the leader of a new process group; return its exit code."""
    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    prepare(request)
    try:
        cli.main(args=request["argv"], prog_name="runbook")
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - a defect: the test shows its traceback
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def prepare(request: Mapping[str, Any]) -> None:
    """Replace the kernel by this process, wait for nothing longer than asked, and strike the step that was named."""
    execute._run_papermill = run_cells  # type: ignore[assignment]
    perform, wait, most_s = steps.perform, Host._wait, request["patience_s"]

    def performing(step: Step, run: Any) -> Any:
        step = dataclasses.replace(step, timeout_s=min(step.timeout_s, most_s))
        if step.step_id == request["step_id"] and step.act is not None:
            is_paused = request["strike"] == PAUSED
            step = paused(step, request["output"]) if is_paused else crash.struck(step, request["strike"])
        return perform(step, run)

    def waiting(host: Host, script: str, command_id: str, timeout_s: int) -> Any:
        return wait(host, script, command_id, min(timeout_s, most_s - _MORE_THAN_ASKED_S))

    steps.perform, Host._wait = performing, waiting  # type: ignore[assignment, method-assign]


def paused(step: Step, output: str) -> Step:
    """Return the step with an act that says it is about to begin, and waits until it may."""

    def acting(run: Any, before: Any) -> None:
        Path(f"{output}.paused").touch()
        while not Path(f"{output}.go").exists():
            threading.Event().wait(0.02)
        assert step.act is not None
        step.act(run, before)

    return dataclasses.replace(step, act=acting)


def run_cells(path: Path, _output: Path, values: Mapping[str, Any], **_engine: Any) -> None:
    """Run a notebook's code cells in this process, its parameters replaced as Papermill does; then let go as a kernel.

    Raises:
        CellFailedError: when a cell raised; as the engine tells it.
    """
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(Path(path).read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    try:
        for cell in cells:
            run_cell(cell, names)
            if "parameters" in cell["metadata"].get("tags", ()):
                names.update(values)
    finally:
        for held in list(lease._HELD.values()):  # an ending kernel gives the volume back
            held.release()


def run_cell(cell: Mapping[str, Any], names: dict[str, Any]) -> None:
    """Run one cell; an error is told as the engine tells it, with its class's name."""
    try:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)  # noqa: S102 - the repository's own notebook
    except Exception as error:
        if type(error).__module__ != "runbook_lib.errors":
            traceback.print_exc()  # a defect, or a foreign error that no adapter mapped
        raise CellFailedError(cell["id"], str(error), type(error).__name__) from error


if __name__ == "__main__":
    serve()
