"""Compose to ECS: what each key becomes, what is refused, and that nothing disappears silently."""

from __future__ import annotations

from typing import Any

import pytest
from parameter_sets import SANDBOX, changed

from runbook_lib import compose, parameters
from runbook_lib.model import TaskMapping

DATA = {"type": "bind", "source": "/srv/guestbook", "target": "/data", "bind": {"create_host_path": True}}


def mapped(service: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **others: Any) -> TaskMapping:
    """Return the mapping of a service that has an image and the data volume, with these keys added."""
    config = {
        "name": "guestbook",
        "services": {"guestbook": {"image": "registry.sandbox/guestbook:1.0", "volumes": [DATA], **(service or {})}},
        **others,
    }
    return compose.map_service(config, parameters.load(SANDBOX, data))


def definition(**service: Any) -> dict[str, Any]:
    """Return the container definition of such a service, which must be complete."""
    mapping = mapped(service)
    assert compose.refused(mapping) == ()
    return mapping.container_definitions[0]


def refusals(service: dict[str, Any], **others: Any) -> dict[str, str]:
    """Return the fixes of the refused keys by key."""
    return {one.key.partition(".")[2]: one.consequence for one in compose.refused(mapped(service, **others))}


def test_a_whole_service_is_mapped():
    """What compose prints for a usual service becomes a complete container definition."""
    mapping = mapped(
        {
            "command": None, "entrypoint": None, "restart": "always", "container_name": "guestbook",
            "environment": {"LOG_LEVEL": "info", "WORKERS": "2"},
            "healthcheck": {"test": ["CMD", "/check"], "interval": "5s", "timeout": "2s", "retries": 3},
            "networks": {"default": None}, "stop_grace_period": "10s", "user": "1000:1000",
            "ports": [{"mode": "ingress", "target": 8080, "published": "80", "protocol": "tcp"}],
            "ulimits": {"nofile": {"soft": 1024, "hard": 4096}}, "labels": {"team": "web"},
        }
    )  # fmt: skip

    assert mapping.container_definitions == (
        {
            "name": "guestbook", "essential": True, "image": "registry.sandbox/guestbook:1.0",
            "cpu": 256, "memory": 512,
            "environment": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "WORKERS", "value": "2"}],
            "healthCheck": {"command": ["CMD", "/check"], "interval": 5, "timeout": 2, "retries": 3, "startPeriod": 0},
            "stopTimeout": 10, "user": "1000:1000", "dockerLabels": {"team": "web"},
            "portMappings": [{"containerPort": 8080, "hostPort": 80, "protocol": "tcp"}],
            "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
            "mountPoints": [{"sourceVolume": "guestbook-data", "containerPath": "/data", "readOnly": False}],
        },
    )  # fmt: skip
    assert (mapping.container_name, mapping.container_path, mapping.source_volume) == (
        "guestbook", "/data", "guestbook-data"
    )  # fmt: skip
    assert (mapping.container_port, mapping.host_port, mapping.stop_timeout_s, mapping.sub_path) == (8080, 80, 10, "")
    dropped = {one.key for one in mapping.mappings if one.outcome == "dropped"}
    assert dropped == {f"services.guestbook.{key}" for key in ("restart", "container_name", "networks")}
    assert all(one.consequence for one in mapping.mappings if one.outcome == "dropped")


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("command", ["serve", "--port", 80], "command", ["serve", "--port", "80"]),
        ("entrypoint", ["/entry"], "entryPoint", ["/entry"]),
        ("working_dir", "/app", "workingDirectory", "/app"),
        ("hostname", "book", "hostname", "book"),
        ("read_only", True, "readonlyRootFilesystem", True),
        ("tty", True, "pseudoTerminal", True),
        ("stdin_open", True, "interactive", True),
        ("init", True, "linuxParameters", {"initProcessEnabled": True}),
        ("shm_size", "67108864", "linuxParameters", {"sharedMemorySize": 64}),
        ("cap_add", ["CAP_NET_ADMIN"], "linuxParameters", {"capabilities": {"add": ["NET_ADMIN"]}}),
        ("cap_drop", ["ALL"], "linuxParameters", {"capabilities": {"drop": ["ALL"]}}),
        ("tmpfs", ["/run:size=64m,mode=755"], "linuxParameters",
         {"tmpfs": [{"containerPath": "/run", "size": 64, "mountOptions": ["mode=755"]}]}),
        ("dns", ["10.0.0.2"], "dnsServers", ["10.0.0.2"]),
        ("dns_search", "example.com", "dnsSearchDomains", ["example.com"]),
        ("extra_hosts", ["db=10.0.0.5"], "extraHosts", [{"hostname": "db", "ipAddress": "10.0.0.5"}]),
        ("extra_hosts", ["db:10.0.0.5"], "extraHosts", [{"hostname": "db", "ipAddress": "10.0.0.5"}]),
        ("extra_hosts", {"db": "10.0.0.5"}, "extraHosts", [{"hostname": "db", "ipAddress": "10.0.0.5"}]),
        ("sysctls", {"net.core.somaxconn": 1024}, "systemControls",
         [{"namespace": "net.core.somaxconn", "value": "1024"}]),
        ("security_opt", ["no-new-privileges:true"], "dockerSecurityOptions", ["no-new-privileges:true"]),
        ("ulimits", {"nproc": 100}, "ulimits", [{"name": "nproc", "softLimit": 100, "hardLimit": 100}]),
        ("stop_grace_period", "1m30s", "stopTimeout", 90),
        ("stop_grace_period", "500ms", "stopTimeout", 2),
        ("mem_reservation", "256m", "memoryReservation", 256),
        ("healthcheck", {"test": "curl -f http://localhost/"}, "healthCheck",
         {"command": ["CMD-SHELL", "curl -f http://localhost/"], "interval": 30, "timeout": 30, "retries": 3,
          "startPeriod": 0}),
        ("healthcheck", {"test": ["CMD", "x"], "interval": "1s", "timeout": "9m", "start_period": "9m"}, "healthCheck",
         {"command": ["CMD", "x"], "interval": 5, "timeout": 60, "retries": 3, "startPeriod": 300}),
        ("healthcheck", {"disable": True}, "healthCheck", {"command": ["NONE"]}),
        ("healthcheck", {"test": ["NONE"]}, "healthCheck", {"command": ["NONE"]}),
        ("ports", ["8080:80/udp", "53:53"], "portMappings",
         [{"containerPort": 80, "hostPort": 8080, "protocol": "udp"},
          {"containerPort": 53, "hostPort": 53, "protocol": "tcp"}]),
        ("ports", ["80"], "portMappings", [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]),
        ("labels", {"com.docker.compose.project": "x", "a": "b"}, "dockerLabels", {"a": "b"}),
    ],
)  # fmt: skip
def test_a_key_becomes_its_field(key, value, field, expected):
    """Each mapped key ends in its field, in the form ECS takes."""
    assert definition(**{key: value})[field] == expected


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("stop_grace_period", "3m", "longer than ECS waits"),
        ("stop_grace_period", "soon", "cannot be read"),
        ("stop_signal", "SIGQUIT", "STOPSIGNAL"),
        ("privileged", True, "cap_add"),
        ("devices", ["/dev/sda:/dev/sda"], "other devices"),
        ("network_mode", "host", "bridge network"),
        ("scale", 2, "one writer"),
        ("platform", "linux/arm64", "linux/amd64"),
        ("security_opt", ["seccomp:/x.json"], "unknown to ECS"),
        ("extra_hosts", ["host.docker.internal:host-gateway"], "name an address"),
        ("tmpfs", "/run", "size"),
        ("command", [], "cannot clear"),
        ("command", ["serve", "--db-password=hunter2"], "looks like a secret"),
        ("healthcheck", {"interval": "5s"}, "has no test"),
        ("labels", {"token": "abc"}, "looks like a secret"),
        ("memswap_limit", "1g", "memory limit"),
        ("ulimits", {"files": 10}, "ECS knows"),
        ("a_new_key", 1, "unknown to this release"),
    ],
)
def test_a_key_that_cannot_be_kept_is_refused(key, value, fix):
    """What would change the service's behaviour is refused, and the refusal says what to do."""
    found = refusals({key: value})

    assert list(found) == [f"guestbook.{key}"]
    assert fix in found[f"guestbook.{key}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("stop_signal", "SIGTERM"), ("network_mode", "bridge"), ("platform", "linux/amd64"), ("scale", 1),
     ("ipc", "private"), ("privileged", False), ("depends_on", {}), ("secrets", []),
     ("command", None), ("x-note", "anything")],
)  # fmt: skip
def test_a_value_that_means_nothing_is_not_refused(key, value):
    """The value that ECS has anyway, and an empty one, keep nothing from moving."""
    assert refusals({key: value}) == {}


