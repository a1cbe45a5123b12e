"""A restore that is given up: the volume that never left serves again, on one host, and nothing else is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from runbook_lib.errors import HostCommandError
from runbook_lib.procedures import restore_exchange, restore_in_place

A, B = "vol-0a", "vol-0b"
NOW = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)


def volume(volume_id):
    """Return facts of a volume that is attached nowhere."""
    return {"volume_id": volume_id, "state": "available", "attachments": [], "tags": {}, "holder": ""}


def given_up(count, *, tasks=(), status="ACTIVE", holder="", **changes):
    """Return what the outage's steps see when A never left, and B, with a host `i-b`, should have taken its place."""
    hosts = [{"instance_id": "i-a", "status": "ACTIVE"}, {"instance_id": "i-b", "status": status}]
    drivers = {"service": {"desired_count": count}, "tasks": list(tasks), "hosts": hosts, "former": ["i-b"]}
    seen = {"present": volume(B) | {"holder": holder}, "restored_id": A, "handed_over": True, "drivers": drivers}
    return {**seen, "aside": False, "volume_name": "data", **changes}


@pytest.mark.parametrize(
    ("seen", "stop", "aside"),
    [
        (given_up(1, tasks=["t"]), True, True),
        (given_up(0, tasks=["t"]), False, True),
        (given_up(0), True, False),
        (given_up(0, status="DRAINING"), True, True),
        (given_up(0, status="DRAINING", holder="i-b"), True, False),
        (given_up(0, handed_over=False, aside=True), True, False),
        (given_up(0, handed_over=False, aside=True, status="DRAINING"), True, True),
    ],
    ids=["it serves", "its task still ends", "stopped", "stopped, the other host drains", "the other volume is held",
         "put aside, its host takes tasks", "put aside"],
)  # fmt: skip
def test_a_restore_given_up_after_its_stop_leaves_one_host_for_the_task(seen, stop, aside):
    """The stop is waited for; the host that was prepared for the other volume drains before anything starts."""
    assert restore_exchange.STOP_SERVICE_FOR_RESTORE.is_done(seen) is stop
    assert restore_exchange.PUT_VOLUME_ASIDE.is_done(seen) is aside


@pytest.mark.parametrize("exchange", [{}, {"handed_over": False}], ids=["never served", "served"])
def test_only_a_volume_that_served_is_said_to_have_been_replaced(exchange):
    """One that never did would else be offered as the former one, with a smaller loss than there is."""
    drained, tags = [], []
    run = SimpleNamespace(
        run_id="run-g", clock=SimpleNamespace(now_utc=lambda: NOW, monotonic=lambda: 0.0),
        ec2=SimpleNamespace(set_tags=lambda one, given: tags.append((one, given))),
        ebs=SimpleNamespace(describe_volume=volume),
        container_hosts=SimpleNamespace(set_status=lambda arns, status: drained.append((arns, status))),
        outage_probe=lambda _urls: SimpleNamespace(start=lambda: None),
        journal=SimpleNamespace(last=lambda _kind: None, append=lambda *_one, **_more: None),
    )  # fmt: skip
    seen = given_up(0, **exchange)
    for host in seen["drivers"]["hosts"]:
        host["container_instance_arn"] = f"arn:{host['instance_id']}"
    restore_exchange.PUT_VOLUME_ASIDE.act(run, seen)
    assert drained == [(["arn:i-b"], "DRAINING")]
    assert [(one, given["runbook:replaced-by"]) for one, given in tags] == ([] if exchange == {} else [(B, A)])


@pytest.mark.parametrize(
    ("count", "tasks", "handed_over", "holder", "expected"),
    [(1, ["t"], True, "i-a", "in_service"), (1, [], True, "i-a", "in_service"), (0, [], True, "i-a", "in_place"),
     (0, ["t"], True, "i-a", "in_place"), (0, [], True, "", "stays"), (0, [], True, "i-b", "stays"),
     (0, [], False, "i-a", ""), (0, ["t"], False, "i-a", "in_service")],
)  # fmt: skip
def test_where_a_volume_is_read_before_it_serves_again(count, tasks, handed_over, holder, expected):
    """In its place where its own host has it and the service is down; else beside, and never while the service runs."""
    run = SimpleNamespace(
        ecs=SimpleNamespace(describe_service=lambda: {"desired_count": count}, tasks=lambda: list(tasks))
    )
    exchange = {"restored": volume(A) | {"holder": holder}, "handed_over": handed_over}
    seen = restore_in_place.observe_use(run, exchange, ["i-a"])
    assert {key for key, is_so in seen.items() if is_so} == ({"in_place", "stays"} if expected == "in_place" else
                                                             {expected} - {""})  # fmt: skip


HELD = {"volume_id": A, "filesystem_uuid": "u", "below_mount": "", "view": "/mnt/x", "sentinel": None}


@pytest.mark.parametrize(
    ("wrong", "refused"),
    [({}, False), ({"volume_id": B}, True), ({"volume_id": ""}, True), ({"filesystem_uuid": "v"}, True),
     ({"below_mount": "data"}, True)],
)  # fmt: skip
def test_nothing_is_read_in_place_but_this_volume(monkeypatch, wrong, refused):
    """Its id, its filesystem and its root: else nothing there becomes what the start is compared with."""
    monkeypatch.setattr(restore_in_place, "hold", lambda *_one: HELD | wrong)
    monkeypatch.setattr(restore_in_place, "driver_of", lambda _run: SimpleNamespace(gate=dict))
    known = SimpleNamespace(fields={"filesystem_uuid": "u"})
    run = SimpleNamespace(as_on=lambda _id: run, journal=SimpleNamespace(last=lambda _kind: known))
    host = SimpleNamespace(instance_id="i-a", run=lambda *_one, **_more: {})
    if refused:
        with pytest.raises(HostCommandError, match=r"expected volume vol-0a.*Nothing on it was read or changed"):
            restore_in_place.look_in_place(run, {"restored_id": A}, host)
    else:
        assert restore_in_place.look_in_place(run, {"restored_id": A}, host)["path"] == "/mnt/x"


@pytest.mark.parametrize("answers", [True, False])
def test_a_service_that_never_stopped_is_asked_whether_it_answers(monkeypatch, answers):
    """No outage of this run tells it; without a task nobody is asked."""
    monkeypatch.setattr(restore_in_place, "target_urls", lambda _run: ["http://a", "http://b"])
    run = SimpleNamespace(
        journal=SimpleNamespace(last=lambda _kind: None), reaches=lambda url: answers and url == "http://b"
    )
    seen = restore_in_place.seen_from_outside(lambda _run: {"task": "t", "answers": False})
    assert seen(run)["answers"] is answers
    assert restore_in_place.seen_from_outside(lambda _run: {"task": None, "answers": False})(run)["answers"] is False
