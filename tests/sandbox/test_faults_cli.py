"""The commands `runbook sandbox fault ...`, as an operator on a game day uses them."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib.cli import main
from runbook_lib.journal import Journal
from runbook_lib.sandbox.faults_catalog import FAULTS

RUNBOOK = Path(sys.executable).with_name("runbook")


@pytest.fixture
def fault(sandbox):
    """Return a function that calls `runbook sandbox fault ...` in this process; afterwards every fault is cleared."""

    def call(*words):
        return CliRunner().invoke(main, ["sandbox", "fault", *words, "--state", str(sandbox.state_dir)])

    yield call
    sandbox.control("DELETE", "/_sandbox/faults")


@pytest.fixture
def journal(tmp_path):
    """Return the journal of a run in an archive."""
    return Journal(tmp_path / "runs" / "20260101T000000Z-books-0001", lambda: datetime.now(UTC))


def step(journal, step_id, status):
    """Write what `perform` writes when a step begins or ends."""
    journal.append("step", step_id=step_id, status=status)


@pytest.fixture
def follow(sandbox, journal):
    """Return a function that begins `fault add ... --at-step` as a process and returns it when it waits."""
    processes = []

    def begin(*words):
        command = [str(RUNBOOK), "sandbox", "fault", "add", *words, "--state", str(sandbox.state_dir)]
        process = subprocess.Popen(
            [*command, "-d", str(journal.folder.parent)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        processes.append(process)
        return process, process.stdout.readline()

    yield begin
    for process in processes:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()
    sandbox.control("DELETE", "/_sandbox/faults")


def on(sandbox):
    """Return the faults that are on."""
    return sandbox.control("GET", "/_sandbox/faults")["on"]


def test_a_fault_is_added_listed_and_cleared(fault, sandbox):
    """Each command says what it did and how to go on; the list shows what each fault does."""
    added = fault("add", "throttle", "--operation", "DescribeVpcs", "--count", "2")
    assert added.output.startswith("fault 1 is on: throttle\n  calls answer RequestLimitExceeded")
    assert "runbook sandbox fault clear 1" in added.output
    listed = fault("list").output
    assert "throttle (DescribeVpcs)  on" in " ".join(listed.split(" ")).replace("   ", "  ")
    assert "0 of 2" in listed
    cleared = fault("clear", "1")
    assert (cleared.output, on(sandbox)) == ("cleared 1: throttle\n", [])


def test_the_list_describes_every_fault_there_is(fault):
    """Without a fault on, the list names all of them with target and count."""
    listed = fault("list").output
    assert listed.startswith("no fault was switched on\n")
    assert [kind.name for kind in FAULTS.values() if kind.described not in listed] == []


def test_all_faults_are_cleared_at_once(fault, sandbox):
    """Clear without a number clears everything, and says so when there is nothing."""
    fault("add", "capacity")
    fault("add", "snapshot-error", "--trigger", "now")
    assert fault("clear").output.count("cleared ") == 2
    assert fault("clear", "all").output == "there was no fault to clear\n"


def test_options_of_the_command_reach_the_fault(fault, sandbox):
    """Every option is in the fault that the sandbox keeps."""
    words = ["--operation", "AttachVolume", "--code", "IncorrectState", "--count", "3", "--after-calls", "5"]
    shown = fault("add", "api-error", "--target", "vol-1", *words).output
    assert "waits for its calls" in shown
    (kept,) = on(sandbox)
    facts = {name: kept[name] for name in ("operation", "code", "times", "after_calls", "target", "state")}
    assert facts == {
        "operation": "AttachVolume",
        "code": "IncorrectState",
        "times": 3,
        "after_calls": 5,
        "target": "vol-1",
        "state": "waiting",
    }


REFUSED = {
    "an unknown fault": (["add", "stuck-detatch"], "did you mean stuck-detach"),
    "a host that is not there": (["add", "kill-host", "--target", "i-0123456789abcdef0"], "no instance id"),
    "a missing target": (["add", "plugin-disabled"], "needs --target"),
    "an unknown number": (["clear", "99"], "no fault number 99"),
    "an unknown run": (["add", "capacity", "--at-step", "detach-volume", "--run-id", "nowhere"], "no run 'nowhere'"),
    "an unknown fault at a step": (["add", "nonsense", "--at-step", "detach-volume"], "no fault 'nonsense'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_ends_with_3(fault, sandbox, case):
    """The error names what is wrong; no fault is on."""
    words, message = REFUSED[case]
    ended = fault(*words)
    assert (ended.exit_code, message in ended.stderr, on(sandbox)) == (3, True, []), ended.output


def test_without_a_sandbox_there_is_no_fault(tmp_path):
    """The error says how to start one."""
    ended = CliRunner().invoke(main, ["sandbox", "fault", "list", "--state", str(tmp_path / "none")])
    assert (ended.exit_code, "`runbook sandbox up` starts one" in ended.stderr) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        ["capacity", "--after-calls", "1", "--at-step", "x"],
        ["capacity", "--trigger", "now", "--after-calls", "1"],
        ["capacity", "--run-id", "x"],
    ],
)
def test_triggers_that_contradict_each_other_are_refused(fault, words):
    """One trigger at a time."""
    assert fault("add", *words).exit_code == 2


def test_a_fault_begins_when_a_run_comes_to_its_step(sandbox, journal, follow, wait_until):
    """Steps that ran before, other steps and other states do not count; the running line of the step does."""
    step(journal, "detach-volume", "running")
    process, said = follow("capacity", "--at-step", "detach-volume")
    assert said.startswith("waiting until the runs in ")
    step(journal, "detach-volume", "failed")
    step(journal, "stop-source-service", "running")
    assert (process.poll(), on(sandbox)) == (None, [])
    step(journal, "detach-volume", "running")
    output, _none = process.communicate(timeout=30)
    assert output.startswith("fault ")
    assert [one["note"] for one in on(sandbox)] == [f"at step detach-volume of {journal.run_id}"]
    assert process.returncode == 0


def test_a_run_that_begins_later_is_followed_too(sandbox, journal, follow):
    """Without a run id any run of the archive may come to the step, also one that is opened afterwards."""
    process, _said = follow("capacity", "--at-step", "detach-volume")
    later = Journal(journal.folder.parent / "20260101T000001Z-books-0002", lambda: datetime.now(UTC))
    step(later, "detach-volume", "running")
    process.communicate(timeout=30)
    assert [one["note"] for one in on(sandbox)] == [f"at step detach-volume of {later.run_id}"]


def test_the_archive_is_the_one_of_the_sandbox_s_parameters(sandbox, fault):
    """Without a directory the command looks where runs of this sandbox are recorded."""
    archive = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))["migration"]["archive"]["directory"]
    ended = fault("add", "capacity", "--at-step", "detach-volume", "--run-id", "nowhere")
    assert (ended.exit_code, f"no run 'nowhere' in {archive}" in ended.stderr) == (3, True)


def test_an_interrupted_wait_leaves_nothing_behind(sandbox, journal, follow):
    """Ctrl-C ends the command; the step that comes later sets nothing off."""
    process, _said = follow("capacity", "--at-step", "detach-volume")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    step(journal, "detach-volume", "running")
    assert (process.returncode != 0, on(sandbox)) == (True, [])


def test_a_sandbox_that_ends_during_the_wait_is_said(start_sandbox, journal):
    """When the step comes and the sandbox is gone, the command says so and ends with 3."""
    gone = start_sandbox("none")
    words = ["capacity", "--at-step", "detach-volume", "-d", str(journal.folder.parent)]
    command = [str(RUNBOOK), "sandbox", "fault", "add", *words, "--state", str(gone.state_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout.readline().startswith("waiting")
    gone.stop()
    step(journal, "detach-volume", "running")
    output, _none = process.communicate(timeout=30)
    assert (process.returncode, "does not answer" in output) == (3, True)


def test_with_a_run_id_other_runs_do_not_count(sandbox, journal, follow):
    """Only the named run sets the fault off."""
    other = Journal(journal.folder.parent / "20260101T000001Z-books-0002", lambda: datetime.now(UTC))
    step(journal, "inspect-source", "succeeded")
    process, said = follow("capacity", "--at-step", "detach-volume", "--run-id", journal.run_id)
    assert journal.run_id in said
    step(other, "detach-volume", "running")
    step(journal, "detach-volume", "running")
    process.communicate(timeout=30)
    assert [one["note"] for one in on(sandbox)] == [f"at step detach-volume of {journal.run_id}"]


def test_the_status_names_the_hosts_and_what_runs_on_them(sandbox):
    """An operator finds the target of a fault in `runbook sandbox status`."""
    (instance_id,) = sandbox.control("GET", "/_sandbox/status")["hosts"]
    shown = CliRunner().invoke(main, ["sandbox", "status", "--state", str(sandbox.state_dir)]).output
    assert f"host        {instance_id} up, runs guestbook-guestbook-1" in shown