def test_limits_of_deploy_and_parameters():
    """Compose's limits count until target.cpu and target.memory_mib replace them; one memory limit must be there."""
    deploy = {
        "resources": {"limits": {"cpus": "0.5", "memory": "1g"}, "reservations": {"memory": "512m"}},
        "replicas": 1,
    }
    data = changed("target.memory_mib", None)
    data["target"]["cpu"] = None
    free = mapped({"deploy": deploy}, data).container_definitions[0]
    fixed = mapped({"deploy": deploy}).container_definitions[0]

    assert (free["cpu"], free["memory"], free["memoryReservation"]) == (512, 1024, 512)
    assert (fixed["cpu"], fixed["memory"]) == (256, 512)
    assert "guestbook.(memory)" in refusals({}, data=data)
    assert "guestbook.deploy.replicas" in refusals({"deploy": {"replicas": 2}})
    assert "guestbook.deploy.resources.reservations.devices" in refusals(
        {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("DB_PASSWORD", "hunter2"), ("DATABASE_URL", "postgres://u:hunter2@db/x"), ("LEVEL", "AKIAIOSFODNN7EXAMPLE")],
)
def test_a_secret_in_the_compose_file_is_refused_until_it_is_a_reference(name, value):
    """A secret never reaches the definition; with a reference it arrives as one."""
    refused = mapped({"environment": {name: value}})
    data = changed("target.secrets", {name: "ssm:/guestbook/secret"})
    allowed = mapped({"environment": [f"{name}={value}"]}, data)

    assert [one.key for one in compose.refused(refused)] == [f"services.guestbook.environment.{name}"]
    assert value not in str(refused)
    assert value not in str(allowed)
    arn = "arn:aws:ssm:us-east-1:012345678901:parameter/guestbook/secret"
    assert allowed.container_definitions[0]["secrets"] == [{"name": name, "valueFrom": arn}]


