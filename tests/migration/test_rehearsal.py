"""The rehearsal: everything removed again, production untouched, however it ends; and what its forecast decides."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

import runbook_lib
from runbook_lib.errors import CheckError, VerificationError
from runbook_lib.procedures import (
    cut_over_volume,
    inspect_source,
    provision_target,
    rehearse_on_clone,
    snapshot_volume,
)
from runbook_lib.steps import perform
from tests import nursery
from tests.conftest import RunningSandbox
from tests.migration.conftest import RUNBOOK, mutating_calls, report_of
from tests.world_picture import unchanged

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(600)]
NEEDED = ("inspect-filesystem", "map-container", "create-hot-snapshot", "complete-hot-snapshot")
CHECK, TAG = "check-rehearsal", "runbook-rehearsal"
rehearsed = pytest.mark.drivers("rexray")
"""host_mount knows the data volume only, and cannot mount a clone beside it."""


@pytest.fixture(scope="module")
def sandbox(driver, tmp_path_factory):
    """Return a sandbox whose target is provisioned, shared by the tests of this module."""
    running = RunningSandbox(nursery.start(tmp_path_factory.mktemp("sandbox"), latency="fast"), driver)
    file = write_parameters(running, tmp_path_factory.mktemp("provision"))
    with opened(file) as run:
        for step in provision_target.STEPS:
            perform(step, run)
    yield running
    running.stop()


def write_parameters(sandbox, folder, **policy):
    """Write the sandbox's parameters with an archive of their own and another policy."""
    document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs")}
    document["migration"]["policy"] |= policy
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


@contextmanager
def opened(file, run_id=""):
    """Open a run that executes, as a notebook does; close it whatever happens."""
    run = runbook_lib.open_run(str(file), run_id=run_id, reason="test", execute=True)
    try:
        yield run
    finally:
        runbook_lib.close_run(run)


@contextmanager
def begun(sandbox, folder, **policy):
    """Open a run that has what a rehearsal and a cutover need."""
    with opened(write_parameters(sandbox, folder, **policy)) as run:
        for step in (*inspect_source.STEPS, *provision_target.STEPS, *snapshot_volume.STEPS):
            if step.step_id in NEEDED:
                perform(step, run)
        yield run


def rehearse(run):
    """Perform the whole notebook; return how each step ended."""
    return {step.step_id: perform(step, run).status.value for step in rehearse_on_clone.STEPS}


def left_behind(sandbox):
    """Return every clone, live stand-alone task and active task definition of a rehearsal."""
    ec2, ecs = sandbox.client("ec2"), sandbox.client("ecs")
    clones = ec2.describe_volumes(Filters=[{"Name": "tag-key", "Values": [TAG]}])["Volumes"]
    definitions = ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"]
    tasks = ecs.list_tasks(cluster="guestbook")["taskArns"]
    return [v["VolumeId"] for v in clones], [d for d in definitions if "rehearsal" in d], tasks


NOTHING = ([], [], [])


def data_volume(sandbox, run):
    """Return the data volume as EC2 describes it."""
    (volume,) = sandbox.client("ec2").describe_volumes(VolumeIds=[run.parameters.volume.volume_id])["Volumes"]
    return volume


def our_calls(sandbox):
    """Return the calls that changed something, but for those of volume plugins, which go on with what they began."""
    return [call for call in mutating_calls(sandbox) if call["access_key_id"] != "AKIASANDBOXHOST00000"]


def may(sandbox, action, volume_id):
    """Return whether the container instances' role may do something to a volume."""
    answer = sandbox.client("iam").simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::012345678901:role/guestbook-instance",
        ActionNames=[action],
        ResourceArns=[f"arn:aws:ec2:us-east-1:012345678901:volume/{volume_id}"],
    )
    return answer["EvaluationResults"][0]["EvalDecision"] == "allowed"


@rehearsed
def test_a_rehearsal_proves_the_cutover_and_leaves_nothing(sandbox, tmp_path):
    """The task saw the clone, its data were the source's, production is as it was, and a second time does nothing."""
    with begun(sandbox, tmp_path) as run:
        volume = data_volume(sandbox, run)
        assert set(rehearse(run).values()) == {"succeeded"}
        assert left_behind(sandbox) == NOTHING
        assert data_volume(sandbox, run) == volume
        compared = run.journal.last("rehearsal", phase="compared").fields
        assert (compared["identical"], compared["compared"] > 10) == (True, True)
        assert "guestbook.db" in compared["not_compared"]  # the client writes all the time: nobody knows its content
        forecast = run.journal.last("forecast").fields
        assert 0 < forecast["total_s"] <= forecast["budget_s"]
        steps = [e.fields for e in run.journal.find("step", status="succeeded")]

        before = our_calls(sandbox)
        assert set(rehearse(run).values()) == {"skipped"}
        assert our_calls(sandbox) == before
    passed = {check["check_id"] for step in steps for check in step["checks"] if check["passed"]}
    assert {"production-untouched", "volume-is-this-one", "filesystem-is-this-one", "root-of-filesystem"} <= passed
    assert {"service-answers", "no-users", "clone-identical", "clone-has-another-name"} <= passed
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0


