"""What a service runs on is read from its task definition; when a change of its storage driver has something to do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib.model import Check
from runbook_lib.procedures import (
    change_storage_driver,
    manifest_of_change,
    prepare_storage_driver,
    storage_drivers,
)
from runbook_lib.procedures.driver_plan import _kept_scaling, check_only_driver
from runbook_lib.procedures.driver_steps import in_words_of_change
from runbook_lib.procedures.manifest_of_change import has_manifest
from runbook_lib.procedures.observations import CUT_OVER_TAG
from runbook_lib.procedures.prepare_storage_driver import WITHHOLD_VOLUME
from runbook_lib.procedures.storage_drivers import is_settled, volume_of
from runbook_lib.procedures.task_mapping import mapping_of

PLUGIN = {"name": "data", "dockerVolumeConfiguration": {"scope": "shared", "driver": "rexray/ebs"}}
FOLDER = {"name": "data", "host": {"sourcePath": "/mnt/runbook/data"}}
CONTAINER = {
    "name": "guestbook",
    "image": "registry.example/guestbook:1.0",
    "environment": [],
    "portMappings": [{"containerPort": 8080, "hostPort": 80}],
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": False}],
    "secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:a"}, {"name": "B", "valueFrom": "/plain"}],
}


def drivers(**changed):
    """Return the facts of a service that runs on host_mount, which is what is wanted, with changes."""
    settled = {
        "service": {"desired_count": 1, "task_definition_arn": "arn:2"},
        "current": volume_of({"volumes": [FOLDER]}),
        "wanted": "host_mount",
        "revision": "arn:2",
        "changed": True,
        "hosts": [],
        "former": [],
        "beside": False,
        "volume": {"volume_id": "vol-1", "tags": {CUT_OVER_TAG: "then"}, "on_source": False, "holder": "i-1"},
        "tasks": ["arn:task"],
        "registered": {},
    }
    return settled | changed


@pytest.mark.parametrize(
    ("volumes", "driver", "alias", "path"),
    [
        ([PLUGIN], "rexray", "rexray/ebs", ""),
        ([FOLDER], "host_mount", "", "/mnt/runbook/data"),
        ([], "", "", ""),
        ([PLUGIN, FOLDER], "", "", ""),
        ([{"name": "scratch"}], "", "", ""),
    ],
    ids=["a plugin's", "the host's", "none", "two", "of the task alone"],
)
def test_the_driver_is_read_from_the_task_definition(volumes, driver, alias, path):
    """One volume tells it; none, several, or another kind are no driver."""
    found = volume_of({"volumes": volumes})
    assert (found["driver"], found["plugin_alias"], found["mount_path"]) == (driver, alias, path)


def test_the_containers_are_taken_over_with_the_volumes_next_name():
    """What the next revision needs is read from the running one; empty settings that ECS fills in are left out."""
    definition = {"containerDefinitions": [CONTAINER], "volumes": [PLUGIN]}
    mapping = mapping_of(definition, volume_of(definition), "other-name", "guestbook")
    (container,) = mapping["container_definitions"]
    assert container["mountPoints"][0]["sourceVolume"] == "other-name"
    assert "environment" not in container
    assert (mapping["container_name"], mapping["container_path"]) == ("guestbook", "/data")
    assert (mapping["container_port"], mapping["host_port"]) == (8080, 80)
    assert mapping["secret_arns"] == ["arn:aws:secretsmanager:a"]
    assert CONTAINER["mountPoints"][0]["sourceVolume"] == "data", "the definition itself is not altered"


@pytest.mark.parametrize("first", ["guestbook", "backup"])
def test_the_container_that_serves_is_known_among_several(first):
    """Where several containers see the volume, the moved service's is taken, in whatever order ECS lists them."""
    backup = {"name": "backup", "image": "b:1", "mountPoints": [{"sourceVolume": "data", "containerPath": "/all"}]}
    containers = sorted([CONTAINER, backup], key=lambda one: one["name"] != first)
    definition = {"containerDefinitions": containers, "volumes": [PLUGIN]}
    mapping = mapping_of(definition, volume_of(definition), "other-name", "guestbook")
    assert (mapping["container_name"], mapping["container_path"]) == ("guestbook", "/data")
    assert {p["sourceVolume"] for c in mapping["container_definitions"] for p in c["mountPoints"]} == {"other-name"}


@pytest.mark.parametrize(
    "changed",
    [
        {"wanted": "rexray"},
        {"former": ["i-0"]},
        {"tasks": []},
        {"service": {"desired_count": 0, "task_definition_arn": "arn:2"}},
        {"revision": "arn:3"},
    ],
    ids=["another driver is wanted", "a former host is left", "no task", "stopped", "a newer revision"],
)
def test_there_is_something_to_do(changed):
    """Only a running service on the wanted driver and revision, without other hosts, is left alone."""
    assert is_settled(drivers())
    assert not is_settled(drivers(**changed))


