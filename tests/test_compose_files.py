"""Ten compose projects as `docker compose config` prints them: they convert, and ECS and Terraform take the result."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from parameter_sets import mapping

from runbook_lib import compose, parameters
from runbook_lib.adapters.terraform import Terraform
from runbook_lib.model import TaskMapping
from runbook_lib.parameters_model import Parameters
from runbook_lib.storage import storage_driver
from tests.running_provider import RunningProvider

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "compose_files"
MODULE = ROOT / "terraform" / "modules" / "ecs_service"
HOST_MOUNT = {
    "driver": "host_mount",
    "host_mount": {"volume_name": "files", "filesystem_uuid": "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"},
}
EXPECTED = {
    "ci-server": (("jenkins",), ()),
    "file-share": (("cache", "db", "app", "cron"), ()),
    "git-server": (("db", "server"), ()),
    "key-value-store": (("redis",), ()),
    "mail-server": (("filter", "server"), ()),
    "monitoring": (("alertmanager", "prometheus", "grafana"), ("exporter",)),
    "postgres-pgadmin": (("db",), ("pgadmin",)),
    "queue": (("rabbitmq",), ()),
    "search-engine": (("owner", "elasticsearch"), ("kibana",)),
    "wiki-mariadb": (("mariadb", "wiki"), ()),
}
"""Which services move, in the order in which they start, and which are left."""


def migration_of(name: str) -> tuple[dict[str, Any], Parameters]:
    """Return a project and the parameters that its file gives for it."""
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    data = mapping()
    data["volume"]["mount_path"] = "/srv/data"
    data["target"]["image"] = None
    for dotted, value in document["x-parameters"].items():
        section, _, key = dotted.partition(".")
        if dotted == "storage":
            data["storage"] = HOST_MOUNT
        else:
            data[section][key] = value
    return compose.parse_config({"format": "json", "config": document}), parameters.load(FOLDER / "x.yaml", data)


def converted(name: str) -> TaskMapping:
    """Return the task that a project becomes."""
    return compose.map_service(*migration_of(name))


def container(name: str, container_name: str) -> dict[str, Any]:
    """Return one container definition of a project."""
    return next(one for one in converted(name).container_definitions if one["name"] == container_name)


def api_problems(name: str, definitions: list[dict[str, Any]]) -> str:
    """Return what the API's own description says against container definitions."""
    operation = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition")
    given = {"family": name, "containerDefinitions": definitions}
    return str(ParamValidator().validate(given, operation.input_shape).generate_report())


def test_there_is_an_expectation_for_each_of_the_ten_files():
    """Every file of the folder is tested."""
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(EXPECTED)
    assert len(EXPECTED) == 10


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_project_converts_whole(name):
    """Nothing is refused, everything dropped has its consequence, and who moves and who is left is as expected."""
    found = converted(name)
    moves, left = EXPECTED[name]

    assert compose.refused(found) == ()
    assert all(one.consequence for one in found.mappings if one.outcome == "dropped")
    assert found.services == moves
    assert {one.key for one in found.mappings if one.key.count(".") == 1} == {f"services.{one}" for one in left}
    config = migration_of(name)[0]
    told = {
        one.key.split(".")[1] + "." + one.key.split(".")[2].split("[")[0]
        for one in found.mappings
        if one.key.count(".") > 1
    }
    said = {f"{service}.{key}" for service in moves for key, value in config["services"][service].items() if value}
    assert said - told == set()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_project_is_what_the_api_takes(name):
    """Each container definition passes botocore's own validation, and holds no secret of the file."""
    definitions = list(converted(name).container_definitions)

    assert api_problems(name, definitions) == ""
    assert "only-for-this-file" not in str(converted(name))
    assert all(one["memory"] for one in definitions)


def test_the_api_refuses_what_it_does_not_know():
    """The validation finds a wrong field and a wrong type, so that passing it means something."""
    (definition,) = converted("queue").container_definitions

    assert "Unknown parameter" in api_problems("queue", [definition | {"depends_on": []}])
    assert "Invalid type" in api_problems("queue", [definition | {"memory": "64m"}])


def test_the_search_engine_waits_for_the_owner_and_locks_its_memory():
    """A container that ends first, unlimited locked memory, no swap, and the health check with its quotes."""
    engine, owner = container("search-engine", "elasticsearch"), container("search-engine", "owner")

    assert owner["essential"] is False
    assert engine["dependsOn"] == [{"containerName": "owner", "condition": "SUCCESS"}]
    assert {"name": "memlock", "softLimit": -1, "hardLimit": -1} in engine["ulimits"]
    assert engine["linuxParameters"]["maxSwap"] == 0
    assert engine["stopTimeout"] == 120


