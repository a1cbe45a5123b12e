"""When faults begin, what they strike and how often: the counting, without a sandbox around it."""

import pytest

from runbook_lib.sandbox.controls import ControlError
from runbook_lib.sandbox.faults import Faults
from runbook_lib.sandbox.faults_catalog import FAULTS
from runbook_lib.sandbox.wire import ApiRequest


class Damage:
    """What faults did, written down instead of done."""

    def __init__(self):
        self.happened, self.ended = [], []
        self.refuses = False
        self.faults = Faults(self.happen, lambda _fault: None, lambda fault: self.ended.append(fault.name))

    def happen(self, fault):
        if self.refuses:
            raise ControlError(404, "there is no such host")
        self.happened.append(fault.name)


@pytest.fixture
def damage():
    return Damage()


@pytest.fixture
def faults(damage):
    return damage.faults


def call(operation, **parameters):
    """Return an API call."""
    return ApiRequest("ec2", operation, "ec2", parameters, "AKIA", "test")


def test_a_fault_strikes_its_target_so_often_and_no_more(faults):
    """A count is used up by strikes; other targets do not use it."""
    faults.add({"name": "snapshot-error", "target": "vol-1", "times": 2})
    struck = [faults.strikes("snapshot-error", one) for one in ("vol-2", "vol-1", "vol-1", "vol-1")]
    assert struck == [False, True, True, False]
    assert [(one["struck"], one["state"]) for one in faults.shown()] == [(2, "spent")]


def test_a_fault_without_count_strikes_until_it_is_cleared(faults):
    """Without a count there is no end; cleared, it strikes no more."""
    number = faults.add({"name": "capacity"}).number
    assert all(faults.strikes("capacity", "t3.small") for _strike in range(20))
    faults.remove(number)
    assert (faults.strikes("capacity", "t3.small"), faults.shown()) == (False, [])


def test_an_event_that_is_asked_about_again_counts_once_and_stays_hit(faults):
    """One stuck detachment is one strike, however often it is looked at; the next one goes free."""
    faults.add({"name": "stuck-detach", "times": 1})
    looks = [faults.strikes("stuck-detach", "vol-1", occasion=one) for one in ("first", "first", "second", "first")]
    (shown,) = faults.shown()
    assert (looks, shown["struck"], shown["state"]) == ([True, True, False, True], 1, "holding")


def test_a_fault_waits_for_its_calls(faults):
    """After two calls of the operation it is on; other operations do not count."""
    faults.add({"name": "stuck-detach", "operation": "AttachVolume", "after_calls": 2})
    states = []
    for operation in ("AttachVolume", "DetachVolume", "AttachVolume"):
        assert not faults.strikes("stuck-detach", "vol-1")
        faults.answered(call(operation))
        states.append(faults.shown()[0]["state"])
    assert states == ["waiting", "waiting", "on"]
    assert faults.strikes("stuck-detach", "vol-1")


def test_a_fault_of_calls_counts_those_about_its_target_only(faults):
    """With a target, the calls that name it are counted and struck."""
    faults.add({"name": "api-error", "operation": "DeleteTags", "code": "X", "target": "vol-1", "after_calls": 1})
    faults.answered(call("DeleteTags", ResourceId="vol-2"))
    assert faults.shown()[0]["state"] == "waiting"
    faults.answered(call("DeleteTags", ResourceId="vol-1"))
    assert faults.strikes_call("api-error", call("DeleteTags", ResourceId="vol-2")) is None
    assert faults.strikes_call("api-error", call("DeleteTags", ResourceId="vol-1")).code == "X"


def test_what_happens_once_happens_at_once_or_when_its_calls_are_answered(faults, damage):
    """Damage is done when the fault is added, or handed out for doing after the last of its calls."""
    faults.add({"name": "kill-host", "target": "i-1"})
    faults.add({"name": "crash", "target": "i-1", "after_calls": 1})
    assert damage.happened == ["kill-host"]
    (due,) = faults.answered(call("DescribeVolumes"))
    faults.happen_late(due)
    assert damage.happened == ["kill-host", "crash"]
    assert faults.answered(call("DescribeVolumes")) == []
    assert [one["state"] for one in faults.shown()] == ["spent", "spent"]


def test_what_was_cleared_does_not_happen_any_more(faults, damage):
    """Cleared between the last of its calls and its damage, a fault leaves nothing behind."""
    faults.add({"name": "crash", "target": "i-1", "after_calls": 1})
    (due,) = faults.answered(call("DescribeVolumes"))
    faults.clear()
    faults.happen_late(due)
    assert damage.happened == []


def test_what_cannot_happen_later_is_shown_with_its_problem(faults, damage):
    """A host that is gone when the calls have come leaves a failed fault, not a silent one."""
    faults.add({"name": "kill-host", "target": "i-1", "after_calls": 1})
    damage.refuses = True
    (due,) = faults.answered(call("DescribeVolumes"))
    faults.happen_late(due)
    assert [(one["state"], one["problem"]) for one in faults.shown()] == [("failed", "there is no such host")]


def test_what_cannot_happen_now_is_refused_and_not_kept(faults, damage):
    """A refused fault is not in the list."""
    damage.refuses = True
    with pytest.raises(ControlError, match="no such host"):
        faults.add({"name": "kill-host", "target": "i-1"})
    assert faults.shown() == []


def test_clearing_ends_what_a_fault_holds(faults, damage):
    """Every fault is told its end, so that what it keeps still can go on."""
    faults.add({"name": "hung-app"})
    faults.add({"name": "throttle"})
    assert [one.name for one in faults.clear()] == ["hung-app", "throttle"]
    assert (damage.ended, faults.clear()) == (["hung-app", "throttle"], [])


REFUSED = {
    "unknown": ({"name": "stuck-detatch"}, "no fault 'stuck-detatch'; did you mean stuck-detach"),
    "without its target": ({"name": "kill-host"}, "fault kill-host needs --target"),
    "without operation and code": ({"name": "api-error"}, "needs --operation and --code"),
    "without seconds": ({"name": "slow-api", "operation": "AttachVolume"}, "needs --seconds"),
    "with a target it has not": ({"name": "boot-failure", "target": "i-1"}, "takes no --target"),
    "with a count it has not": ({"name": "host-unreachable", "times": 2}, "takes no --count"),
    "with an operation it has not": ({"name": "capacity", "operation": "RunInstances"}, "takes no --operation"),
    "with no strikes": ({"name": "capacity", "times": 0}, "--count must be more than 0"),
    "after less than a call": ({"name": "capacity", "after_calls": -1}, "--after-calls must be more than 0"),
    "with a word for a number": ({"name": "capacity", "times": "often"}, "numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_fault_that_makes_no_sense_is_refused(faults, case):
    """What is wrong is named with what the fault takes; nothing is switched on."""
    given, message = REFUSED[case]
    with pytest.raises(ControlError, match=message):
        faults.add(given)
    assert faults.shown() == []


def test_a_number_that_is_not_there_is_refused_with_those_that_are(faults):
    """Clearing an unknown number names the known ones."""
    faults.add({"name": "capacity"})
    with pytest.raises(ControlError, match=r"no fault number 7; there are: 1\. Nothing was changed"):
        faults.remove(7)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_says_what_it_does_to_what_and_how_often(name):
    """The description names target and count, or that there is none."""
    kind = FAULTS[name]
    assert f"target: {kind.target}" in kind.described or "no target" in kind.described
    assert all(f"--{name}" in kind.described for name in kind.needs if name != "target")
    assert kind.described.endswith((f"; count: {kind.counts})", "; once)", "; until it is cleared)"))
