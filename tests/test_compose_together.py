"""Several compose services as one task: who moves, in which order, who waits for whom, and by which names."""

from __future__ import annotations

from typing import Any

import pytest
from parameter_sets import SANDBOX, changed

from runbook_lib import compose, parameters
from runbook_lib.model import TaskMapping

CHECK = {"test": ["CMD", "ready"]}


def service(*mounts: str, **keys: Any) -> dict[str, Any]:
    """Return a service with a memory limit and these mounts."""
    return {"image": "x:1", "mem_limit": "64m", "volumes": list(mounts), **keys}


def mapped(data: dict[str, Any] | None = None, main: dict[str, Any] | None = None, **others: Any) -> TaskMapping:
    """Return the mapping of the guestbook with these keys, beside other services."""
    services = {"guestbook": service("/srv/guestbook:/data", **(main or {})), **others}
    return compose.map_service({"services": services}, parameters.load(SANDBOX, data))


def container(mapping: TaskMapping, name: str) -> dict[str, Any]:
    """Return a container definition."""
    return next(one for one in mapping.container_definitions if one["name"] == name)


def fixes(mapping: TaskMapping) -> dict[str, str]:
    """Return the fixes of the refused keys by key."""
    return {one.key: one.consequence for one in compose.refused(mapping)}


def test_who_uses_the_volume_moves_along_and_others_are_told():
    """A second service on the volume is a container of the task; one without it is left, and that is said."""
    found = mapped(backup=service("/srv/guestbook:/all:ro"), admin=service("/var/x:/x"))

    assert fixes(found) == {}
    assert found.services == ("guestbook", "backup")
    assert [one["name"] for one in found.container_definitions] == ["guestbook", "backup"]
    assert container(found, "backup")["mountPoints"] == [
        {"sourceVolume": "guestbook-data", "containerPath": "/all", "readOnly": True}
    ]
    left = next(one for one in found.mappings if one.key == "services.admin")
    assert (left.outcome, "stops the whole project and keeps it stopped" in left.consequence) == ("dropped", True)


def test_what_the_service_needs_moves_before_it():
    """Dependencies of dependencies, links and the owners of taken mounts become containers that start first."""
    found = mapped(
        main={
            "depends_on": {"db": {"condition": "service_healthy"}}, "links": ["cache:store"], "volumes_from": ["files"]
        },
        db=service(healthcheck=CHECK, depends_on={"init": {"condition": "service_completed_successfully"}}),
        init=service(), cache=service(), files=service("/srv/guestbook:/files"), stranger=service(),
    )  # fmt: skip

    assert fixes(found) == {}
    assert found.services == ("cache", "init", "db", "files", "guestbook")
    assert found.one_shots == ("init",)
    assert container(found, "guestbook")["dependsOn"][0] == {"containerName": "db", "condition": "HEALTHY"}
    assert {"containerName": "init", "condition": "SUCCESS"} in container(found, "db")["dependsOn"]
    assert container(found, "guestbook")["links"] == ["cache", "cache:store", "db", "files"]


@pytest.mark.parametrize(
    ("keys", "essential", "said"),
    [
        ({}, False, "goes on without it"),
        ({"restart": "no"}, False, "goes on without it"),
        ({"restart": "unless-stopped"}, True, "replaces the whole task"),
        ({"deploy": {"restart_policy": {"condition": "any"}}}, True, "replaces the whole task"),
        ({"deploy": {"restart_policy": {"condition": "none"}}}, False, "goes on without it"),
    ],
)
def test_only_what_compose_restarts_is_essential(keys, essential, said):
    """A container that compose lets end may end on ECS too; one that it restarts takes the task with it."""
    found = mapped(backup=service("/srv/guestbook:/all", **keys))

    assert container(found, "backup")["essential"] is essential
    assert container(found, "guestbook")["essential"] is True
    assert any(said in one.consequence for one in found.mappings if one.key == "services.backup.restart")