@rehearsed
def test_the_role_can_move_a_clone_and_nothing_else(sandbox, tmp_path):
    """By its tag, which it cannot set, the hosts' role may attach and detach a clone; never delete it."""
    ec2 = sandbox.client("ec2")
    volume_id = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    try:
        assert not may(sandbox, "ec2:AttachVolume", volume_id)
        ec2.create_tags(Resources=[volume_id], Tags=[{"Key": TAG, "Value": "another-cluster"}])
        assert not may(sandbox, "ec2:AttachVolume", volume_id)
        ec2.create_tags(Resources=[volume_id], Tags=[{"Key": TAG, "Value": "guestbook"}])
        allowed = {
            action
            for action in ("Attach", "Detach", "Delete", "Modify")
            if may(sandbox, f"ec2:{action}Volume", volume_id)
        }
        assert allowed == {"Attach", "Detach"}
        assert not may(sandbox, "ec2:CreateTags", volume_id)

        with begun(sandbox, tmp_path) as run:
            before = our_calls(sandbox)
            with pytest.raises(CheckError, match="no-other-rehearsal"):
                perform(rehearse_on_clone.STEPS[0], run)
            assert our_calls(sandbox) == before
    finally:
        ec2.delete_volume(VolumeId=volume_id)


@rehearsed
def test_a_rehearsal_of_a_restored_snapshot(sandbox, tmp_path):
    """Where there are no volume copies, the hot snapshot is restored; what is younger than it is not compared."""
    with begun(sandbox, tmp_path, rollback_point="snapshot") as run:
        assert set(rehearse(run).values()) == {"succeeded"}
        cloned = run.journal.last("rehearsal", phase="cloned").fields
        assert (cloned["made_by"], cloned["snapshot_id"].startswith("snap-")) == ("snapshot", True)
        assert run.journal.last("rehearsal", phase="compared").fields["identical"]
    assert left_behind(sandbox) == NOTHING


@rehearsed
def test_a_task_that_cannot_start_is_cleaned_up_after(sandbox, tmp_path):
    """The plugin cannot attach the clone: the rehearsal fails, removes what it made, and refuses the cutover."""
    with begun(sandbox, tmp_path) as run:
        fault = sandbox.control("POST", "/_sandbox/faults", {"name": "wrong-az"})
        try:
            with pytest.raises(VerificationError, match="the task stopped"):
                rehearse(run)
        finally:
            sandbox.control("DELETE", f"/_sandbox/faults/{fault['number']}")
        assert left_behind(sandbox) == NOTHING
        before = our_calls(sandbox)
        with pytest.raises(CheckError, match="forecast-within-budget"):
            perform(cut_over_volume.STEPS[0], run)
        assert our_calls(sandbox) == before

        assert set(rehearse(run).values()) == {"succeeded"}
        assert perform(cut_over_volume.STEPS[0], run).status.value == "succeeded"


@rehearsed
@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("cloned", marks=pytest.mark.thorough),
        "requested",
        pytest.param("stopping", marks=pytest.mark.thorough),
    ],
)
def test_a_killed_rehearsal_is_cleaned_up_by_the_next(sandbox, tmp_path, wait_until, phase):
    """Killed with a clone, with a task, or while it stops: the cutover refuses, a second rehearsal begins anew."""
    with begun(sandbox, tmp_path) as run:
        run_id, folder = run.run_id, run.journal.folder
    file = folder / "parameters.yaml"
    command = [str(RUNBOOK), "run", "25", "-f", str(file), "--execute", "--run-id", run_id]
    rehearsal = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True
    )
    wanted = f'"phase":"{phase}"'
    try:
        wait_until(
            lambda: rehearsal.poll() is not None or wanted in (folder / "journal.jsonl").read_text("utf-8"),
            f"the rehearsal is {phase}",
            timeout_s=120,
        )
    finally:
        with suppress(ProcessLookupError):
            os.killpg(rehearsal.pid, signal.SIGKILL)
        rehearsal.wait(timeout=30)
    assert left_behind(sandbox)[0]
    with opened(file, run_id) as run:
        volume = data_volume(sandbox, run)
        with unchanged(sandbox), pytest.raises(CheckError, match="no-rehearsal-left"):
            perform(cut_over_volume.STEPS[0], run)
        assert rehearse(run)["forecast-outage"] == "succeeded"
        assert data_volume(sandbox, run) == volume
    assert left_behind(sandbox) == NOTHING
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0