def test_parameters_replace_and_join_the_environment():
    """target.environment wins over the compose file, and target.not_secret lets an alarming name through."""
    data = changed("target.environment", {"LEVEL": "debug", "NEW": "1"})
    data["target"]["not_secret"] = ["TOKEN_TTL"]
    found = mapped({"environment": {"LEVEL": "info", "TOKEN_TTL": "60", "DEBUG": True}}, data)

    assert compose.refused(found) == ()
    assert {one["name"]: one["value"] for one in found.container_definitions[0]["environment"]} == {
        "LEVEL": "debug", "NEW": "1", "TOKEN_TTL": "60", "DEBUG": "true"
    }  # fmt: skip


def test_a_variable_without_value_is_refused():
    """A value that comes from the shell of whoever starts compose cannot be known."""
    assert (
        "target.environment.HOME_TOWN"
        in refusals({"environment": {"HOME_TOWN": None}})["guestbook.environment.HOME_TOWN"]
    )


READ_ONLY = DATA | {"read_only": True}
BALANCED = {"enabled": True, "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}


@pytest.mark.parametrize(
    ("mount", "ports", "balancer", "published"),
    [
        (READ_ONLY, ["8080:8080"], BALANCED, [0]),
        (READ_ONLY, ["8080:8080"], {}, [8080]),
        (DATA, ["8080:8080"], BALANCED, [8080]),
        (READ_ONLY, ["8080:8080", "9090:9090"], BALANCED, [8080, 9090]),
    ],
    ids=["a reader behind a load balancer", "without one", "a writer", "two ports"],
)
def test_only_a_reader_with_one_port_behind_a_load_balancer_gets_a_port_for_each_task(
    mount, ports, balancer, published
):
    """A second task can then start on the host that has the volume; nobody else finds the one port it has."""
    found = mapped({"volumes": [mount], "ports": ports}, changed("target.load_balancer", balancer))
    assert compose.refused(found) == ()
    (definition_,) = found.container_definitions
    assert [port["hostPort"] for port in definition_["portMappings"]] == published
    noted = [one.consequence for one in found.mappings if "which the load balancer finds" in one.consequence]
    assert bool(noted) is (published == [0])
