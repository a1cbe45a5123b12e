"""What an image reference means, how a task may be replaced, and when a deployment has failed."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest

from runbook_lib.errors import HostCommandError, TakenBackError
from runbook_lib.procedures import deploy_image, host_image, prepare_host, roll_out
from runbook_lib.procedures.host_image import check_images, say_image
from runbook_lib.procedures.image_of_service import by_digest, serving_image, with_image
from runbook_lib.procedures.overlap import check_room, check_way, is_beside, observe_way
from runbook_lib.run import Run
from tests.sample_run import Story

SHA = "sha256:" + "0" * 64
DIGESTS = [f"other.example/guestbook@{SHA}", f"registry.example:5000/guestbook@{SHA}"]


@pytest.mark.parametrize(
    ("image", "digests", "expected"),
    [
        ("registry.example:5000/guestbook:1.1", DIGESTS, f"registry.example:5000/guestbook@{SHA}"),
        ("registry.example:5000/guestbook", DIGESTS, f"registry.example:5000/guestbook@{SHA}"),
        (f"registry.example/guestbook@{SHA}", [], f"registry.example/guestbook@{SHA}"),
        ("guestbook:built-here", DIGESTS, ""),
        ("guestbook:1.1", [], ""),
    ],
    ids=["tag", "no tag", "digest", "another repository", "from no registry"],
)
def test_an_image_is_named_by_the_digest_of_its_own_repository(image, digests, expected):
    """A port is no tag, another repository's digest is none of this image, one that was built has none."""
    assert by_digest(image, digests) == expected


def definition(*, read_only=False):
    """Return a task definition with a side-car that does not mount the volume."""
    mount = {"sourceVolume": "data", "containerPath": "/data", "readOnly": read_only}
    return {
        "volumes": [{"name": "data", "host": {"sourcePath": "/mnt/data"}}],
        "containerDefinitions": [
            {"name": "sidecar", "image": "sidecar:1"},
            {"name": "app", "image": "app:1", "mountPoints": [mount]},
        ],
    }


def test_the_image_that_serves_is_the_one_that_mounts_the_volume():
    """And it is the one that is replaced; the side-car keeps its own."""
    found = definition()
    assert serving_image(found) == "app:1"
    mapping = {"container_name": "app", "container_definitions": found["containerDefinitions"], "image": "app:1"}
    changed = with_image(mapping, "app:2")
    assert [one["image"] for one in changed["container_definitions"]] == ["sidecar:1", "app:2"]
    assert (changed["image"], mapping["container_definitions"][1]["image"]) == ("app:2", "app:1")


def way_of(way, *, read_only, balanced=True, port=0):
    """Return what is observed of a service whose parameters ask for a way."""
    containers = definition(read_only=read_only)["containerDefinitions"]
    containers[1] |= {"portMappings": [{"containerPort": 80, "hostPort": port}], "memory": 200, "cpu": 256}
    run = SimpleNamespace(
        parameters=SimpleNamespace(target=SimpleNamespace(deployment=way)),
        ecs=SimpleNamespace(
            container_instances=lambda: [{"instance_id": "i-1", "left": {"cpu_units": 500, "memory_mib": 100}}]
        ),
    )
    return observe_way(run, {"balanced": balanced}, {"containerDefinitions": containers}, "i-1")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (way_of("stop_then_start", read_only=False, port=80), ""),
        (way_of("blue_green", read_only=False), "both revisions at once"),
        (way_of("overlap", read_only=False), "while the running one writes"),
        (way_of("overlap", read_only=True), ""),
        (way_of("overlap", read_only=True, balanced=False), "without target.load_balancer clients do not find it"),
        (way_of("overlap", read_only=True, port=80), "the running revision has a fixed one"),
        (way_of("blue_green", read_only=True), "both revisions at once"),
    ],
    ids=["as ever", "blue/green", "a writer", "a reader", "no load balancer", "a fixed port", "a reader's blue/green"],
)
def test_only_a_reader_behind_a_load_balancer_overlaps_and_everything_else_has_its_reason(facts, why):
    """Whether it reads is told from the running containers; what is missing is named."""
    check = check_way(facts)
    assert check.passed is (why == "")
    assert why in check.why


