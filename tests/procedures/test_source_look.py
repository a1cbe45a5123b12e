"""A look at the source is reused while it is fresh, and never once something has begun to act."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.procedures.source_look import FRESH_S, act_on_source, look_at_source
from runbook_lib.run import Run

SEEN_BY_ACT = {"mounted": False, "open_files": [], "containers": []}
SEEN_NOW = {"mounted": True, "open_files": [{"pid": 7}], "containers": []}


class Source:
    """A source host that notes what it is asked, and fails when told to."""

    def __init__(self):
        self.asked = []
        self.fails = False

    def run(self, script, *, timeout_s=120, **arguments):
        self.asked.append((script, arguments))
        if self.fails:
            raise RuntimeError("no answer")
        return {"look": SEEN_BY_ACT} if "look" in arguments else SEEN_NOW


@pytest.fixture
def moment():
    """Return the time of the run's clock, to be moved by the test."""
    return SimpleNamespace(now=100.0)


@pytest.fixture
def run(moment):
    """Return a run whose only outside is its clock and its source."""
    made = Run(
        SimpleNamespace(
            source=SimpleNamespace(instance_id="i-source", compose_project="guestbook"),
            volume=SimpleNamespace(mount_path="/srv/guestbook"),
        ),
        SimpleNamespace(run_id="r1"),
        execute=True,
        reason="test",
        clock=SimpleNamespace(monotonic=lambda: moment.now),
    )
    made._hosts["i-source"] = Source()
    return made


def test_without_an_act_the_host_is_asked(run):
    assert look_at_source(run) == SEEN_NOW
    assert run.source_host.asked == [
        ("list_open_files", {"mount_path": "/srv/guestbook", "project": "guestbook", "run_id": "r1"}),
    ]


def test_what_an_act_saw_serves_while_it_is_fresh(run, moment):
    act_on_source(run, "stop_compose", project="guestbook")
    moment.now += FRESH_S
    assert look_at_source(run) == SEEN_BY_ACT
    assert [script for script, _ in run.source_host.asked] == ["stop_compose"]


def test_an_old_look_is_not_used(run, moment):
    act_on_source(run, "stop_compose", project="guestbook")
    moment.now += FRESH_S + 0.001
    assert look_at_source(run) == SEEN_NOW


def test_an_act_that_fails_leaves_no_look_from_before_it(run):
    """Nobody knows what it did: the next look is one of the world."""
    act_on_source(run, "stop_compose", project="guestbook")
    run.source_host.fails = True
    with pytest.raises(RuntimeError):
        act_on_source(run, "stop_compose", project="guestbook")
    run.source_host.fails = False
    assert look_at_source(run) == SEEN_NOW
