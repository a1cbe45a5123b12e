"""Compose mounts: which one is the data volume, which folder of it, and what may not stay behind."""

from __future__ import annotations

from typing import Any

import pytest
from parameter_sets import SANDBOX, changed

from runbook_lib import compose, parameters
from runbook_lib.compose_values import MountedPath, Port, duration_s, read_mount, read_pairs, read_port, size_mib
from runbook_lib.errors import ParameterError
from runbook_lib.model import TaskMapping

HOST_MOUNT = {
    "driver": "host_mount",
    "host_mount": {"volume_name": "guestbook-files", "filesystem_uuid": "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"},
}


def mapped(
    mounts: list[Any], data: dict[str, Any] | None = None, others: dict[str, Any] | None = None, **top: Any
) -> TaskMapping:
    """Return the mapping of a service with these mounts, beside other services."""
    services = {"guestbook": {"image": "x:1", "volumes": mounts}, **(others or {})}
    return compose.map_service({"services": services, **top}, parameters.load(SANDBOX, data))


def fixes(mapping: TaskMapping) -> dict[str, str]:
    """Return the fixes of the refused keys by key."""
    return {one.key: one.consequence for one in compose.refused(mapping)}


@pytest.mark.parametrize(
    "mount",
    [
        "/srv/guestbook:/data",
        "/srv/guestbook/:/data:rw",
        {"type": "bind", "source": "/srv/guestbook", "target": "/data"},
        {"type": "volume", "source": "book", "target": "/data", "volume": {}},
    ],
)
def test_the_data_volume_is_found_however_it_is_mounted(mount):
    """A bind mount in either form, and a named volume bound to the mount path, are the data volume."""
    options = {"type": "none", "o": "bind", "device": "/srv/guestbook"}
    found = mapped([mount], volumes={"book": {"driver": "local", "driver_opts": options}})

    assert fixes(found) == {}
    assert (found.container_path, found.sub_path) == ("/data", "")


def test_a_folder_of_the_volume_is_a_task_volume_of_its_own():
    """A folder below the volume's root needs volume.sub_path, and a driver that can show folders."""
    mount = ["/srv/guestbook/app/data:/data:ro"]
    accepted = mapped(
        mount, changed("storage", HOST_MOUNT) | {"volume": changed("volume.sub_path", "app/data")["volume"]}
    )

    assert (fixes(accepted), accepted.sub_path, accepted.container_path) == ({}, "app/data", "/data")
    assert accepted.folders == {"guestbook-files-app-data": "app/data"}
    assert accepted.container_definitions[0]["mountPoints"] == [
        {"sourceVolume": "guestbook-files-app-data", "containerPath": "/data", "readOnly": True}
    ]
    assert (
        "set volume.sub_path to it"
        in fixes(mapped(mount, changed("storage", HOST_MOUNT)))["services.guestbook.volumes"]
    )


def test_rexray_shows_no_folder():
    """The plugin shows the volume's root, so a folder at its place would be other data than the service left."""
    found = mapped(["/srv/guestbook/app:/data"], changed("volume.sub_path", "app"))

    assert "use storage.driver host_mount" in fixes(found)["services.guestbook.volumes[0]"]


def test_several_folders_of_the_volume_are_several_task_volumes():
    """Each folder is shown where the service had it; volume.sub_path says which one holds its data."""
    data = changed("storage", HOST_MOUNT)
    data["volume"]["sub_path"] = "b"
    found = mapped(["/srv/guestbook/a:/a", "/srv/guestbook/b:/b", "/srv/guestbook:/all"], data)

    assert (fixes(found), found.container_path, found.sub_path) == ({}, "/b", "b")
    assert [one["sourceVolume"] for one in found.container_definitions[0]["mountPoints"]] == [
        "guestbook-files-a", "guestbook-files-b", "guestbook-files"
    ]  # fmt: skip


def test_a_service_without_the_volume_is_refused():
    """A service that does not use the data volume is not the one to move."""
    assert "nothing is mounted from /srv/guestbook" in fixes(mapped([]))["services.guestbook.volumes"]


@pytest.mark.parametrize(
    ("mount", "fix"),
    [
        ("/etc/guestbook:/etc/guestbook:ro", "on the source host only"),
        ("/srv/guestbook-2:/other", "on the source host only"),
        ("/var/run/docker.sock:/var/run/docker.sock", "on the source host only"),
        ("cache:/cache", "volume cache is not on the data volume"),
        ("/cache", "an anonymous volume is not on the data volume"),
        ({"type": "tmpfs", "target": "/tmp"}, "has no size"),
    ],
)
def test_what_is_not_on_the_data_volume_is_refused(mount, fix):
    """Files that would stay behind keep the service from moving until they are dealt with."""
    found = fixes(mapped(["/srv/guestbook:/data", mount], volumes={"cache": {}}))

    assert fix in found["services.guestbook.volumes[1]"]


