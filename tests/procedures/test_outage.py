"""The end of an outage is found even when the watch from outside saw nothing of it."""

from __future__ import annotations

import pytest

from runbook_lib.adapters.clock import Clock
from runbook_lib.journal import Journal
from runbook_lib.procedures.outage import note_outage_start, observe_outage
from runbook_lib.run import Run


@pytest.fixture
def run(tmp_path):
    """Return a run that needs neither AWS nor a host."""
    made = Run(None, Journal(tmp_path / "run", Clock().now_utc), execute=True, reason="test", clock=Clock())
    yield made
    made.close()


def no_address():
    """Fail as AWS does when it does not say where the service is."""
    raise RuntimeError("throttled")


def test_a_service_that_answers_counts_though_no_look_saw_it_down(run, url):
    """The watch could never find the address: where the service shall run it is asked once more, and that counts."""
    note_outage_start(run, no_address)
    assert observe_outage(run, lambda: [url], up=False) == {"answers": False, "outage_s": None}
    seen = observe_outage(run, lambda: [url], up=True)
    assert seen["answers"]
    assert seen["outage_s"] >= 0
    ended = run.journal.last("outage").fields
    assert (ended["phase"], ended["failures"]) == ("ended", 1)
    assert ended["last_success_utc"] == next(iter(run.journal.find("outage", phase="started"))).at_utc


def test_a_service_that_does_not_answer_does_not_count(run):
    """The container runs, nothing answers: the outage goes on."""
    note_outage_start(run, no_address)
    assert observe_outage(run, lambda: ["http://127.0.0.1:9/"], up=True) == {"answers": False, "outage_s": None}
    assert run.journal.last("outage").fields["phase"] == "started"


def test_a_task_that_started_beside_the_former_one_made_no_outage(run, url, wait_until):
    """Every look was answered, and one more is, after the former task has stopped: none was measured."""
    note_outage_start(run, lambda: [url])
    wait_until(lambda: run.outage_probe(lambda: [url]).facts()["last_success_utc"], "it was looked at")
    assert observe_outage(run, lambda: [url], up=False, beside=True) == {"answers": False, "outage_s": None}
    assert observe_outage(run, lambda: [url], up=True, beside=True) == {"answers": True, "outage_s": 0.0}
    ended = run.journal.last("outage").fields
    assert (ended["phase"], ended["outage_s"], ended["failures"]) == ("ended", 0.0, 0)


def test_what_nobody_watched_is_not_called_no_outage(run, url):
    """No look could find the address: the time since it began counts, overlap or not."""
    note_outage_start(run, no_address)
    assert observe_outage(run, lambda: [url], up=True, beside=True)["outage_s"] > 0
