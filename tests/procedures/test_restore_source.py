"""Going back while a detachment from the source is under way, or hangs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.procedures.observations import SOURCE_DEVICE_TAG
from runbook_lib.procedures.restore_source import ATTACH_VOLUME_TO_SOURCE

SOURCE = "i-source"


def volume(attachment_state):
    """Return facts of the volume, attached to the source in a state, or free."""
    attachments = [{"instance_id": SOURCE, "state": attachment_state, "device_name": "/dev/sdf"}]
    return {
        "volume_id": "vol-1",
        "state": "in-use" if attachment_state else "available",
        "attachments": attachments if attachment_state else [],
        "tags": {SOURCE_DEVICE_TAG: "/dev/sdf"},
    }


class Ebs:
    """EBS in which a detachment goes on from look to look.

    Args:
        states: State of the attachment at each look, "" is none; the last one stays.
    """

    def __init__(self, *states):
        self.states, self.attached = list(states), []

    def describe_volume(self, _volume_id):
        return volume(self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def attach_volume(self, *arguments):
        self.attached.append(arguments)


class Clock:
    """A clock that moves only when somebody sleeps."""

    now_s = 0.0

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


def world(*states):
    """Return a run in which the volume is seen in these states."""
    parameters = SimpleNamespace(volume=SimpleNamespace(volume_id="vol-1"), source=SimpleNamespace(instance_id=SOURCE))
    return SimpleNamespace(parameters=parameters, ebs=Ebs(*states), clock=Clock())


def refused(run):
    """Return the failed checks of the step."""
    facts = ATTACH_VOLUME_TO_SOURCE.observe(run)
    return {check.check_id: check for check in ATTACH_VOLUME_TO_SOURCE.check(facts) if not check.passed}


@pytest.mark.parametrize("seen", [("detaching", "detaching", ""), ("",)], ids=["under way", "over"])
def test_a_detachment_under_way_is_waited_for_and_then_the_volume_is_attached(seen):
    """A cutover that was killed right after it asked for the detachment costs no second run of the way back."""
    run = world(*seen)
    facts = ATTACH_VOLUME_TO_SOURCE.observe(run)
    assert [check for check in ATTACH_VOLUME_TO_SOURCE.check(facts) if not check.passed] == []
    ATTACH_VOLUME_TO_SOURCE.act(run, facts)
    assert run.ebs.attached == [("vol-1", SOURCE, "/dev/sdf")]


def test_a_detachment_that_does_not_end_is_not_waited_for_for_ever():
    """After a minute the step goes on to verify, which says what was observed."""
    run = world("detaching")
    facts = ATTACH_VOLUME_TO_SOURCE.observe(run)
    ATTACH_VOLUME_TO_SOURCE.act(run, facts)
    assert (run.ebs.attached, 60 <= run.clock.now_s < 70) == ([], True)
    (check,) = ATTACH_VOLUME_TO_SOURCE.verify(facts, ATTACH_VOLUME_TO_SOURCE.observe(run))
    assert (check.passed, "unmount the volume on the source" in check.fix) == (False, True)


def test_a_detachment_that_hangs_is_told_at_once_with_what_to_do():
    """Somebody detached the volume by hand while it was mounted: refused, nothing changed, no minutes lost."""
    found = refused(world("busy"))
    assert set(found) == {"no-detachment-hangs"}
    assert "unmount the volume on the source" in found["no-detachment-hangs"].fix


def test_a_volume_that_is_attached_needs_nothing():
    """Attached is done, not a detachment that hangs."""
    run = world("attached")
    assert ATTACH_VOLUME_TO_SOURCE.is_done(ATTACH_VOLUME_TO_SOURCE.observe(run))