def test_the_file_share_shares_its_files_and_reaches_its_database_by_alias():
    """Cron sees what the application sees, starts after it, and both find the database by its second name."""
    app, cron = container("file-share", "app"), container("file-share", "cron")

    assert cron["mountPoints"] == app["mountPoints"]
    assert app["links"] == ["cache", "db", "db:sql"]
    assert {"containerName": "db", "condition": "HEALTHY"} in app["dependsOn"]
    assert {"containerName": "app", "condition": "START"} in cron["dependsOn"]
    assert (cron["memory"], cron["cpu"]) == (256, 64)
    assert container("file-share", "cache")["linuxParameters"]["tmpfs"] == [
        {"containerPath": "/data", "size": 64, "mountOptions": ["mode=700"]}
    ]


def test_the_folders_of_named_volumes_are_task_volumes():
    """A named volume bound to the data volume, and a sub-path of one, show exactly their folder."""
    assert converted("git-server").folders == {"files-db": "db", "files-git": "git"}
    assert converted("mail-server").folders == {
        "files-filter": "filter",
        "files-boxes": "boxes",
        "files-state": "state",
    }
    assert converted("git-server").container_path == "/data"


def test_the_health_check_of_the_database_gets_its_variables():
    """The dollar signs that compose doubles are single for the shell in the container."""
    check = container("postgres-pgadmin", "db")["healthCheck"]

    assert check["command"] == ["CMD-SHELL", "pg_isready -U $POSTGRES_USER -d $POSTGRES_DB"]


def module_call(name: str) -> dict[str, Any]:
    """Return a call of the service's module with everything that the project decides."""
    found, given = converted(name), migration_of(name)[1]
    secrets = {one["valueFrom"] for definition in found.container_definitions for one in definition.get("secrets", ())}
    return {
        "source": "./ecs_service", "name": name, "region": "us-east-1", "account_id": "012345678901",
        "cluster_arn": "arn:aws:ecs:us-east-1:012345678901:cluster/a", "capacity_provider_name": "a",
        "vpc_id": "vpc-0a", "availability_zone": "us-east-1a", "instance_security_group_id": "sg-0a",
        "log_group_name": "/ecs/a", "volume_id": "vol-0a", "secret_arns": sorted(secrets),
        "container_definitions": list(found.container_definitions),
        "container_name": found.container_name, "container_port": found.container_port, "host_port": found.host_port,
        "task_volume": storage_driver(given).task_volume(found.folders),
    }  # fmt: skip


PLANNED = """
mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_ebs_volume" {
    defaults = { availability_zone = "us-east-1a", multi_attach_enabled = false }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::012345678901:role/a" }
  }
}
run "every_rule_holds" {
  command = plan
}
"""
"""`terraform validate` looks at no rule of a variable; a plan with a provider that does nothing does."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return Terraform in a root module that calls the service's module once for each project."""
    folder = tmp_path_factory.mktemp("ten")
    shutil.copytree(MODULE, folder / "ecs_service")
    shutil.copy(ROOT / "terraform" / "templates" / "terraform.lock.hcl", folder / ".terraform.lock.hcl")
    (folder / "ten.tftest.hcl").write_text(PLANNED, "utf-8")
    terraform = Terraform(folder, environment={})
    write_root(folder, {name: module_call(name) for name in EXPECTED})
    terraform.init()
    return terraform


def write_root(folder: Path, calls: dict[str, dict[str, Any]]) -> None:
    """Write the calls as JSON, in which Terraform would take `${` for its own."""
    document = {"terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}}, "module": calls}
    text = json.dumps(document).replace("${", "$${").replace("%{", "%%{")
    (folder / "main.tf.json").write_text(text, "utf-8")


def planned(root: Terraform, provider: RunningProvider) -> subprocess.CompletedProcess[str]:
    """Plan every call with a provider that does nothing."""
    command = [provider.terraform, "test", "-no-color"]
    return subprocess.run(command, cwd=root.folder, env=root._environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_terraform_takes_each_project(root, tmp_path):
    """The ten results are valid, and keep every rule of the module; one that breaks a rule would be found."""
    root.validate()

    with RunningProvider(tmp_path) as provider:
        kept = planned(root, provider)
        calls = {name: module_call(name) for name in EXPECTED}
        calls["queue"]["container_definitions"][0]["mountPoints"][0]["sourceVolume"] = "another"
        write_root(root.folder, calls)
        broken = planned(root, provider)

    assert (kept.returncode, "1 passed, 0 failed" in kept.stdout) == (0, True), kept.stdout + kept.stderr
    assert broken.returncode == 1
    assert "otherwise the container writes into itself" in " ".join(broken.stderr.replace("│", "").split())
