"""PostgreSQL of real hosts, without any: refused where there is none; whose mounts the record of containers reads."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner

from runbook_lib.cli_sandbox import sandbox
from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import estate, estate_database, estate_files, lifecycle
from runbook_lib.sandbox.real import postgres_files
from runbook_lib.sandbox.real.mounts import RealMounts

ROW = "36 35 7:5 / {target} rw,noatime - ext4 /dev/nvme1n1 rw\n"


def world_of(tier):
    """Return what an estate asks of a world before it makes anything."""
    return SimpleNamespace(tier=SimpleNamespace(name=tier))


def test_simulated_hosts_have_no_database():
    """The estate is refused before anything is made; the message says which hosts can have one."""
    with pytest.raises(SandboxError, match=r"needs real hosts: `--hosts real`\. Nothing was started"):
        estate.build(world_of("simulated"), ["postgres"])


def test_a_machine_without_postgresql_is_told_the_package(monkeypatch, tmp_path):
    """Real hosts can be had, PostgreSQL is missing: the package that brings it is named."""
    monkeypatch.setattr(postgres_files, "PROGRAMS", tmp_path)

    with pytest.raises(SandboxError, match=r"apt-get install --no-install-recommends postgresql-15"):
        estate.build(world_of("real"), ["postgres"])


@pytest.mark.parametrize("given", [["--postgres"], []])
def test_the_command_line_asks_for_a_database_only_when_told(given, monkeypatch):
    """`--postgres` is the estate's option, and nothing is asked for without it."""
    asked = []
    monkeypatch.setattr(lifecycle, "run_inside", lambda *_, **options: asked.append(options["estate_options"]) or 1 / 0)

    CliRunner().invoke(sandbox, ["exec", "--hosts", "real", *given, "true"])

    assert asked == [["postgres"] if given else []]


def test_the_compose_service_has_its_data_on_the_volume():
    """The database sees the same mount as the guestbook, and ends in time for the cutover."""
    services = yaml.safe_load(estate_files.COMPOSE + estate_database.SERVICE)["services"]

    assert services["database"]["volumes"] == services["guestbook"]["volumes"]
    assert services["database"]["environment"]["PGDATA"] == f"/data/{estate_database.FOLDER}"
    assert "--data-checksums" in postgres_files.START
    assert re.search(r"^exec .*/postgres ", postgres_files.START, re.MULTILINE)
    assert postgres_files.config()["StopSignal"] == "SIGINT"


def test_the_mounts_of_a_container_are_looked_up_among_the_hosts_processes(tmp_path):
    """A process is named by dockerd as its host counts; this machine has another one of that number."""
    (tmp_path / "proc/41").mkdir(parents=True)
    (tmp_path / "proc/41/mountinfo").write_text(ROW.format(target="/data"), "utf-8")
    devices = SimpleNamespace(numbers={(7 << 8) + 5: "vol-1"})
    host = SimpleNamespace(
        pid=1, has_namespaces=True, devices=devices, outside=lambda path: tmp_path / path.removeprefix("/")
    )

    seen = RealMounts(host).seen_by(41)

    assert [(one.target, one.volume_id) for one in seen] == [("/data", "vol-1")]
    assert RealMounts(host).seen_by(42) == []
    assert RealMounts(host).seen_by(0) == []