def test_an_overlap_needs_room_for_two_tasks_on_the_host_of_the_volume():
    """ECS would wait for a place that no other host can give; without an overlap nobody asks."""
    (check,) = check_room(way_of("overlap", read_only=True))
    assert (check.passed, check.observed) == (False, "100 MiB and 500 CPU units")
    assert check_room(way_of("stop_then_start", read_only=True)) == ()


@pytest.mark.parametrize(
    ("revision", "said"),
    [("arn:1", "the circuit breaker went back ((service web) deployment failed)"), ("arn:2", "")],
    ids=["it did", "under way"],
)
def test_ecs_may_have_gone_back_before_anybody_saw_the_deployment_fail(revision, said):
    """The former task never stopped: the failed deployment is gone at once, and the service names the former one."""
    events = ["(service web) has reached a steady state.", "(service web) deployment failed"]
    facts = {"former": "arn:1", "service": {"task_definition_arn": revision, "events": events}}
    assert roll_out._went_back(facts) == said


ALONE = {"minimum_healthy_percent": 0, "maximum_percent": 100, "availability_zone_rebalancing": "DISABLED"}


@pytest.mark.parametrize(
    ("service", "way", "beside"),
    [
        (ALONE | {"maximum_percent": 200}, "overlap", True),
        (ALONE, "overlap", False),
        (ALONE | {"maximum_percent": 200}, "stop_then_start", False),
    ],
    ids=["under way", "over", "somebody else's"],
)
def test_an_overlap_that_was_killed_is_gone_on_with_and_other_settings_are_not(monkeypatch, service, way, beside):
    """It is this run's own when its revision is the service's and two tasks may run still."""
    monkeypatch.setattr("runbook_lib.procedures.overlap.wanted_revision", lambda _run: "arn:2")
    run = SimpleNamespace(parameters=SimpleNamespace(target=SimpleNamespace(deployment=way)))
    assert is_beside(run, service | {"task_definition_arn": "arn:2"}) is beside
    assert is_beside(run, service | {"task_definition_arn": "arn:1"}) is beside  # ECS went back meanwhile


def rollout(**facts):
    """Return facts of a deployment that is under way."""
    service = {"events": ["(service guestbook) is at it."], "deployments": facts.pop("deployments", [])}
    expected = {"volume_id": "vol-1", "filesystem_uuid": "u", "sentinel_sha256": "s"}
    return {"service": service, "revision": "arn:2", "task": None, "seen": {}, "expected": expected,
            "stopped_reasons": []} | facts  # fmt: skip


SEES = {"container": {"pid": 1}, "volume_id": "vol-1", "filesystem_uuid": "u", "sentinel": {"sha256": "s"},
        "mount": {"target": "/data"}}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (rollout(), ""),
        (rollout(deployments=[{"task_definition_arn": "arn:2", "rollout_state": "IN_PROGRESS"}]), ""),
        (rollout(deployments=[{"task_definition_arn": "arn:1", "rollout_state": "FAILED"}]), ""),
        (rollout(deployments=[{"task_definition_arn": "arn:2", "rollout_state": "FAILED"}]), "circuit breaker"),
        (rollout(task={"task_arn": "t"}, seen=SEES), ""),
        (rollout(task={"task_arn": "t"}, seen=SEES | {"volume_id": "vol-2"}), "vol-2"),
        (rollout(task={"task_arn": "t"}, seen=SEES | {"sentinel": None}), "observed no sentinel"),
        (rollout(task={"task_arn": "t"}, seen={"container": None, "volume_id": "", "sentinel": None}), ""),
        (rollout(task={"task_arn": "t"}, seen={"error": "no answer"}), ""),
    ],
    ids=["waits", "in progress", "an older one failed", "failed", "sees it", "sees another", "sees an empty folder",
         "the container has ended", "cannot look"],
)  # fmt: skip
def test_a_deployment_has_failed_when_ecs_says_so_or_the_task_sees_something_else(facts, problem):
    """Only these are beyond waiting."""
    found = roll_out._problem(facts)
    assert (problem in found, bool(found)) == (True, bool(problem))


