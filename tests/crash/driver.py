"""Perform the steps of notebooks as their cells do, and strike one of them.

A server that forks one process for each request, so that hundreds of them need not import everything anew: one JSON
object a line comes in (`parameters_file, run_id, notebooks, step_id, strike, until, hold, passed_over, prepared,
own_provider, output`), one with the `exit_code` goes out.
The forked process leads a process group of its own: being killed there is being killed, nothing is caught or flushed.
"""

from __future__ import annotations

import atexit
import dataclasses
import gc
import importlib
import json
import os
import pkgutil
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import jinja2

import runbook_lib
from runbook_lib import host_scripts, procedures, report, storage
from runbook_lib.adapters import host
from runbook_lib.adapters.aws import Aws
from runbook_lib.adapters.terraform import Terraform
from runbook_lib.errors import AwsError, RunbookError, TerraformError
from runbook_lib.journal import Journal
from runbook_lib.model import Check
from runbook_lib.procedures import storage_drivers
from runbook_lib.run_digests import library_digest
from runbook_lib.steps import Step, perform

READS = re.compile(r"^(describe|get|list|batch_get|lookup|head)_")  # operations as `Aws.call` names them
NUMBER = re.compile(r"^\d+_")
PREPARING = ("provision-storage-driver", "provision-host-image", "provision-instance-type", "register-image")
INTO_APPLY_S = 4.0  # long enough that Terraform has begun with the first resources


def serve() -> None:
    """Answer requests until standard input ends."""
    share_what_botocore_reads()
    read_the_library()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(be_driven(request))
        status = os.waitpid(child, 0)[1]
        print(json.dumps({"exit_code": os.waitstatus_to_exitcode(status)}), flush=True)


