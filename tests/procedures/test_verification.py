"""The proof before the start is sent ahead of its turn where that is safe, and never depends on it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.errors import AwsError, HostCommandError
from runbook_lib.procedures import verification

NAME = "guestbook-data"
UNNAMED = {"tags": {"Name": "what it was called before"}}


class Host:
    """A container instance that answers after the words it is given, one for each command.

    Args:
        answers: What each command comes to: facts, or an error to raise.
    """

    def __init__(self, *answers):
        self.answers, self.waits = list(answers), []

    def begin(self, _script, **arguments):
        self.waits.append(arguments["wait_s"])
        answer = self.answers.pop(0)

        def wait():
            if isinstance(answer, Exception):
                raise answer
            return answer

        return wait


@pytest.fixture
def ready(monkeypatch):
    """Return a function that makes a run with a host and the hosts that are ready."""

    def make(host, hosts=("i-1",)):
        fields = SimpleNamespace(fields={"since_ns": 1, "files": 2, "bytes": 3})
        volume = SimpleNamespace(volume_id="vol-1")
        parameters = SimpleNamespace(volume=volume, policy=SimpleNamespace(verify_budget_s=5))
        driver = SimpleNamespace(volume_name=NAME, gate=dict)
        monkeypatch.setattr(verification, "before_event", lambda _run: fields)
        monkeypatch.setattr(verification, "driver_of", lambda _run: driver)
        monkeypatch.setattr(verification, "observe_container_hosts", lambda _run: [{"instance_id": i} for i in hosts])
        journal = SimpleNamespace(last=lambda _kind: None)
        return SimpleNamespace(run_id="r", parameters=parameters, journal=journal, sent_ahead={}, host=lambda _id: host)

    return make


def test_what_was_sent_ahead_is_the_proof(ready):
    """One command in all: the one that waited on the host."""
    host = Host({"entries": 3})
    run = ready(host)
    verification.send_ahead(run, UNNAMED)
    assert verification.verify_on(run, "i-1") == {"entries": 3}
    assert (len(host.waits), host.waits[0] > 0) == (1, True)


def test_a_command_that_waited_in_vain_is_followed_by_another(ready):
    """The volume came too late for it: the next command finds it, and does not wait."""
    host = Host(HostCommandError("verify_before_start", "i-1", "no volume"), {"entries": 3})
    run = ready(host)
    verification.send_ahead(run, UNNAMED)
    assert verification.verify_on(run, "i-1") == {"entries": 3}
    assert host.waits[1] == 0


def test_what_the_second_command_says_is_what_the_operator_sees(ready):
    """When both fail, the second one's error is raised."""
    host = Host(*[HostCommandError("verify_before_start", "i-1", text) for text in ("first", "second")])
    run = ready(host)
    verification.send_ahead(run, UNNAMED)
    with pytest.raises(HostCommandError, match="second"):
        verification.verify_on(run, "i-1")


@pytest.mark.parametrize("hosts", [(), ("i-1", "i-2")])
def test_without_one_ready_host_nothing_is_sent_ahead(ready, hosts):
    """Nobody knows where the task will be placed."""
    run = ready(Host(), hosts)
    verification.send_ahead(run, UNNAMED)
    assert run.sent_ahead == {}


def test_a_volume_that_has_the_name_already_is_not_taken_while_it_is_detached(ready):
    """The command would find it at once: it is sent when the detach is verified."""
    run = ready(Host())
    verification.send_ahead(run, {"tags": {"Name": NAME}})
    assert run.sent_ahead == {}


def test_what_was_sent_for_an_earlier_hand_over_proves_nothing(ready, monkeypatch):
    """Taken back by another process and begun again in this one, with no host to send ahead to: it is sent anew."""
    host = Host({"entries": "earlier"}, {"entries": "now"})
    run = ready(host)
    verification.send_ahead(run, UNNAMED)
    monkeypatch.setattr(verification, "observe_container_hosts", lambda _run: [])
    verification.send_ahead(run, UNNAMED)
    assert verification.verify_on(run, "i-1") == {"entries": "now"}


def test_a_cutover_does_not_depend_on_sending_ahead(ready, monkeypatch):
    """ECS or SSM do not answer at that moment: the detach goes on, and the command is sent when its turn comes."""

    def throttled(_run):
        raise AwsError("ListContainerInstances", "ThrottlingException", "slow down")

    host = Host({"entries": 3})
    run = ready(host)
    monkeypatch.setattr(verification, "observe_container_hosts", throttled)
    verification.send_ahead(run, UNNAMED)
    assert verification.verify_on(run, "i-1") == {"entries": 3}
    assert host.waits == [0]