def images(**wanted):
    """Return what is known of two machine images."""
    known = {"ami_id": "ami-1", "name": "al2023", "state": "available", "architecture": "x86_64", "age_days": 12,
             "agent_version": "1.106.1", "docker_version": "25.0.16", "kernel": "6.1"}  # fmt: skip
    chosen = {"own": True, "wanted_still": True, "source": "target.ami_id"}
    return {"chosen": chosen, "images": {"former": known, "wanted": known | wanted}}


@pytest.mark.parametrize(
    ("facts", "failed"),
    [
        (images(), []),
        (images(state=""), ["machine-image-available"]),
        (images(architecture="arm64"), ["machine-image-fits"]),
        (images() | {"chosen": images()["chosen"] | {"own": False}}, ["run-of-its-own"]),
        (images() | {"chosen": images()["chosen"] | {"wanted_still": False}}, ["machine-image-of-this-run"]),
    ],
    ids=["fits", "not there", "another architecture", "the run of a cutover", "another one was accepted meanwhile"],
)
def test_a_machine_image_must_be_there_and_fit(facts, failed):
    """Each defect has a check of its own."""
    assert [check.check_id for check in check_images(facts) if not check.passed] == failed


def test_a_run_keeps_the_image_that_it_chose_and_sees_when_another_is_asked_for(tmp_path, monkeypatch):
    """The newest is not looked for twice; a parameter that was changed and accepted since is no longer ignored."""
    monkeypatch.setattr(host_image, "_serving_image", lambda _run: "ami-1")
    newest = iter(["ami-2", "ami-3"])
    target = SimpleNamespace(ami_id=None)
    run = SimpleNamespace(
        journal=Story(tmp_path).journal,
        parameters=SimpleNamespace(target=target),
        aws=SimpleNamespace(parameter=lambda _name: next(newest)),
    )
    run.keep_evidence, run.evidence = partial(Run.keep_evidence, run), partial(Run.evidence, run)
    seen = []
    for target.ami_id in (None, None, "ami-2", "ami-9"):
        chosen = host_image.choose_host_image(run)
        seen.append((chosen["ami_id"], chosen["wanted_still"]))
    assert seen == [("ami-2", True), ("ami-2", True), ("ami-2", True), ("ami-2", False)]


def test_an_image_is_said_with_what_is_known_of_it():
    """Name, age, agent, Docker and kernel; what nobody tells is left out."""
    said = say_image(images()["images"]["wanted"])
    assert said == "ami-1 (al2023, 12 days old, agent 1.106.1, Docker 25.0.16, kernel 6.1)"
    unknown = dict.fromkeys(("name", "agent_version", "docker_version", "kernel"), "") | {"age_days": None}
    assert say_image({"ami_id": "ami-2", **unknown}) == "ami-2 (nothing known of it)"


def test_the_snapshot_is_waited_for_in_the_words_of_this_notebook():
    """What a plan has not made yet does not fail it: the check names the step here that makes it."""
    step = next(one for one in deploy_image.STEPS if one.step_id == "complete-snapshot-before-deployment")
    (check,) = step.check({"snapshot": None, "failed": [], "asked": ""})
    assert (check.passed, check.needs) == (False, "create-snapshot-before-deployment")
    assert check.fix == "run 61_deploy_image from the top"


class Group:
    """An Auto Scaling group that launches an instance, or says that it cannot."""

    def __init__(self, problem):
        self.desired, self._problem = [], problem

    def set_desired(self, _name, desired):
        self.desired.append(desired)

    def group(self, _name):
        new = {} if self._problem else {"i-new": "Pending"}
        return {"members": {"i-old": "InService"} | new}

    def launch_problem(self, _name, since):
        assert since == datetime(2026, 1, 2, tzinfo=UTC)
        return self._problem


