"""The table of docs/compose-mapping.md, row by row: each has a case here, and each key of the specification a row."""

from __future__ import annotations

from typing import Any

import pytest
from parameter_sets import SANDBOX, changed

from runbook_lib import compose, parameters
from runbook_lib.compose_keys import IN_CONTEXT, KEYS
from runbook_lib.compose_page import TOP_LEVEL
from runbook_lib.model import TaskMapping

ROWS = KEYS | IN_CONTEXT
NO_COUNTERPART = "ECS has no counterpart"
OTHER_CGROUP = "set target.cpu and target.memory_mib"
DB = [{"containerName": "db", "condition": "START"}]

MAPPED: dict[str, tuple[Any, dict[str, Any]]] = {
    "cap_add": (["CAP_NET_ADMIN"], {"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}),
    "cap_drop": (["ALL"], {"linuxParameters": {"capabilities": {"drop": ["ALL"]}}}),
    "command": (["serve"], {"command": ["serve"]}),
    "cpu_shares": (512, {"cpu": 512}),
    "cpus": (0.5, {"cpu": 512}),
    "depends_on": ({"db": {"condition": "service_started"}}, {"dependsOn": DB}),
    "deploy": ({"resources": {"limits": {"cpus": "2", "memory": "1g"}}}, {"cpu": 2048, "memory": 1024}),
    "devices": (
        [{"source": "/dev/fuse", "target": "/dev/fuse", "permissions": "rw"}],
        {
            "linuxParameters": {
                "devices": [{"hostPath": "/dev/fuse", "containerPath": "/dev/fuse", "permissions": ["read", "write"]}]
            }
        },
    ),
    "dns": ("10.0.0.2", {"dnsServers": ["10.0.0.2"]}),
    "dns_search": (["example.com"], {"dnsSearchDomains": ["example.com"]}),
    "entrypoint": (["/entry"], {"entryPoint": ["/entry"]}),
    "environment": ({"LEVEL": "info"}, {"environment": [{"name": "LEVEL", "value": "info"}]}),
    "extra_hosts": (["a=10.0.0.5"], {"extraHosts": [{"hostname": "a", "ipAddress": "10.0.0.5"}]}),
    "healthcheck": (
        {"test": ["CMD", "x"]},
        {"healthCheck": {"command": ["CMD", "x"], "interval": 30, "timeout": 30, "retries": 3, "startPeriod": 0}},
    ),
    "hostname": ("book", {"hostname": "book"}),
    "image": ("x:2", {"image": "x:2"}),
    "init": (True, {"linuxParameters": {"initProcessEnabled": True}}),
    "labels": ({"a": "b"}, {"dockerLabels": {"a": "b"}}),
    "links": (["db:database"], {"links": ["db", "db:database"], "dependsOn": DB}),
    "mem_limit": ("256m", {"memory": 256}),
    "mem_reservation": ("256m", {"memoryReservation": 256}),
    "mem_swappiness": (10, {"linuxParameters": {"swappiness": 10}}),
    "memswap_limit": ("768m", {"linuxParameters": {"maxSwap": 256}}),
    "network_mode": ("none", {"disableNetworking": True}),
    "networks": ({"default": None}, {}),
    "ports": (["8080:80"], {"portMappings": [{"containerPort": 80, "hostPort": 8080, "protocol": "tcp"}]}),
    "read_only": (True, {"readonlyRootFilesystem": True}),
    "restart": ("always", {"essential": True}),
    "secrets": ([{"source": "db", "target": "/run/secrets/db"}], {}),
    "security_opt": (["no-new-privileges"], {"dockerSecurityOptions": ["no-new-privileges"]}),
    "shm_size": ("64m", {"linuxParameters": {"sharedMemorySize": 64}}),
    "stdin_open": (True, {"interactive": True}),
    "stop_grace_period": ("1m", {"stopTimeout": 60}),
    "sysctls": ({"net.core.somaxconn": 1}, {"systemControls": [{"namespace": "net.core.somaxconn", "value": "1"}]}),
    "tmpfs": (["/run:size=64m"], {"linuxParameters": {"tmpfs": [{"containerPath": "/run", "size": 64}]}}),
    "tty": (True, {"pseudoTerminal": True}),
    "ulimits": ({"nproc": 9}, {"ulimits": [{"name": "nproc", "softLimit": 9, "hardLimit": 9}]}),
    "user": ("1000", {"user": "1000"}),
    "volumes": (
        ["/srv/guestbook:/book:ro"],
        {"mountPoints": [{"sourceVolume": "guestbook-data", "containerPath": "/book", "readOnly": True}]},
    ),
    "volumes_from": (
        ["db:ro"],
        {
            "mountPoints": [
                {"sourceVolume": "guestbook-data", "containerPath": "/data", "readOnly": False},
                {"sourceVolume": "guestbook-data", "containerPath": "/var/db", "readOnly": True},
            ]
        },
    ),
    "working_dir": ("/app", {"workingDirectory": "/app"}),
}
"""Value and what the container definition then holds, by key."""

DROPPED: dict[str, tuple[Any, str]] = {
    "annotations": ({"a": "b"}, "Nothing in ECS reads them"),
    "attach": (True, "terminal"),
    "build": ({"context": "."}, "must be in a registry"),
    "container_name": ("book", "com.amazonaws.ecs.container-name"),
    "develop": ({"watch": [{"path": "."}]}, "watch"),
    "env_file": ([{"path": "a.env"}], "merged"),
    "expose": (["80"], "every port"),
    "extends": ({"service": "base"}, "merged"),
    "label_file": (["a.labels"], "merged"),
    "logging": ({"driver": "syslog"}, "syslog gets nothing any more"),
    "profiles": (["full"], "docker compose up"),
    "pull_policy": ("always", "ECS_IMAGE_PULL_BEHAVIOR"),
    "pull_refresh_after": ("1d", "ECS_IMAGE_PULL_BEHAVIOR"),
}
"""Value and part of the consequence, by key."""

REFUSED: dict[str, tuple[Any, str]] = {
    "blkio_config": ({"weight": 300}, OTHER_CGROUP),
    "cgroup": ("host", OTHER_CGROUP),
    "cgroup_parent": ("m-executor", OTHER_CGROUP),
    "configs": ([{"source": "c", "target": "/c"}], "into the image or onto the data volume"),
    "cpu_count": (2, OTHER_CGROUP),
    "cpu_percent": (50, OTHER_CGROUP),
    "cpu_period": ("100ms", OTHER_CGROUP),
    "cpu_quota": (50000, OTHER_CGROUP),
    "cpu_rt_period": ("1ms", OTHER_CGROUP),
    "cpu_rt_runtime": ("1ms", OTHER_CGROUP),
    "cpuset": ("0,1", OTHER_CGROUP),
    "credential_spec": ({"file": "a.json"}, NO_COUNTERPART),
    "device_cgroup_rules": (["c 1:3 mr"], "other devices"),
    "dns_opt": (["use-vc"], NO_COUNTERPART),
    "domainname": ("example.com", NO_COUNTERPART),
    "external_links": (["redis_1"], "addresses"),
    "gpus": ("all", "GPU instance type"),
    "group_add": (["mail"], "uid:gid"),
    "ipc": ("host", "shared memory"),
    "isolation": ("hyperv", NO_COUNTERPART),
    "mac_address": ("02:42:ac:11:65:43", NO_COUNTERPART),
    "models": ({"llm": {}}, NO_COUNTERPART),
    "oom_kill_disable": (True, OTHER_CGROUP),
    "oom_score_adj": (500, OTHER_CGROUP),
    "pid": ("host", "do not see each other"),
    "pids_limit": (100, OTHER_CGROUP),
    "platform": ("linux/arm64", "linux/amd64"),
    "post_start": ([{"command": "x"}], NO_COUNTERPART),
    "pre_stop": ([{"command": "x"}], NO_COUNTERPART),
    "privileged": (True, "cap_add"),
    "provider": ({"type": "x"}, NO_COUNTERPART),
    "runtime": ("runsc", NO_COUNTERPART),
    "scale": (2, "one writer"),
    "stop_signal": ("SIGQUIT", "STOPSIGNAL"),
    "storage_opt": ({"size": "1G"}, NO_COUNTERPART),
    "use_api_socket": (True, "Docker socket"),
    "userns_mode": ("private", NO_COUNTERPART),
    "uts": ("host", NO_COUNTERPART),
}
"""Value and part of the fix, by key."""

SPECIFICATION = """
annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name cpu_count
cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on deploy
develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends
external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels links logging
mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable
oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider pull_policy
pull_refresh_after read_only restart runtime scale secrets security_opt shm_size stdin_open stop_grace_period
stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir
"""
"""The keys of a service in the Compose Specification's schema of 2025."""


def mapped(key: str, value: Any) -> TaskMapping:
    """Return the mapping of the guestbook with one key set, beside a database that has the volume too."""
    service: dict[str, Any] = {"image": "x:1", "volumes": ["/srv/guestbook:/data"], "mem_limit": "512m", key: value}
    if key == "deploy":
        del service["mem_limit"]
    if key == "secrets":
        service["environment"] = {"DB_PASSWORD_FILE": "/run/secrets/db"}
    services = {"guestbook": service}
    if key in ("depends_on", "links", "volumes_from"):
        services["db"] = {"image": "db:1", "mem_limit": "64m", "volumes": ["/srv/guestbook:/var/db"]}
    data = changed("target.memory_mib", None)
    data["target"] |= {"cpu": None, "image": None, "secrets": {"DB_PASSWORD": "ssm:/db"}}
    return compose.map_service({"services": services}, parameters.load(SANDBOX, data))


def outcomes(mapping: TaskMapping, key: str) -> dict[str, str]:
    """Return outcome and consequence of what became of a key of the guestbook."""
    found = [m for m in mapping.mappings if m.key.split(".")[:2] == ["services", "guestbook"]]
    return {m.outcome: m.consequence for m in found if m.key.split(".")[2].split("[")[0] == key}


@pytest.mark.parametrize("key", sorted(ROWS))
def test_a_row_of_the_table_is_true(key):
    """Each row's key becomes what the row says; a row without a case here fails."""
    row = ROWS[key]
    (table,) = [one for one in (MAPPED, DROPPED, REFUSED) if key in one]
    value, expected = table[key]
    mapping = mapped(key, value)
    plain = mapped("x-nothing", 1).container_definitions[0]

    if table is MAPPED:
        assert row.outcome == "mapped"
        assert compose.refused(mapping) == ()
        assert outcomes(mapping, key)
        assert set(outcomes(mapping, key)) <= {"mapped", "dropped"}
        assert mapping.container_definitions[0].items() >= expected.items()
    else:
        assert [row.outcome] == list(outcomes(mapping, key)) == ["dropped" if table is DROPPED else "refused"]
        assert expected in outcomes(mapping, key)[row.outcome]
        assert mapping.container_definitions[0] == plain


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, row in sorted(ROWS.items()) for value in row.harmless]
)
def test_a_harmless_value_is_left_out(key, value):
    """What the row calls harmless keeps nothing from moving and changes nothing."""
    assert compose.refused(mapped(key, value)) == ()
    assert mapped(key, value).container_definitions == mapped("x-nothing", 1).container_definitions


def test_the_table_has_every_key_of_the_specification():
    """No key of a service in the Compose Specification is unknown, and the table invents none."""
    assert sorted(ROWS) == SPECIFICATION.split()
    assert sorted(TOP_LEVEL) == [
        "configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes"
    ]  # fmt: skip


def test_a_secret_file_becomes_a_variable():
    """The variable that names the file goes, and the one that holds the secret comes from its reference."""
    mapping = mapped(*("secrets", MAPPED["secrets"][0]))
    arn = "arn:aws:ssm:us-east-1:012345678901:parameter/db"

    assert mapping.container_definitions[0]["secrets"] == [{"name": "DB_PASSWORD", "valueFrom": arn}]
    assert "environment" not in mapping.container_definitions[0]
    assert "must read DB_PASSWORD itself" in outcomes(mapping, "secrets")["mapped"]