def share_what_botocore_reads() -> None:
    """Let every session read API descriptions through one loader, which keeps what it has read."""
    loader = botocore.loaders.Loader()
    botocore.loaders.create_loader = lambda *_arguments: loader
    botocore.session.create_loader = lambda *_arguments: loader
    session = boto3.Session(region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    for service in ("autoscaling", "ec2", "ecs", "ssm", "sts"):
        session.client(service)


def compile_templates_once() -> None:
    """Let every environment share what was compiled of a template, and compile those of the report."""
    compile_one = jinja2.Environment.compile
    kept: dict[Any, Any] = {}

    def compiling(environment: Any, source: Any, name: Any = None, *rest: Any) -> Any:
        key = (source, environment.autoescape)
        if key not in kept:
            kept[key] = compile_one(environment, source, name, *rest)
        return kept[key]

    jinja2.Environment.compile = compiling  # type: ignore[method-assign, assignment]
    written = report.build_report([], "none")
    report.render_html(written)
    report.render_markdown(written)


def let_the_plan_validate() -> None:
    """Leave the root module's validation to the plan, which does it too: by itself it takes Terraform a second."""
    Terraform.validate = lambda _terraform: None  # type: ignore[method-assign]


def found_prepared(step: Step, outputs: Mapping[str, Any]) -> Step:
    """Return a step that prepares a change with Terraform as it goes when Terraform's part was done by hand.

    Args:
        step: The step.
        outputs: What Terraform would put out.
    """
    names = {"task_definition_arn": outputs["task_definition_arn"], "group": outputs["autoscaling_group_name"]}
    Terraform.output_json = lambda _terraform: dict(outputs)  # type: ignore[method-assign]

    def observe(run: Any) -> dict[str, Any]:
        known = run.journal.last("evidence", name=storage_drivers.CHANGE)
        return {"known": known is not None, "drivers": storage_drivers.observe_drivers(run)}

    return dataclasses.replace(
        step,
        observe=observe,
        plan=lambda _facts: "Done by hand.",
        is_done=lambda facts: bool(facts["known"]),
        check=lambda _facts: (),
        act=lambda run, _before: run.keep_evidence(storage_drivers.CHANGE, names),
        verify=lambda _before, after: (Check("kept", passed=after["known"], expected="kept", observed=""),),
    )


def read_the_library() -> None:
    """Import and read once what every forked process would import and read anew."""
    compile_templates_once()
    let_the_plan_validate()
    for name in ("run", "report_outage_picture", "report_data_picture", "report_holders_picture"):
        importlib.import_module(f"runbook_lib.{name}")  # Matplotlib too: a second of each command with a report
    for package in (procedures, storage):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    library_digest()
    for name in host_scripts.names():
        host._source(name)
    gc.collect()
    gc.freeze()  # what was read stays shared with the forked processes: their collector does not write to it


def procedure(notebook: str) -> Any:
    """Return the module of a notebook: its name without the number."""
    return importlib.import_module(f"runbook_lib.procedures.{NUMBER.sub('', notebook)}")


def be_driven(request: Mapping[str, Any]) -> int:
    """Perform what was asked for, as the leader of a new process group; return the exit code."""
    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    try:
        return perform_all(request)
    except BaseException:  # noqa: BLE001 - a defect: the test shows its traceback
        traceback.print_exc()
        return 1
    finally:
        atexit._run_exitfuncs()  # `os._exit` does not: whoever ends in order gives the volume back
        sys.stdout.flush()
        sys.stderr.flush()


def perform_all(request: Mapping[str, Any]) -> int:
    """Perform every step of the notebooks; return the exit code that `runbook run` would end with."""
    try:
        run = runbook_lib.open_run(request["parameters_file"], run_id=request["run_id"], execute=True, reason="test")
        if request.get("hold"):  # as `runbook run --hold-before-cutover` asks for it
            run.journal.append("hold", phase="requested", how="test", operator="test", reason="")
        if request["own_provider"]:
            os.environ.pop("RUNBOOK_TERRAFORM", None)
        for notebook in request["notebooks"]:
            for step in procedure(notebook).STEPS:
                if step.step_id in request["passed_over"]:
                    continue
                if step.step_id in PREPARING and request["prepared"]:
                    step = found_prepared(step, request["prepared"])  # noqa: PLW2901
                perform(struck(step, request["strike"]) if step.step_id == request["step_id"] else step, run)
                if step.step_id == request["until"]:
                    break
        runbook_lib.close_run(run)
    except RunbookError as error:
        print(error)
        return error.exit_code
    return 0


def struck(step: Step, strike: str) -> Step:
    """Return the step as it goes when it is struck."""
    act = step.act
    assert act is not None, f"{step.step_id} changes nothing"
    if strike == "killed before the act":
        return dataclasses.replace(step, act=lambda _run, _before: die())
    if strike == "killed in the act":
        return dataclasses.replace(step, act=with_call(act, after=die, end=die))
    if strike == "killed after the act":
        die_at_the_end(step)
        return step
    if strike == "refused by AWS":
        return dataclasses.replace(step, act=with_call(act, instead=refuse))
    if strike == "no answer from AWS":
        return dataclasses.replace(step, act=with_call(act, after=lose_answer))
    if strike == "never verified":
        wrong = Check("struck", passed=False, expected="the world as the step wants it", observed="something else")
        return dataclasses.replace(step, verify=lambda _before, _after: (wrong,), timeout_s=0.0)
    raise ValueError(strike)


def die() -> None:
    """Kill the whole process group, this process included."""
    os.killpg(0, signal.SIGKILL)
    threading.Event().wait()  # a signal to oneself may take a moment


def die_at_the_end(step: Step) -> None:
    """Die when the act is done and verified, just before the journal says so."""
    append = Journal.append

    def dying(journal: Journal, kind: str, /, **fields: Any) -> Any:
        if (kind, fields.get("step_id"), fields.get("status")) == ("step", step.step_id, "succeeded"):
            die()
        return append(journal, kind, **fields)

    Journal.append = dying  # type: ignore[method-assign]


def refuse(operation: str) -> None:
    """Answer as AWS does when it does nothing."""
    if operation == "apply":
        raise TerraformError("apply", ["UnauthorizedOperation: struck by the test"])
    raise AwsError(operation, "UnauthorizedOperation", "struck by the test")


def lose_answer(operation: str) -> None:
    """Let the answer get lost: what was asked for has happened, or is happening, and nobody knows."""
    if operation == "apply":
        raise TerraformError("apply", ["the connection broke: struck by the test"])
    raise AwsError(operation, "ReadTimeoutError", "struck by the test")


def nothing(*_operation: str) -> None:
    """Let it be."""


def with_call(
    act: Callable[..., None],
    *,
    instead: Callable[[str], None] = nothing,
    after: Callable[..., None] = nothing,
    end: Callable[[], None] = nothing,
) -> Callable[..., None]:
    """Return the act with its first mutating call struck: not made, or made and what follows it lost.

    An act that only writes the record makes no such call; it is struck when it has written.
    """

    def acting(run: Any, before: Any) -> None:
        call, apply = Aws.call, Terraform.apply
        struck_already = threading.Event()

        def calling(aws: Aws, service: str, operation: str, /, **arguments: Any) -> Any:
            if READS.match(operation) or struck_already.is_set():
                return call(aws, service, operation, **arguments)
            struck_already.set()
            instead(operation)
            answer = call(aws, service, operation, **arguments)
            strike_after(operation)
            return answer

        def applying(terraform: Terraform, plan_path: Any) -> Any:
            struck_already.set()
            instead("apply")
            if after is die:
                threading.Timer(INTO_APPLY_S, die).start()
            answer = apply(terraform, plan_path)
            strike_after("apply")
            return answer

        def strike_after(operation: str) -> None:
            die() if after is die else after(operation)

        Aws.call, Terraform.apply = calling, applying  # type: ignore[method-assign]
        try:
            act(run, before)
        finally:
            Aws.call, Terraform.apply = call, apply  # type: ignore[method-assign]
        if not struck_already.is_set():
            instead("no call")
            strike_after("no call")
        end()

    return acting


if __name__ == "__main__":
    serve()
