"""Which instance types a task fits on; what a modification and a growth that fail leave, and what they say."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest

from runbook_lib.errors import AwsError, HostCommandError, TakenBackError
from runbook_lib.parameters_model import Autoscaling
from runbook_lib.parameters_volume import Volume
from runbook_lib.procedures import grow_volume, host_size, resize, volume_size
from runbook_lib.procedures.grow_volume import GROW_FILESYSTEM, MODIFY_VOLUME, VERIFY_GROWTH
from runbook_lib.procedures.host_size import check_types, say_move
from runbook_lib.procedures.task_count import (
    check_scaling,
    check_unscaled,
    has_wanted_tasks,
    observe_scaling,
    say_tasks,
)
from runbook_lib.run import Run
from tests.sample_run import Story

GIB = 1 << 30
MEDIUM = {"instance_type": "t3.medium", "architectures": ["x86_64"], "hypervisor": "nitro", "nvme": "required",
          "vcpus": 2, "memory_mib": 4096, "max_volumes": 27}  # fmt: skip
SIZES = {"wanted": [MEDIUM], "unknown": [], "not_offered": [], "zone": "us-east-1a", "architecture": "x86_64",
         "cpu_units": 256, "memory_mib": 512}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "sizes", "check_id"),
    [
        ({}, {}, ""),
        ({"hypervisor": "", "nvme": "supported"}, {}, ""),
        ({"max_volumes": None}, {}, ""),
        ({}, {"unknown": ["zz.large"], "not_offered": ["zz.large"]}, "instance-type-offered"),
        ({}, {"not_offered": ["t3.medium"]}, "instance-type-offered"),
        ({"architectures": ["arm64"]}, {}, "instance-type-architecture"),
        ({"hypervisor": "xen"}, {}, "instance-type-nvme"),
        ({"nvme": "unsupported"}, {}, "instance-type-nvme"),
        ({"max_volumes": 2}, {}, "instance-type-takes-volumes"),
        ({}, {"memory_mib": 3700}, "instance-type-memory-fits"),
        ({}, {"cpu_units": 2049}, "instance-type-cpu-fits"),
    ],
)
def test_every_wanted_type_must_take_the_task(one, sizes, check_id):
    """Offered, of the architecture, with NVMe, with attachments, memory and CPU; bare metal has no hypervisor."""
    checks = check_types({"sizes": SIZES | {"wanted": [MEDIUM, MEDIUM | one]} | sizes})
    assert [check.check_id for check in checks if not check.passed] == ([check_id] if check_id else [])


def test_the_plan_names_both_types():
    """Who approves reads what is there, what comes, and that it costs an outage."""
    host = {"former_instance_type": "t3.small", "instance_types": ["t3.medium", "t3.large"]}
    text = say_move({"host": host, "sizes": SIZES, "former": ["i-1"]})
    assert "The host is a t3.small and shall be a t3.medium or t3.large" in text
    assert "one short outage" in text
    assert "as it shall be" in say_move({"host": host, "sizes": SIZES, "former": []})


def test_other_types_that_were_accepted_are_noted_until_the_task_moves(tmp_path, monkeypatch):
    """A resumed run with other parameters moves to what they name now; once it moved, it keeps what it noted."""
    monkeypatch.setattr(host_size, "_serving_type", lambda _run: "t3.small")
    journal = Story(tmp_path).journal
    run = SimpleNamespace(journal=journal, parameters=SimpleNamespace(target=SimpleNamespace()))
    run.keep_evidence = partial(Run.keep_evidence, run)
    run.evidence = partial(Run.evidence, run)

    def chosen(*types):
        run.parameters.target.instance_types = types
        return host_size.choose_host_size(run)

    noted = {"instance_types": ["t3.medium"], "former_instance_type": "t3.small", "own": True}
    assert chosen("t3.medium") == noted
    assert chosen("t3.large") == noted | {"instance_types": ["t3.large"]}
    journal.append("manifest", phase="before")
    assert chosen("t3.nano") == noted | {"instance_types": ["t3.large"]}


def modification(state, started="now", **target):
    """Return facts of a modification."""
    return {"state": state, "progress": 0, "message": "", "started_utc": started, "target": target}


class Modifying:
    """A run that modifies a volume: what EBS answers, and what was asked of it."""

    def __init__(self, *states, error=None):
        self.states, self.error, self.asked = list(states), error, []
        self.modifications = SimpleNamespace(modify=self._modify, newest=self._newest)
        self.clock = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _seconds: None)

    def _modify(self, volume_id, changes):
        self.asked.append((volume_id, dict(changes)))
        if self.error:
            raise self.error

    def _newest(self, _volume_id):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def act(self, newest):
        """Modify the size to 9 GiB, the newest modification being this one at first."""
        before = {"volume": {"volume_id": "vol-1"}, "changes": {"size_gib": 9}, "modification": newest}
        MODIFY_VOLUME.act(self, before)


def test_a_modification_is_waited_for():
    """Asked for once; done when it is optimizing."""
    run = Modifying(modification("modifying", size_gib=9), modification("optimizing", size_gib=9))
    run.act(modification(""))
    assert run.asked == [("vol-1", {"size_gib": 9})]


def test_an_interrupted_attempts_modification_is_only_waited_for():
    """A second call would be refused: the first is under way."""
    run = Modifying(modification("optimizing", size_gib=9))
    run.act(modification("modifying", size_gib=9))
    assert run.asked == []


def test_a_lost_answer_is_no_failure():
    """The call was carried out, its repetition is refused: what is under way, or over, is what was asked for."""
    refused = AwsError("ModifyVolume", "IncorrectModificationState", "MODIFYING")
    for state in ("optimizing", "completed"):
        Modifying(modification(state, size_gib=9), error=refused).act(modification("", started=""))


@pytest.mark.parametrize(
    ("states", "error", "word"),
    [
        ([modification("completed", size_gib=8)], "VolumeModificationRateExceeded", "four in 24 hours"),
        ([modification("completed", "before", size_gib=9)], "VolumeModificationRateExceeded", "no modification"),
        ([modification("optimizing", size_gib=8)], "IncorrectModificationState", "optimizing"),
        ([modification("modifying", size_gib=9), modification("failed", size_gib=9)], "", "the modification failed"),
    ],
    ids=["too often", "an earlier one of the same", "too soon", "failed"],
)
def test_a_volume_that_was_not_modified_is_as_it_was(states, error, word):
    """Refused or failed: nothing has changed, and the message says when it can be tried again."""
    run = Modifying(*states, error=AwsError("ModifyVolume", error, "no") if error else None)
    with pytest.raises(TakenBackError, match=word) as raised:
        run.act(modification("completed", "before"))
    assert raised.value.changed == "no"


def test_a_filesystem_that_did_not_grow_is_told_with_its_size(monkeypatch):
    """The volume keeps its size, which is said, and that there is no way back from it."""
    seen = {"filesystem_uuid": "u", "device_bytes": 9 * GIB, "filesystem_bytes": 8 * GIB}
    monkeypatch.setattr(grow_volume, "measure", lambda _run, _volume: seen)

    def fail(script, **_arguments):
        raise HostCommandError(script, "i-1", "resize2fs ended with 1: No space left on device", {"exit_code": 1})

    run = SimpleNamespace(
        keep_evidence=lambda *_evidence: None,
        host=lambda _instance_id: SimpleNamespace(run=fail),
        clock=SimpleNamespace(monotonic=lambda: 0.0),
    )
    before = {
        "volume": {"volume_id": "vol-1", "holder": "i-1"},
        "wanted": {"size_gib": 9},
        "filesystem": seen,
    }
    with pytest.raises(TakenBackError, match=f"{8 * GIB} bytes of {9 * GIB}.*EBS never makes") as raised:
        GROW_FILESYSTEM.act(run, before)
    assert (raised.value.changed, "No space left" in str(raised.value)) == ("yes", True)


def test_a_volume_that_nobody_holds_is_not_measured_and_not_held_against_the_move(monkeypatch):
    """Resumed between two hosts: the growth is over, nobody could measure it, and the check lets the move go on."""
    known = {"volume_id": "vol-1", "holder": "", "size_gib": 9, "volume_type": "gp3", "iops": 3000,
             "throughput_mibps": 125}  # fmt: skip
    monkeypatch.setattr(volume_size, "observe_volume", lambda _run: known)
    run = SimpleNamespace(
        parameters=SimpleNamespace(volume=Volume(volume_id="vol-0123456789abcdef0", mount_path="/srv", size_gib=9)),
        journal=SimpleNamespace(last=lambda *_kind, **_match: object()),
        modifications=SimpleNamespace(newest=lambda _volume_id: modification("optimizing", size_gib=9)),
    )
    facts = volume_size.observe_size(run)
    assert (facts["grows"], facts["larger"], volume_size.has_wanted_size(facts)) == (True, False, True)
    assert [check.check_id for check in volume_size.check_size(facts) if not check.passed] == []


@pytest.mark.parametrize(
    ("comparison", "sentinel", "failed"),
    [
        ({"identical": True}, "s" * 64, []),
        ({"identical": False, "changed": [["a", ["sha256"]]]}, "s" * 64, ["manifest-identical"]),
        ({"identical": True}, "t" * 64, ["sentinel-present"]),
        (None, "", ["sentinel-present", "manifest-identical"]),
    ],
    ids=["as before", "a byte differs", "another sentinel", "not compared"],
)
def test_the_files_are_as_before_the_growth_or_the_run_ends(comparison, sentinel, failed):
    """What differs is no success, and once it was compared nobody waits for it to become better."""
    known = {"missing": [], "added": [], "changed": [], "removed_since_start_count": 0, "removed_since_start": [],
             "may_remove": 10}  # fmt: skip
    seen = None if comparison is None else known | comparison
    facts = {"due": True, "comparison": seen, "sentinel_sha256": sentinel, "expected_sentinel_sha256": "s" * 64}
    assert [check.check_id for check in VERIFY_GROWTH.verify(facts, facts) if not check.passed] == failed
    assert bool(VERIFY_GROWTH.hopeless(facts)) is (comparison is not None)


def test_every_need_is_a_step_of_the_notebook():
    """A check that waits for a step waits for one of this notebook, so that a plan is not refused by it."""
    ids = {step.step_id for step in resize.STEPS}
    assert set(resize.MOVE.ids.values()) <= ids
    assert set(resize.MOVE.needs.values()) <= ids


def definition(name, *, read_only):
    """Return a container that mounts the volume."""
    return {"name": name, "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": read_only}]}


@pytest.mark.parametrize(
    ("containers", "wanted", "why"),
    [
        ([definition("app", read_only=False), definition("backup", read_only=True)], 3, "app writes to the volume"),
        ([definition("app", read_only=True), {"name": "sidecar"}], 3, "clients find through target.load_balancer"),
        ([definition("app", read_only=False)], None, ""),
    ],
    ids=["a writer", "readers only", "not asked for"],
)
def test_more_tasks_are_refused_with_the_reason(containers, wanted, why):
    """The one that writes is named; who only reads needs a load balancer; without the wish nothing is refused."""
    (check,) = check_scaling(scaling_of(containers, wanted))
    assert check.passed is (wanted is None)
    assert why in check.why
    assert ("1 to 3 tasks" in check.observed) is (wanted is not None)


def scaling_of(containers, wanted, *, balanced=False, registered=None, desired=1):
    """Return what is observed of a service on a t3.small, for which somebody wants a number of tasks."""
    run = SimpleNamespace(
        parameters=SimpleNamespace(
            target=SimpleNamespace(autoscaling=Autoscaling(max_tasks=wanted) if wanted else None)
        ),
        evidence=lambda _name: {"container_definitions": containers},
        instance_types=SimpleNamespace(describe=lambda _names: [{"vcpus": 2, "memory_mib": 2000}]),
    )
    facts = {
        "current": {"driver": "rexray"},
        "service": {"desired_count": desired, "running_count": desired, "balanced": balanced},
        "registered": registered or {},
        "tasks": ["arn"] * desired,
        "hosts": [{"instance_id": "i-1", "instance_type": "t3.small"}],
        "volume": {"holder": "i-1"},
    }
    return observe_scaling(run, facts)


def reader(*, port=0, memory=600):
    """Return the containers of a reader with one published port."""
    ports = [{"containerPort": 8080, "hostPort": port}]
    return [definition("app", read_only=True) | {"portMappings": ports, "memory": memory, "cpu": 256}]


@pytest.mark.parametrize(
    ("containers", "failed", "said"),
    [
        (reader(), [], ""),
        (reader(port=8080), ["one-task"], "the fixed host port is taken"),
        (reader(memory=601), ["tasks-fit-on-the-host"], "no other host has the volume"),
    ],
    ids=["fits", "a fixed port", "no room for the third"],
)
def test_a_reader_behind_a_load_balancer_may_have_as_many_tasks_as_its_host_holds(containers, failed, said):
    """Each needs a port of its own, and all of them run where the volume is."""
    found = [check for check in check_scaling(scaling_of(containers, 3, balanced=True)) if not check.passed]
    assert [check.check_id for check in found] == failed
    assert said in "".join(check.why for check in found)


RANGE = {"min_tasks": 1, "max_tasks": 3, "target_cpu_percent": 60}


@pytest.mark.parametrize(
    ("wanted", "registered", "desired", "done"),
    [
        (None, None, 1, True),
        (3, None, 1, False),
        (3, RANGE, 2, True),
        (3, RANGE, 4, False),
        (3, RANGE | {"max_tasks": 2}, 1, False),
        (None, RANGE, 1, False),
        (None, None, 2, False),
    ],
    ids=["nothing", "not yet", "scaled", "too many", "another range", "not any more", "left behind"],
)
def test_the_tasks_of_a_reader_are_as_many_as_asked_for_and_kept_by_it(wanted, registered, desired, done):
    """What is registered and what runs must both be so; taking the wish away leads back to one task."""
    scaling = scaling_of(reader(), wanted, balanced=True, registered=registered, desired=desired)
    assert has_wanted_tasks(scaling) is done
    assert (say_tasks(scaling) == "") is done


@pytest.mark.parametrize(
    ("registered", "desired", "passed"),
    [({}, 1, True), ({}, 0, True), (RANGE, 1, False), (RANGE, 3, False), ({}, 2, False)],
    ids=["one task", "stopped", "registered", "scaled", "left behind"],
)
def test_nothing_is_stopped_while_something_starts_tasks(registered, desired, passed):
    """Every runbook that stops or moves the task says what to do first."""
    found = check_unscaled({"registered": registered, "service": {"desired_count": desired}})
    assert [check.passed for check in found] == ([] if passed else [False])
    assert all(one.fix == "take target.autoscaling out of the parameters, run 62_resize, then this" for one in found)


@pytest.mark.parametrize(("moved", "larger"), [(False, True), (True, False)], ids=["fresh run", "between two hosts"])
def test_a_volume_that_nobody_has_is_as_large_as_asked_only_for_a_run_that_moves_it(monkeypatch, moved, larger):
    """Its filesystem cannot be measured: a fresh run must not call it done; a run that has stopped the task may."""
    volume = {"volume_id": "vol-1", "holder": "", "size_gib": 12, "volume_type": "gp3", "iops": 3000}
    monkeypatch.setattr(volume_size, "observe_volume", lambda _run: volume | {"throughput_mibps": 125})
    wanted = SimpleNamespace(size_gib=12, type=None, iops=None, throughput_mibps=None)
    known = {"evidence"} | ({"outage"} if moved else set())
    run = SimpleNamespace(
        parameters=SimpleNamespace(volume=wanted),
        journal=SimpleNamespace(last=lambda kind, **_match: object() if kind in known else None),
        modifications=SimpleNamespace(newest=lambda _volume_id: {"state": ""}),
    )
    facts = volume_size.observe_size(run)
    assert (facts["larger"], volume_size.has_wanted_size(facts)) == (larger, not larger)