@rehearsed
def test_a_forecast_above_the_budget_refuses_the_cutover(sandbox, tmp_path):
    """Both the rehearsal's end and the cutover's beginning refuse, name the parts, and change nothing."""
    with begun(sandbox, tmp_path, outage_budget_s=1) as run:
        with pytest.raises(CheckError, match="start-target-service") as caught:
            rehearse(run)
        assert "production-untouched" not in str(caught.value)
        assert left_behind(sandbox) == NOTHING
        with unchanged(sandbox), pytest.raises(CheckError, match="forecast") as refused:
            perform(cut_over_volume.STEPS[0], run)
        assert refused.value.exit_code == 3
        assert "policy.outage_budget_s" in str(refused.value)


@rehearsed
def test_a_policy_can_require_the_rehearsal(sandbox, tmp_path):
    """Without a rehearsal the cutover refuses where the policy asks for one."""
    refused = pytest.raises(CheckError, match="not rehearsed")
    with begun(sandbox, tmp_path, require_rehearsal=True) as run, unchanged(sandbox), refused:
        perform(cut_over_volume.STEPS[0], run)


@contextmanager
def taken_port(sandbox, wait_until):
    """Let a task of somebody else hold the service's port, so that ECS finds no place for the service."""
    ecs = sandbox.client("ecs")
    (service,) = ecs.describe_services(cluster="guestbook", services=["guestbook"])["services"]
    own = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    container = {
        "name": "squatter",
        "image": own["containerDefinitions"][0]["image"],
        "memory": 64,
        "portMappings": [{"containerPort": 9, "hostPort": 8080}],  # nobody answers there
    }
    ecs.register_task_definition(family="squatter", containerDefinitions=[container])
    (task,) = ecs.run_task(cluster="guestbook", taskDefinition="squatter", launchType="EC2")["tasks"]
    arn = task["taskArn"]

    def status():
        return ecs.describe_tasks(cluster="guestbook", tasks=[arn])["tasks"][0]["lastStatus"]

    wait_until(lambda: status() == "RUNNING", "the port is taken")
    try:
        yield
    finally:
        ecs.stop_task(cluster="guestbook", task=arn)
        wait_until(lambda: status() == "STOPPED", "the port is free")


def test_a_start_that_takes_too_long_goes_back_by_itself(sandbox, tmp_path, wait_until):
    """The budget breaks: compose runs again on the same volume with every acknowledged write, also after a kill."""
    with begun(sandbox, tmp_path, outage_budget_s=20) as run:
        run_id, folder, attached = run.run_id, run.journal.folder, data_volume(sandbox, run)["Attachments"]
    file = folder / "parameters.yaml"
    with taken_port(sandbox, wait_until):
        command = [str(RUNBOOK), "run", "30", "-f", str(file), "--execute", "--run-id", run_id]
        cutover = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_until(
                lambda: (
                    cutover.poll() is not None or '"outage-budget"' in (folder / "journal.jsonl").read_text("utf-8")
                ),
                "the budget breaks",
                timeout_s=120,
            )
        finally:
            with suppress(ProcessLookupError):
                os.killpg(cutover.pid, signal.SIGKILL)
            cutover.wait(timeout=30)

        again = subprocess.run(
            [str(RUNBOOK), "resume", run_id, "--directory", str(folder.parent)],
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    assert again.returncode == 4, again.stdout + again.stderr
    report = report_of(folder)
    assert (report["status"], report["budget_decision"]["decision"]) == ("rolled_back", "roll_back")
    assert "so the run took the service back to the source by itself" in " ".join(again.stdout.split())
    assert sandbox.control("GET", "/_sandbox/client")["missing"] == 0
    with opened(file, run_id) as run:
        now = data_volume(sandbox, run)["Attachments"]
        assert [(a["InstanceId"], a["Device"]) for a in now] == [(a["InstanceId"], a["Device"]) for a in attached]
        last = sandbox.control("GET", "/_sandbox/client")["acknowledged"]
        wait_until(lambda: sandbox.control("GET", "/_sandbox/client")["acknowledged"] > last, "compose serves again")


@pytest.mark.drivers("host_mount")  # last, so that the tests of each driver share one sandbox
def test_what_cannot_be_rehearsed_is_skipped(sandbox, tmp_path):
    """Without a volume plugin nothing is made, the record says why, and the cutover may begin without a forecast."""
    with begun(sandbox, tmp_path) as run, unchanged(sandbox):
        statuses = rehearse(run)
        assert statuses.pop(CHECK) == "succeeded"
        assert set(statuses.values()) == {"skipped"}
        assert left_behind(sandbox) == NOTHING
        (step,) = [e.fields for e in run.journal.find("step", status="succeeded") if e.fields["step_id"] == CHECK]
        (check,) = [one for one in step["checks"] if one["check_id"] == "rehearsal-possible"]
        assert "not possible" in check["observed"]
        assert run.journal.last("forecast") is None
        assert perform(cut_over_volume.STEPS[0], run).status.value == "succeeded"