def test_the_hosts_time_files_are_dropped():
    """The read-only mount of the host's time zone is left out, with its consequence."""
    found = mapped(["/srv/guestbook:/data", "/etc/localtime:/etc/localtime:ro"])

    assert fixes(found) == {}
    dropped = next(one for one in found.mappings if one.key.endswith("[1]"))
    assert (dropped.outcome, dropped.consequence.endswith("set TZ if that matters.")) == ("dropped", True)


def test_the_task_volume_is_named_as_the_driver_names_it():
    """The task's volume has the name that the driver's section gives, whichever driver it is."""
    data = changed("storage", HOST_MOUNT)

    assert mapped(["/srv/guestbook:/data"], data).source_volume == "guestbook-files"


def test_an_unknown_service_is_refused_with_the_known_ones():
    """A service that the compose file has not is named together with those it has."""
    with pytest.raises(ParameterError, match=r"Fix: one of app, db"):
        compose.map_service({"services": {"app": {}, "db": {}}}, parameters.load(SANDBOX))


def test_a_built_service_needs_an_image():
    """A service that is only built is refused; target.image stands in for it."""
    config = {"services": {"guestbook": {"build": ".", "volumes": ["/srv/guestbook:/data"]}}}

    assert "target.image" in fixes(compose.map_service(config, parameters.load(SANDBOX)))["services.guestbook.image"]
    loaded = parameters.load(SANDBOX, changed("target.image", "registry.sandbox/guestbook:1.1"))
    assert compose.map_service(config, loaded).image == "registry.sandbox/guestbook:1.1"


def test_dollar_signs_come_back_single():
    """`docker compose config` prints each dollar sign twice; the container must get it once."""
    answer = {"format": "json", "config": {"services": {"a": {"command": ["sh", "-c", "echo $$HOME"]}}}}

    assert compose.parse_config(answer)["services"]["a"]["command"] == ["sh", "-c", "echo $HOME"]


def test_the_yaml_of_compose_version_1_is_read():
    """What docker-compose prints as YAML is the same configuration."""
    answer = {"format": "yaml", "text": "services:\n  a:\n    image: x\nversion: '3'\n"}

    assert compose.parse_config(answer)["services"] == {"a": {"image": "x"}}


@pytest.mark.parametrize(
    "answer",
    [{"format": "json", "config": {}}, {"format": "yaml", "text": "a: ["}, {"format": "yaml", "text": "services: x"}],
)
def test_what_is_no_compose_configuration_is_refused(answer):
    """Anything without services is refused."""
    with pytest.raises(ParameterError, match="docker"):
        compose.parse_config(answer)


def test_secret_references_become_arns():
    """A parameter's name becomes its ARN in account and Region; a Secrets Manager ARN stays what it is."""
    loaded = parameters.load(SANDBOX)
    arn = "arn:aws:secretsmanager:us-east-1:012345678901:secret:a-AbCdEf:key::"

    assert compose.secret_arn("ssm:name", loaded) == "arn:aws:ssm:us-east-1:012345678901:parameter/name"
    assert compose.secret_arn("ssm:/a/b", loaded) == "arn:aws:ssm:us-east-1:012345678901:parameter/a/b"
    assert compose.secret_arn(f"secretsmanager:{arn}", loaded) == arn


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("1h0m5s", 3605), ("500ms", 0.5), ("1.5s", 1.5), (30, 30), ("2m", 120), ("1m0s", 60)],
)
def test_durations(text, seconds):
    """Durations are read as compose writes them."""
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "10", "5 minutes", True])
def test_what_is_no_duration_is_refused(text):
    """A text without a unit is no duration."""
    with pytest.raises(ValueError, match="is no duration"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "mib"), [("512m", 512), ("1g", 1024), (67108864, 64), ("1", 1), ("1.5G", 1536), ("64mb", 64)]
)
def test_sizes(text, mib):
    """Sizes are read as compose writes them, rounded up to whole MiB."""
    assert size_mib(text) == mib


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("80", Port(80, 0, "tcp", "")),
        ("8080:80", Port(80, 8080, "tcp", "")),
        ("127.0.0.1:8080:80/udp", Port(80, 8080, "udp", "127.0.0.1")),
        ({"target": 80, "published": "8080", "host_ip": "::1"}, Port(80, 8080, "tcp", "::1")),
    ],
)
def test_ports(value, port):
    """Ports are read in both forms."""
    assert read_port(value) == port


def test_mounts_and_pairs():
    """Mounts and lists of NAME=VALUE are read in both forms."""
    assert read_mount("a:/b:ro,z") == MountedPath("volume", "a", "/b", read_only=True, options={})
    assert read_mount("/b") == MountedPath("volume", "", "/b", read_only=False, options={})
    assert read_pairs(["A=1=2", "B", "C="]) == {"A": "1=2", "B": None, "C": ""}
