"""A filesystem is frozen for a moment only: thawed by who froze it, or by a watchdog that outlives him."""

from __future__ import annotations

from pathlib import Path

import pytest

VOLUME = "vol-0123456789abcdef0"
TASK = {"task_arn": "arn:task/1", "container_name": "app"}


@pytest.fixture
def frozen(host, mounted):
    """Return a function that freezes the volume below the container; the state's `frozen` has the path then."""
    labels = {"com.amazonaws.ecs.task-arn": "arn:task/1", "com.amazonaws.ecs.container-name": "app"}
    row = {"Id": "c1", "Name": "/app", "State": {"Running": True, "Pid": 7}, "Config": {"Labels": labels}}
    host.change(containers=[row])
    host.show(7, "/data")

    def freeze(freeze_id="t1", limit_s=30, **more):
        return host.result("freeze_volume", **TASK, container_path="/data", limit_s=limit_s, freeze_id=freeze_id,
                           **{"volume_id": VOLUME, **more})  # fmt: skip

    return freeze


def is_alive(pid):
    """Return whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def thaw(host, mounted, freeze_id="t1"):
    """Thaw; return whether it was still frozen."""
    return host.result("thaw_volume", volume_id=VOLUME, path=str(mounted), freeze_id=freeze_id)["was_frozen"]


def test_a_freeze_ends_with_its_thaw(host, mounted, frozen):
    """Flushed, then frozen; the thaw finds it frozen once, and not a second time."""
    assert frozen()["path"] == str(mounted)
    assert host.state()["frozen"] == [str(mounted)]
    assert [call[0] for call in host.state()["calls"] if call[0] in {"sync", "fsfreeze"}] == ["sync", "fsfreeze"]
    assert (thaw(host, mounted), thaw(host, mounted)) == (True, False)
    assert host.state()["frozen"] == []


def test_the_watchdog_thaws_when_nobody_comes(host, mounted, frozen, wait_until):
    """Who froze is gone: writes go on when the time is over, and a later thaw says that it came too late."""
    frozen(limit_s=2)  # which a slow machine needs to start fsfreeze
    wait_until(lambda: host.state()["frozen"] == [], "the watchdog has thawed")
    assert not thaw(host, mounted)


def test_a_former_watchdog_leaves_a_later_freeze_alone(host, mounted, frozen, wait_until):
    """An attempt was killed and is made again: the first watchdog wakes up, does nothing, and ends."""
    pid = frozen("t1", limit_s=4)["watchdog_pid"]
    frozen("t2", limit_s=30)
    assert len(host.calls("fsfreeze", "-u")) == 1  # the second attempt thaws what the first had frozen
    wait_until(lambda: not is_alive(pid), "the first watchdog has ended")
    assert host.state()["frozen"] == [str(mounted)]
    assert thaw(host, mounted, "t2")


def test_another_filesystem_is_never_frozen(host, frozen):
    """A path that is not on the data volume, as the host's root, is refused and nothing is frozen."""
    error = host.refusal("freeze_volume", **TASK, container_path="/data", limit_s=5, freeze_id="t", volume_id="vol-0ff")
    assert error["kind"] == "other-filesystem"
    assert host.calls("fsfreeze") == []


def test_a_freeze_that_is_refused_leaves_nothing(host, mounted, frozen):
    """Somebody else has frozen it: refused, with the note gone, so that no watchdog thaws what is not ours."""
    host.change(frozen=[str(mounted)])
    error = host.refusal("freeze_volume", **TASK, container_path="/data", limit_s=5, freeze_id="t", volume_id=VOLUME)
    assert error["kind"] == "command-failed"
    assert list(host.store.glob("freeze-*")) == []
