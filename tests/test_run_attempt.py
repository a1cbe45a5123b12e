"""Ending an attempt: the processes that the journal names, only these, and only while they are what it names."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from runbook_lib import run_attempt
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal
from runbook_lib.lease_record import process_start, this_machine
from runbook_lib.run_attempt import end_attempt, find_processes, note_runner

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
IGNORES = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN); "
NOTES = """
import sys, time
from pathlib import Path
from datetime import datetime, UTC
from runbook_lib.journal import Journal
journal = Journal(Path(sys.argv[1]), lambda: datetime.now(UTC))
journal.append("step", step_id="detach-volume", notebook="30", status="running")
print("up", flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    journal.append("step", step_id="detach-volume", notebook="30", status="failed")
    time.sleep(600)
"""


class QuickClock:
    """A clock on which five seconds pass in a moment."""

    def __init__(self):
        self.time_s = 0.0

    def monotonic(self):
        return self.time_s

    def sleep(self, _seconds):
        time.sleep(0.02)
        self.time_s += 5


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "20260101T000000Z-guestbook-0001", lambda: datetime.now(UTC))


@pytest.fixture
def start(journal):
    """Return a function that starts a program as the run's runner or kernel; none outlives the test."""
    started = []

    def start(program, role="runner", *, ticks=0, machine=""):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(journal.folder)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "up\n"
        facts = {
            "host": "here",
            "machine": machine or this_machine(),
            "pid": process.pid,
            "process_start": process_start(process.pid) + ticks,
        }
        if role == "runner":
            journal.append("runner", **facts)
        else:
            journal.append("lease", phase="acquired", holder=facts | {"run_id": journal.run_id})
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def end(journal):
    return end_attempt(journal, QuickClock(), operator="ops@host", reason="CHG-1")


def test_nothing_runs(journal):
    """Where nothing was noted nothing is ended, and the record says that somebody wanted it."""
    assert end(journal) == []
    assert journal.last("panic").fields == {"operator": "ops@host", "reason": "CHG-1", "processes": []}


def test_a_runner_is_asked_to_end(journal, start):
    """The runner gets SIGTERM, and its end is waited for."""
    process = start(SLEEPS)
    assert [p.pid for p in end(journal)] == [process.pid]
    assert process.wait(timeout=10) == -signal.SIGTERM
    assert journal.last("panic").fields["processes"][0]["pid"] == process.pid
    assert end(journal) == [], "done twice, there is nobody left"


def test_who_does_not_end_is_killed(journal, start, monkeypatch):
    """A runner that ignores every request is killed in the end."""
    monkeypatch.setattr(run_attempt, "_AFTER_KILL_S", 5000)
    process = start(IGNORES + SLEEPS)
    end(journal)
    assert process.wait(timeout=10) == -signal.SIGKILL


def test_who_cannot_be_killed_is_named(journal, start, monkeypatch):
    """When even that does not help, the message names the process, and nothing else is done."""
    start(SLEEPS)
    monkeypatch.setattr(run_attempt, "_signal", lambda _process, _signum: None)
    with pytest.raises(JournalError, match="does not end even when it is killed"):
        end(journal)


def test_a_kernel_by_hand_notes_how_far_its_step_came(journal, start, monkeypatch):
    """A kernel without a runner, as in JupyterLab, is interrupted first, then ended."""
    monkeypatch.setattr(run_attempt, "_STEP_ENDS_S", 5000)
    process = start(NOTES, role="kernel")
    assert [p.role for p in end(journal)] == ["kernel"]
    assert process.wait(timeout=10) == -signal.SIGTERM
    assert journal.last("step").fields["status"] == "failed"


@pytest.mark.parametrize("other", [{"ticks": 1}, {"machine": "another/pid:[1]"}], ids=["reused id", "another machine"])
def test_another_process_of_the_same_id_is_left_alone(journal, start, other):
    """A process id that was given out anew, or that means another machine's process, is never signalled."""
    process = start(SLEEPS, **other)
    assert find_processes(journal) == []
    assert end(journal) == []
    assert process.poll() is None


def test_panic_never_ends_itself(journal):
    """The process that notes itself as runner is not among those that it would end."""
    note_runner(journal)
    assert find_processes(journal) == []
