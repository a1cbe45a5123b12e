"""What 00 wants of the compose project before anything else: every service that moves as it is to move."""

from __future__ import annotations

import pytest

from runbook_lib.procedures import inspect_source


def container(service, status="running", exit_code=0):
    """Return the facts of a container as host script `compose_config` has them."""
    return {"service": service, "status": status, "exit_code": exit_code, "name": f"x-{service}-1"}


def failed(containers, one_shots=(), sub_path=""):
    """Return the ids of the checks that fail for a guestbook that moves with two services."""
    facts = {
        "services": ["prepare", "guestbook", "reader"], "one_shots": list(one_shots), "containers": containers,
        "sub_path": sub_path, "refused": [],
    }  # fmt: skip
    return [check.check_id for check in inspect_source._check_compose(facts) if not check.passed]


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
