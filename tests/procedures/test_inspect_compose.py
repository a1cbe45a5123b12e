"""What 00 wants of the compose project before anything else: every service that moves as it is to move."""

from __future__ import annotations

import pytest

from runbook_lib.procedures import provision_target, source_compose


def container(service, status="running", exit_code=0):
    """Return the facts of a container as host script `compose_config` has them."""
    return {"service": service, "status": status, "exit_code": exit_code, "name": f"x-{service}-1"}


def failed(containers, one_shots=(), sub_path=""):
    """Return the ids of the checks that fail for a guestbook that moves with two services."""
    facts = {
        "services": ["prepare", "guestbook", "reader"], "one_shots": list(one_shots), "containers": containers,
        "sub_path": sub_path, "refused": [],
    }  # fmt: skip
    return [check.check_id for check in source_compose.check_compose(facts) if not check.passed]


@pytest.mark.parametrize(
    ("prepare", "one_shots", "expected"),
    [
        (container("prepare"), (), []),
        (container("prepare", "exited"), ("prepare",), []),
        (container("prepare"), ("prepare",), []),
        (container("prepare", "exited", 1), ("prepare",), ["compose-service-running"]),
        (container("prepare", "exited"), (), ["compose-service-running"]),
    ],
    ids=["it runs", "it has done its work", "it works still", "it failed", "it should run"],
)
def test_each_service_runs_or_has_done_its_work(prepare, one_shots, expected):
    """What moves must run, but for what others wait for to end: that may have ended well."""
    assert failed([prepare, container("guestbook"), container("reader")], one_shots) == expected


@pytest.mark.parametrize(
    "containers",
    [
        [container("prepare"), container("guestbook")],
        [container("prepare"), container("guestbook"), container("reader"), container("reader")],
        [container("prepare"), container("guestbook", "restarting"), container("reader")],
    ],
    ids=["one is missing", "one is there twice", "the service itself is down"],
)
def test_a_service_that_is_not_there_once_is_refused(containers):
    """None, and two, are not what the task will have."""
    assert failed(containers) == ["compose-service-running"]


def test_a_service_that_sees_a_folder_only_is_refused():
    """The proof on ECS reads at the volume's root through the service's container."""
    containers = [container(name) for name in ("prepare", "guestbook", "reader")]

    assert failed(containers, sub_path="app") == ["service-sees-the-root"]


@pytest.mark.parametrize(("reserved_mib", "passed"), [(1800, True), (2000, False)])
def test_containers_must_fit_into_every_instance_type(reserved_mib, passed):
    """The memory of all containers together, beside the agent, or ECS finds no place inside the outage."""
    facts = {"reserved_mib": reserved_mib, "host_mib": {"t3.small": 2048, "m6i.large": 8192, "x9.odd": 0}}
    check = provision_target._check_memory(facts)

    assert (check.passed, "t3.small has 2048 MiB" in check.observed) == (passed, not passed)
