"""A service that only reads its volume: where it answers, and how 40 proves its data without writing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.errors import HostCommandError
from runbook_lib.procedures import move_task, observations
from runbook_lib.procedures.observations import observe_any_task, target_urls

BINDING = {"container": "app", "container_port": 80}


def task(port, *, status="RUNNING", host="arn:1"):
    """Return a task of the service."""
    return {
        "task_arn": f"arn:task:{port}",
        "last_status": status,
        "desired_status": status,
        "container_instance_arn": host,
        "host_ports": [{**BINDING, "host_port": port}, {**BINDING, "container": "sidecar", "host_port": 1}],
    }


def run_of(*tasks, read_only=True, sentinel="s"):
    """Return a run whose service has these tasks on one host."""
    mount = {"sourceVolume": "data", "containerPath": "/d", "readOnly": read_only}
    mapping = {"container_name": "app", "container_port": 80, "host_port": 0, "container_path": "/d",
               "container_definitions": [{"name": "app", "mountPoints": [mount]}]}  # fmt: skip
    events = {"sentinel": SimpleNamespace(fields={"sha256": sentinel})}
    return SimpleNamespace(
        parameters=SimpleNamespace(target=SimpleNamespace(url=None, health_check=SimpleNamespace(path="/health"))),
        evidence=lambda _name: mapping,
        journal=SimpleNamespace(last=lambda kind, **_: events.get(kind)),
        ec2=SimpleNamespace(describe_instance=lambda _id: {"public_ip": "", "private_ip": "10.0.0.5"}),
        ecs=SimpleNamespace(
            tasks=lambda: list(tasks),
            stopped_tasks=list,
            describe_service=lambda: {"exists": True},
            container_instances=lambda: [{"container_instance_arn": "arn:1", "instance_id": "i-1"}],
        ),
    )


def test_where_each_task_has_a_port_of_its_own_every_running_one_is_asked():
    """One that is not running yet, or on a host that has gone, is not."""
    run = run_of(task(32768), task(32769), task(32770, status="PENDING"), task(32771, host="arn:gone"))
    assert target_urls(run) == ["http://10.0.0.5:32768/health", "http://10.0.0.5:32769/health"]


@pytest.mark.parametrize(("read_only", "found"), [(True, "arn:task:1"), (False, "")], ids=["a reader", "a writer"])
def test_a_look_takes_one_of_several_tasks_of_a_reader(read_only, found):
    """Two tasks of a service that writes are a finding, not two views."""
    seen = observe_any_task(run_of(task(1), task(2), read_only=read_only))
    assert ((seen["task"] or {"task_arn": ""})["task_arn"], seen["instance_id"]) == (found, "i-1" if found else "")


@pytest.mark.parametrize(
    ("seen", "there"),
    [({"sentinel": {"sha256": "s"}}, True), ({"sentinel": {"sha256": "other"}}, False), ({"sentinel": None}, False),
     (None, False)],
    ids=["the sentinel", "another one", "an empty directory", "no container yet"],
)  # fmt: skip
def test_the_sentinel_stands_for_the_test_file_of_a_reader(monkeypatch, seen, there):
    """Nothing is written through the container; whether the data is there is seen inside it."""

    def look(_run, _task, instance_id):
        if seen is None:
            raise HostCommandError("inspect_target", instance_id, "no container")
        return seen

    monkeypatch.setattr(move_task, "observe_task_volume", look)
    facts = observations.observe_task(run_of(task(1)))
    written = {"task_arn": "arn:task:0"}
    found = move_task._seen(run_of(task(1)), facts, written, only_reads=True)
    assert found == (written if there else {})


def test_nothing_is_written_through_a_reader(monkeypatch):
    """The journal notes which task and host serve; the container is left alone."""
    monkeypatch.setattr(move_task, "_probe", lambda *_a, **_k: pytest.fail("written through the container"))
    run, noted = run_of(task(1)), []
    run.run_id, run.clock = "r", SimpleNamespace(now_utc=lambda: SimpleNamespace(isoformat=lambda: "now"))
    run.journal.append = lambda kind, **fields: noted.append((kind, fields["content"]["instance_id"]))
    move_task._write_probe(run, {"only_reads": True})
    assert noted == [("probe", "i-1")]


@pytest.mark.parametrize(
    ("probe", "said"), [({"run_id": "r"}, "so"), ({}, "another one, or none")], ids=["there", "not"]
)
def test_a_check_of_a_reader_says_that_nothing_was_written(probe, said):
    """It rests on the sentinel, and claims no test file that nobody wrote."""
    facts = {"only_reads": True, "probe": probe, "written": {"run_id": "r"}, "task_arn": "t", "answers": True}
    check = next(one for one in move_task._verify_probe({}, facts) if one.check_id == "probe-readable")
    assert (check.passed, check.observed, "run_id" in check.expected) == (bool(probe), said, False)
    assert "nothing was written" in check.expected