WHOLE = {"min_tasks": 2, "max_tasks": 3, "target_cpu_percent": 60}
CUT_OFF = WHOLE | {"target_cpu_percent": 0}


@pytest.mark.parametrize(
    ("registered", "asked", "kept"),
    [(WHOLE, None, WHOLE), ({}, WHOLE, {}), (CUT_OFF, WHOLE, WHOLE), (CUT_OFF, None, {})],
    ids=["as it is", "not yet there", "cut off while it came", "cut off while it went"],
)
def test_a_plan_keeps_a_scaling_that_is_whole(registered, asked, kept):
    """What an apply that was killed left without a policy is no setting that Terraform takes."""
    target = SimpleNamespace(autoscaling=asked and SimpleNamespace(**asked))
    run = SimpleNamespace(parameters=SimpleNamespace(target=target))
    assert _kept_scaling(run, registered) == ({"autoscaling": kept} if kept else {})


@pytest.mark.parametrize("only_reads", [True, False])
def test_more_tasks_of_a_reader_are_nothing_to_move(only_reads):
    """Registered or not: a scaling cut off half-way leaves them so. Those of a writer are something to do."""
    two = {"desired_count": 2, "task_definition_arn": "arn:2"}
    found = drivers(service=two, tasks=["t1", "t2"], registered={}, only_reads=only_reads)
    assert is_settled(found) == only_reads


@pytest.mark.parametrize(
    ("changed", "done"),
    [
        ({}, True),
        ({"wanted": "rexray"}, True),
        ({"current": volume_of({"volumes": [PLUGIN]})}, False),
        ({"current": volume_of({"volumes": [PLUGIN]}), "volume": {"tags": {}}}, True),
    ],
    ids=["a unit has it rightly", "no unit will come", "a unit would take it", "withheld already"],
)
def test_the_tag_is_taken_away_only_from_a_volume_that_a_unit_must_not_take(changed, done):
    """Taken from a unit that serves, it would be an outage; left to a prepared one, a second holder."""
    assert WITHHOLD_VOLUME.is_done(drivers(**changed)) is done


def test_a_manifest_counts_only_while_nobody_writes():
    """With a task or a desired count it says nothing; once the service was moved, nothing is left to read."""
    down = {"service": {"desired_count": 0, "task_definition_arn": "arn:1"}, "tasks": [], "changed": False}
    assert has_manifest({"drivers": drivers(**down), "manifest_seq": 7})
    assert not has_manifest({"drivers": drivers(**down), "manifest_seq": 0})
    assert not has_manifest({"drivers": drivers(**down | {"tasks": ["arn:task"]}), "manifest_seq": 7})
    assert has_manifest({"drivers": drivers(**down | {"changed": True}), "manifest_seq": 0})


def test_a_run_that_finds_the_service_down_measures_the_outage_from_there(monkeypatch):
    """Without a noted outage nobody would ever see it end: the start would wait for an answer for ever."""
    noted, events = [], []
    held = {"volume_id": "vol-2", "filesystem_uuid": "u", "below_mount": "", "sentinel": None, "view": "/mnt"}
    monkeypatch.setattr(manifest_of_change, "note_outage_start", lambda _run, _urls: noted.append("outage"))
    monkeypatch.setattr(manifest_of_change, "hold", lambda *_arguments: held)
    run = SimpleNamespace(
        parameters=SimpleNamespace(volume=SimpleNamespace(volume_id="vol-1")),
        journal=SimpleNamespace(append=lambda kind, **fields: events.append((kind, fields["volume_id"]))),
    )
    manifest_of_change.COMPLETE_MANIFEST_OF_CHANGE.act(run, {"by_unit": False, "gate": {}, "reader": "i-1"})
    assert noted == ["outage"]
    assert events == [("volume-held", "vol-2")], "of another volume no manifest is taken; the check names it"


def test_a_plan_may_change_nothing_but_the_driver():
    """A change of anything else, the service above all, is refused and named."""
    mine = [{"address": "module.ecs_service.aws_ecs_task_definition.this", "actions": ["create", "delete"]}]
    other = [*mine, {"address": "module.ecs_service.aws_ecs_service.this", "actions": ["update"]}]
    (allowed,) = check_only_driver({"changes": mine, "guard": []})
    (refused,) = check_only_driver({"changes": other, "guard": []})
    assert (allowed.passed, refused.passed) == (True, False)
    assert "aws_ecs_service" in refused.observed


def test_checks_of_the_migration_name_the_notebooks_of_the_change():
    """Who reads a refusal in 66 is not sent to the cutover."""
    check = Check("a", passed=False, expected="", observed="", fix="run 30_cut_over_volume", needs="name-volume")
    (said,) = in_words_of_change([check])
    assert (said.fix, said.needs) == ("run 66_change_storage_driver", "hand-volume-over")


