"""The sandbox's event log says from when to when each container ran, and what it could write to."""

import json

import pytest
from sandbox.host_world import TestWorld

from runbook_lib.sandbox.containers import ContainerSpec, EngineError, Mount

FILES = "registry.sandbox/files:1.0"


@pytest.fixture
def town(tmp_path):
    """Return a world of its own."""
    town = TestWorld(tmp_path)
    yield town
    town.close()


def record(town):
    """Return the events about containers, oldest first."""
    lines = (town.world.state_dir / "events.jsonl").read_text("utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["kind"].startswith("container-")]


def test_start_and_end_of_a_container_are_recorded_with_what_it_may_write_to(town):
    """Volume or root disk, read-only or not; and an end comes before the next start, whoever ends it."""
    host = town.host()
    volume_id = town.volume(host, "/srv/data")
    mounts = [Mount("bind", "/srv/data", "/data"), Mount("bind", "/srv/other", "/other", read_only=True)]
    first = host.engine.run(ContainerSpec("first", FILES, mounts=mounts))
    host.engine.kill(first.id)
    first.wait(("exited",), 30)
    host.engine.run(ContainerSpec("second", FILES, mounts=mounts))
    town.world.stop_instance(host.instance_id, graceful=False)
    assert [(event["kind"], event["name"]) for event in record(town)] == [
        ("container-started", "first"),
        ("container-ended", "first"),
        ("container-started", "second"),
        ("container-ended", "second"),
    ]
    assert record(town)[0]["mounts"] == [
        {"volume_id": volume_id, "target": "/data", "read_only": False},
        {"volume_id": "", "target": "/other", "read_only": True},
    ]


def test_a_container_whose_program_is_missing_ends_at_once(town):
    """A start that fails leaves no container that seems to run."""
    host = town.host()
    with pytest.raises(EngineError):
        host.engine.run(ContainerSpec("odd", FILES, entrypoint=["/nothing/here"]))
    assert [event["kind"] for event in record(town)] == ["container-started", "container-ended"]