@pytest.mark.parametrize(
    ("main", "other", "key", "fix"),
    [
        ({"depends_on": {"db": {"condition": "service_healthy"}}}, {}, "guestbook.depends_on.db", "db's healthcheck"),
        ({"depends_on": {"gone": {"condition": "service_started"}}}, {}, "guestbook.depends_on.gone", "has no such"),
        ({"depends_on": {"db": {"condition": "service_glad"}}}, {}, "guestbook.depends_on.db", "is unknown"),
        ({"depends_on": ["db"]}, {"depends_on": ["guestbook"]}, "guestbook.depends_on", "wait for each other"),
        ({}, {"depends_on": {"guestbook": {"condition": "service_completed_successfully"}}},
         "db.depends_on.guestbook", "name another one in source.service"),
        ({"links": ["gone"]}, {}, "guestbook.links.gone", "no such service"),
        ({"network_mode": "service:db"}, {}, "guestbook.network_mode", "reach it as db"),
        ({"pid": "service:db"}, {}, "guestbook.pid", "do not see each other"),
        ({"volumes_from": ["container:x"], "volumes": ["/srv/guestbook:/data"]}, {}, "guestbook.volumes_from[0]",
         "no service of this configuration"),
        ({}, {"restart": "on-failure"}, "db.restart", "always, unless-stopped or no"),
        ({}, {"mem_limit": None}, "db.(memory)", "set target.other_containers.db.memory_mib"),
        ({}, {"environment": {"PASSWORD": "x1"}}, "db.environment.PASSWORD", "other_containers.db.secrets.PASSWORD"),
        ({}, {"image": None, "build": "."}, "db.image", "target.other_containers.db.image"),
        ({}, {"networks": {"default": {"aliases": ["a.b"]}}}, "guestbook.networks", "letters, digits"),
        ({}, {"networks": {"default": {"ipv4_address": "10.1.1.1"}}}, "db.networks.default.ipv4_address", "use names"),
        ({}, {"secrets": ["s"]}, "db.secrets[0]", "let the image read a variable"),
        ({}, {"secrets": ["s"], "environment": {"K_FILE": "/run/secrets/s"}}, "db.secrets[0]", ".secrets.K"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_between_services_is_refused(main, other, key, fix):
    """What would change how the services work together is refused at the service that says it."""
    main = {"depends_on": ["db"]} | main
    found = fixes(mapped(main=main, db=service("/srv/guestbook:/db", **other)))

    assert fix in found[f"services.{key}"]


def test_names_go_one_way_and_that_is_said():
    """A container reaches what started before it by name and alias; the other way it is told that it does not."""
    found = mapped(
        main={"depends_on": ["db"], "networks": {"back": None}},
        db=service(networks={"back": {"aliases": ["sql"]}, "front": None}),
        cron=service("/srv/guestbook:/c", networks={"front": None}),
    )

    assert container(found, "guestbook")["links"] == ["db", "db:sql"]
    assert container(found, "cron")["links"] == ["db", "db:sql"] or container(found, "cron")["links"] == ["db"]
    assert "links" not in container(found, "db")
    told = {one.key: one.consequence for one in found.mappings if one.key.endswith(".networks")}
    assert "Not guestbook, cron" in told["services.db.networks"]
    assert told["services.guestbook.networks"].startswith("Reaches db by name.")


def test_the_parameters_replace_values_of_each_container():
    """What target.other_containers says counts for that container alone."""
    data = changed("target.other_containers", {"db": {
        "image": "db@sha256:" + "0" * 64, "memory_mib": 128, "cpu": 64, "environment": {"LEVEL": "debug"},
        "secrets": {"PASSWORD": "ssm:/db"}, "not_secret": ["TOKEN_TTL"],
    }})  # fmt: skip
    found = mapped(data, {"depends_on": ["db"]}, db=service(environment={"PASSWORD": "x1", "TOKEN_TTL": "60"}))
    db = container(found, "db")

    assert fixes(found) == {}
    assert (db["image"][:10], db["memory"], db["cpu"]) == ("db@sha256:", 128, 64)
    assert db["environment"] == [{"name": "LEVEL", "value": "debug"}, {"name": "TOKEN_TTL", "value": "60"}]
    assert [one["name"] for one in db["secrets"]] == ["PASSWORD"]
    assert {"environment", "secrets"} & container(found, "guestbook").keys() == set()


def test_a_section_for_a_container_that_does_not_move_is_refused():
    """A section that nothing uses is a mistake: the service has another name, or stays."""
    found = fixes(mapped(changed("target.other_containers", {"db": {"memory_mib": 64}})))

    assert "which has none" in found["services.guestbook.(target.other_containers.db)"]


def test_two_services_of_one_container_name_are_refused():
    """ECS takes no dots in names, so two names may become one."""
    found = fixes(mapped(main={"depends_on": ["a.b", "a-b"]}, **{"a.b": service(), "a-b": service()}))

    assert "rename one" in found["services.guestbook.(name)"]


def test_an_optional_dependency_that_is_not_there_is_dropped():
    """Compose starts without it, and so does ECS."""
    found = mapped(main={"depends_on": {"gone": {"condition": "service_started", "required": False}}})

    assert fixes(found) == {}
    assert "dependsOn" not in container(found, "guestbook")


def test_containers_stop_one_by_one():
    """The grace period of the task is that of all its containers together."""
    found = mapped(main={"stop_grace_period": "10s"}, b=service("/srv/guestbook:/b", stop_grace_period="20s"))

    assert found.stop_timeout_s == 30


def test_mounts_are_taken_once():
    """Services that take mounts from each other end, and a path of the service's own wins."""
    found = mapped(
        main={"volumes_from": ["b"]},
        b=service("/srv/guestbook:/data:ro", "/srv/guestbook:/b", volumes_from=["guestbook"]),
    )

    points = {one["containerPath"]: one["readOnly"] for one in container(found, "guestbook")["mountPoints"]}
    assert points == {"/data": False, "/b": False}


def test_what_the_bridge_network_does_not_know_is_told():
    """Settings of networks that the task's network has not are dropped with their consequence, or refused."""
    services = {
        "guestbook": service("/srv/guestbook:/d", networks={"a": {"priority": 10}, "b": None}, depends_on=["db"]),
        "db": service(networks={"a": None}),
    }
    networks = {"a": {"internal": True, "external": True}, "b": {"driver": "macvlan"}}
    found = compose.map_service({"services": services, "networks": networks}, parameters.load(SANDBOX))
    told = {one.key: one.consequence for one in found.mappings if one.outcome == "dropped"}

    assert "driver macvlan" in fixes(found)["services.guestbook.networks.b"]
    assert told["services.guestbook.networks.a"].startswith("priority:")
    assert "can reach beyond" in told["services.guestbook.networks.a.internal"]
    assert "other projects" in told["services.guestbook.networks.a.external"]


def test_mounts_that_are_taken_but_not_new_are_told():
    """A service whose every path the other one has itself gives nothing, and that is said."""
    found = mapped(main={"volumes_from": ["b"]}, b=service("/srv/guestbook:/data"))

    dropped = [one.key for one in found.mappings if one.outcome == "dropped"]
    assert "services.guestbook.volumes_from[0]" in dropped


def test_which_services_move_is_known_without_the_rest():
    """The way back asks for the services alone."""
    config = {
        "services": {"guestbook": service("/srv/guestbook:/d"), "b": service("/srv/guestbook:/b"), "c": service()}
    }

    assert compose.moving_services(config, parameters.load(SANDBOX)) == ("guestbook", "b")
