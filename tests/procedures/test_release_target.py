"""The way back waits for what a killed cutover left under way on the target: it would take the volume in a moment."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.errors import AwsError
from runbook_lib.procedures import release_target
from runbook_lib.procedures.release_target import STOP_TARGET_SERVICE

NAME = "guestbook-data"
FREE = {"volume_id": "vol-1", "holder": "", "on_source": False, "tags": {"Name": NAME}, "attachments": []}
HELD = FREE | {"holder": "i-target"}


class Target:
    """A container instance on which the proof before the start is under way for a few looks, and then holds the volume.

    Args:
        looks: How many looks see it under way.
    """

    def __init__(self, looks):
        self.looks, self.done, self.now_s = looks, [], 0.0

    def scripts_under_way(self):
        self.looks -= 1
        return ["verify_before_start"] if self.looks >= 0 else []

    def is_online(self):
        return True

    def run(self, script, **_arguments):
        self.done.append((script, self.looks < 0))

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


@pytest.fixture
def way_back(monkeypatch):
    """Return a function that makes a run whose target has that many looks to go."""

    def make(looks):
        target = Target(looks)
        service = {"exists": True, "desired_count": 0}
        ecs = SimpleNamespace(
            describe_service=lambda: service,
            tasks=list,
            set_desired_count=lambda _count: None,
            container_instances=lambda: [{"instance_id": "i-target", "agent_connected": True}],
        )
        run = SimpleNamespace(host=lambda _id: target, ecs=ecs, clock=target)
        monkeypatch.setattr(release_target, "driver_of", lambda _run: SimpleNamespace(volume_name=NAME))
        monkeypatch.setattr(release_target, "observe_volume", lambda _run: FREE if target.looks >= 0 else HELD)
        return run, target

    return make


def test_a_volume_that_is_about_to_be_taken_is_not_free(way_back):
    """Attached nowhere and no task: still the step is not done while the command is under way."""
    run, _ = way_back(1)
    assert not STOP_TARGET_SERVICE.is_done(STOP_TARGET_SERVICE.observe(run))


def test_a_command_that_waits_for_a_volume_without_the_name_holds_nobody_up(way_back, monkeypatch):
    """Sent ahead and never given the volume, the command takes nothing: the way back need not wait for its end."""
    run, _ = way_back(1)
    unnamed = FREE | {"tags": {"Name": "what it was called before"}}
    monkeypatch.setattr(release_target, "observe_volume", lambda _run: unnamed)
    assert STOP_TARGET_SERVICE.is_done(STOP_TARGET_SERVICE.observe(run))


def test_the_gate_is_removed_that_came_after_the_look(way_back):
    """The command ends, the volume is held, and what holds it goes."""
    run, target = way_back(4)
    STOP_TARGET_SERVICE.act(run, STOP_TARGET_SERVICE.observe(run))
    assert target.done == [("release_gate", True)]


def test_a_command_that_never_ends_is_not_waited_for_for_ever(way_back):
    """After a minute it goes on; whether the volume is let go is verified."""
    run, target = way_back(10_000)
    STOP_TARGET_SERVICE.act(run, STOP_TARGET_SERVICE.observe(run))
    assert 60 <= target.now_s < 62


def test_the_way_back_does_not_depend_on_being_told(way_back, monkeypatch):
    """Without the permission to ask what is under way, it stops the target as before."""

    def denied(_target):
        raise AwsError("ListCommandInvocations", "AccessDeniedException", "not authorized")

    monkeypatch.setattr(Target, "scripts_under_way", denied)
    run, target = way_back(-1)
    STOP_TARGET_SERVICE.act(run, STOP_TARGET_SERVICE.observe(run))
    assert target.done == [("release_gate", True)]


def test_nobody_is_stopped_whom_a_scaling_would_start():
    """A registered scaling would start the tasks again; a count that somebody raised by hand holds no way back up."""
    service = {"desired_count": 2}
    (found,) = STOP_TARGET_SERVICE.check(
        {"registered": {"min_tasks": 1, "max_tasks": 2, "target_cpu_percent": 60}, "service": service}
    )
    assert (found.passed, "62_resize" in found.fix) == (False, True)
    assert STOP_TARGET_SERVICE.check({"registered": {}, "service": service}) == ()


def test_a_task_that_does_not_stop_may_be_one_of_a_dead_host():
    """ECS cannot stop it there, so running the notebook again would wait for ever."""
    facts = {"service": {"exists": True}, "tasks": ["arn:task"], "volume": FREE}
    (check,) = [one for one in STOP_TARGET_SERVICE.verify(facts, facts) if not one.passed]
    assert (check.check_id, check.observed) == ("no-task", "arn:task")
    assert "replace the container instance" in check.fix