@pytest.mark.parametrize(("problem", "desired"), [("", [2]), ("no capacity.", [2, 1])], ids=["comes", "no capacity"])
def test_a_launch_that_fails_is_taken_back(problem, desired, monkeypatch):
    """The group wants as many as before, and the error says that nothing has changed."""
    monkeypatch.setattr(prepare_host, "_wait_until_ready", lambda _run: None)
    group = Group(problem)
    event = SimpleNamespace(at_utc="2026-01-02T00:00:00+00:00")
    run = SimpleNamespace(
        container_hosts=group,
        journal=SimpleNamespace(last=lambda *_a, step_id, **_k: event if step_id == prepare_host.LAUNCH_ID else None),
        clock=SimpleNamespace(monotonic=lambda: 0.0, parse=datetime.fromisoformat, sleep=lambda _s: None),
    )
    before = {"idle": [], "coming": [], "group_name": "g", "staying": ["i-old"]}
    if problem:
        with pytest.raises(TakenBackError, match="the group wants 1 again") as caught:
            prepare_host._launch(run, before)
        assert caught.value.changed == "no"
    else:
        prepare_host._launch(run, before)
    assert group.desired == desired


class Boots:
    """Hosts that say how they booted, and a group from which they can be removed."""

    def __init__(self, statuses):
        self.removed, self.now, self._statuses = [], 0.0, statuses

    def remove(self, instance_id):
        self.removed.append(instance_id)

    def monotonic(self):
        self.now += 60.0
        return self.now

    def host(self, instance_id):
        return SimpleNamespace(run=lambda _script, **_arguments: self.read_boot(instance_id))

    def read_boot(self, instance_id):
        if instance_id not in self._statuses:
            raise HostCommandError("read_boot", instance_id, "not online yet")
        found = {"status": self._statuses[instance_id], "errors": "runcmd failed", "detail": ""}
        return {"cloud_init": found, "boot_log": ["no such plugin"]}


@pytest.mark.parametrize(
    ("statuses", "ready_after", "removed", "said"),
    [
        ({"i-new": "running"}, 3, [], ""),
        ({"i-new": "error"}, 99, ["i-new"], "runcmd failed; its log ends: no such plugin"),
        ({"i-new": "done"}, 99, ["i-new"], "i-new did not become ready: no instance yet"),
        ({}, 99, ["i-new"], "i-new did not become ready: no instance yet"),
    ],
    ids=["ready in time", "its boot failed", "too late", "never reachable"],
)
def test_a_host_that_does_not_become_ready_is_ended(monkeypatch, statuses, ready_after, removed, said):
    """At once when its boot failed, else after a quarter of an hour; then nothing has changed."""
    boots, looks = Boots(statuses), itertools.count(1)
    facts = {"coming": ["i-new"], "boot": "no instance yet", "drivers": {"volume": {"holder": "i-old"}}}
    monkeypatch.setattr(prepare_host, "_observe", lambda _run: facts | {"ready": next(looks) > ready_after})
    monkeypatch.setattr(prepare_host, "_is_ready", lambda found: found["ready"])
    clock = SimpleNamespace(monotonic=boots.monotonic, sleep=lambda _s: None)
    run = SimpleNamespace(container_hosts=boots, clock=clock, host=boots.host)
    if said:
        with pytest.raises(TakenBackError, match=said) as caught:
            prepare_host._wait_until_ready(run)
        assert caught.value.changed == "no"
    else:
        prepare_host._wait_until_ready(run)
    assert boots.removed == removed


@pytest.mark.parametrize("status", ["error", "done"])
def test_a_host_that_has_the_volume_is_never_ended(monkeypatch, status):
    """Its boot may say what it likes, and a quarter of an hour may pass: what writes to the volume is left alone."""
    boots = Boots({"i-new": status})
    facts = {"coming": ["i-new"], "boot": "", "drivers": {"volume": {"holder": "i-new"}}}
    monkeypatch.setattr(prepare_host, "_observe", lambda _run: facts)
    monkeypatch.setattr(prepare_host, "_is_ready", lambda _facts: False)
    clock = SimpleNamespace(monotonic=boots.monotonic, sleep=lambda _s: None)
    prepare_host._wait_until_ready(SimpleNamespace(container_hosts=boots, clock=clock, host=boots.host))
    assert boots.removed == []