def test_every_need_of_a_change_is_a_step_of_it():
    """A check that waits for a step waits for one of these two notebooks, so that a plan is not refused by it."""
    steps = (*prepare_storage_driver.STEPS, *change_storage_driver.STEPS)
    ids = {step.step_id for step in steps}
    facts = drivers(wanted="rexray") | {"by_name_alone": True}
    for name in ("RELEASE_VOLUME", "STOP_SERVICE_FOR_CHANGE"):
        step = getattr(change_storage_driver, name)
        needs = {check.needs for check in step.check({"drivers": facts, "manifest_seq": 0})}
        assert needs - {""} <= ids


class PatchingRun:
    """A run that patches or resizes hosts, as far as it is asked which are former and whether the volume left them."""

    def __init__(self, monkeypatch, wanted, *, hosts, holder, desired=0, tasks=(), copied=False, stopped=True):
        definition = {"containerDefinitions": [CONTAINER], "volumes": [PLUGIN]}
        service = {"exists": True, "desired_count": desired, "task_definition_arn": "arn:2"}
        instances = [
            {"instance_id": one, "container_instance_arn": f"arn:{one}", "status": status, "agent_connected": True,
             "agent_version": "1", "docker_version": "2",
             "attributes": {"runbook.storage": "rexray", "ecs.ami-id": kind, "ecs.instance-type": kind}}
            for one, (kind, status) in hosts.items()
        ]  # fmt: skip
        self.ecs = SimpleNamespace(
            describe_service=lambda: service, container_instances=lambda: instances,
            task_definition=lambda _arn: definition, tasks=lambda: [{"task_arn": one} for one in tasks],
        )  # fmt: skip
        storage, volume = SimpleNamespace(driver="rexray"), SimpleNamespace(volume_id="vol-1")
        self.parameters = SimpleNamespace(storage=storage, volume=volume)
        known = {"storage-driver", wanted, *(["outage"] if stopped else [])}
        self.journal = SimpleNamespace(last=lambda kind, name="", **_: object() if (name or kind) in known else None)
        volume = {"volume_id": "vol-1", "holder": holder, "on_source": False, "tags": {}}
        monkeypatch.setattr(storage_drivers, "observe_volume", lambda _run: volume)
        monkeypatch.setattr(storage_drivers, "rollback_points", lambda _run: [{"is_current": True}] if copied else [])

    @staticmethod
    def evidence(name):
        return {
            storage_drivers.PATCH: {"ami_id": "new"},
            storage_drivers.SIZE: {"instance_types": ["best", "new"]},
        }.get(name, {"task_definition_arn": "arn:2"})


OLD, NEW, DRAINED = ("old", "ACTIVE"), ("new", "ACTIVE"), ("old", "DRAINING")


@pytest.mark.parametrize(
    ("facts", "changed", "settled"),
    [
        ({"hosts": {"i-old": OLD}, "holder": "i-old", "desired": 1, "tasks": ["t"]}, False, False),
        ({"hosts": {"i-old": OLD, "i-new": NEW}, "holder": "i-old"}, False, False),
        ({"hosts": {"i-old": DRAINED, "i-new": NEW}, "holder": ""}, False, False),
        ({"hosts": {"i-old": DRAINED, "i-new": NEW}, "holder": "", "copied": True}, True, False),
        ({"hosts": {"i-old": OLD, "i-new": NEW}, "holder": "", "copied": True}, False, False),
        ({"hosts": {"i-old": DRAINED, "i-new": NEW}, "holder": "i-old", "copied": True}, False, False),
        ({"hosts": {"i-old": DRAINED, "i-new": NEW}, "holder": "i-new", "desired": 1, "tasks": ["t"]}, True, False),
        ({"hosts": {"i-new": NEW}, "holder": "i-new", "desired": 1, "tasks": ["t"]}, True, True),
        (
            {"hosts": {"i-old": OLD, "i-new": NEW}, "holder": "i-new", "desired": 1, "tasks": ["t"], "stopped": False},
            True,
            True,
        ),
    ],
    ids=["serves", "stopped", "let go", "copied", "not drained", "not let go", "started", "over", "only prepared"],
)
@pytest.mark.parametrize("wanted", [storage_drivers.PATCH, storage_drivers.SIZE])
def test_hosts_are_left_when_no_former_one_may_have_the_volume(monkeypatch, facts, changed, settled, wanted):
    """Drained, let go and copied by this run, or served elsewhere; over with no former host, or one merely beside.

    A host is former by its machine image in a patch, by its instance type in a resize; any type of the list will do.
    """
    seen = storage_drivers.observe_drivers(PatchingRun(monkeypatch, wanted, **facts))
    assert seen["former"] == [one for one in facts["hosts"] if one == "i-old"]
    assert (bool(seen["changed"]), is_settled(seen)) == (changed, settled)
