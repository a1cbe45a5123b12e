"""Real hosts without any: what they need is told before anything starts, and their paths never lead to this machine."""

from __future__ import annotations

import os
import shutil
import sys

import pytest
from click.testing import CliRunner

from runbook_lib.cli_sandbox import sandbox
from runbook_lib.errors import SandboxError
from runbook_lib.sandbox import lifecycle, machine
from runbook_lib.sandbox.containers import ContainerSpec, Limits
from runbook_lib.sandbox.real import janitor, requirements
from runbook_lib.sandbox.real.containers import request
from runbook_lib.sandbox.real.paths import resolve
from runbook_lib.sandbox.real.plugin_calls import PluginCalls


@pytest.fixture
def bare(monkeypatch):
    """Let this machine have no root and none of the programs."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


def test_what_is_missing_is_named_with_how_to_get_it(bare):
    """Root and every package are named; no package twice."""
    told = requirements.refusal()

    assert "root: namespaces, loop devices and dockerd need it" in told
    packages = told.partition("apt-get install --no-install-recommends ")[2].partition("`")[0].split()
    assert {"docker.io", "docker-compose", "xfsprogs"} <= set(packages)
    assert len(packages) == len(set(packages))


def test_programs_that_only_this_machine_sees_do_not_count(monkeypatch):
    """Hosts see /usr but not /usr/local: a docker there is none to them."""
    asked = []
    monkeypatch.setattr(shutil, "which", lambda name, path=None: asked.append(path))

    requirements.missing()

    assert set(asked) == {"/usr/bin:/usr/sbin"}


def test_another_system_is_refused(monkeypatch):
    """There are real hosts on Linux only."""
    monkeypatch.setattr(sys, "platform", "darwin")

    assert requirements.missing() == ["Linux: this is darwin"]


def test_a_refused_start_makes_nothing(bare, tmp_path):
    """No directory, no process; the message says what to do instead."""
    with pytest.raises(SandboxError, match=r"Nothing was started\. Without --hosts real .* simulated"):
        lifecycle.start(tmp_path / "state", hosts="real")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", [["up", "--port", "0"], ["exec", "true"]])
def test_the_command_line_hands_the_refusal_on(command, bare, tmp_path):
    """Both commands that start a sandbox refuse."""
    more = ["--state", str(tmp_path / "state")] if command[0] == "up" else []

    result = CliRunner().invoke(sandbox, [command[0], "--hosts", "real", *more, *command[1:]])

    assert isinstance(result.exception, SandboxError)
    assert "lacks: root" in str(result.exception)


def test_hosts_of_no_tier_are_refused():
    """A third tier is a mistake of the caller."""
    with pytest.raises(SandboxError, match="simulated or real, not 'virtual'"):
        machine.refuse_hosts("virtual")


def test_without_root_there_is_nothing_to_sweep_or_show(bare, tmp_path):
    """Somebody who cannot have real hosts is not asked to look for them."""
    assert (machine.sweep(), machine.held(tmp_path)) == ({}, "")


def test_a_hosts_links_lead_to_where_the_host_would_go(tmp_path):
    """Absolute links, links to folders and steps up stay within the host's root."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    for name, target in {
        "absolute": "/etc/passwd", "var": "/run", "up": "../../../../etc/shadow", "chain": "absolute", "round": "round",
    }.items():  # fmt: skip
        (tmp_path / name).symlink_to(target)
    found = {path: resolve(str(tmp_path), path) for path in ("/absolute", "/var/lock", "/up", "/chain", "/etc/../../x")}

    assert found == {
        "/absolute": "/etc/passwd", "/var/lock": "/run/lock", "/up": "/etc/shadow", "/chain": "/etc/passwd",
        "/etc/../../x": "/x",
    }  # fmt: skip
    assert resolve(str(tmp_path), "/var/absolute", follow=False) == "/run/absolute"
    with pytest.raises(OSError, match="Too many levels"):
        resolve(str(tmp_path), "/round")


def test_docker_is_told_the_limits_of_the_task_definition():
    """Memory in bytes, at least two shares of the processor, and each ulimit; what is not given is left out."""
    limits = Limits(memory_mib=512, cpu_shares=1, ulimits={"nofile": (1024, 2048)})

    asked = request(ContainerSpec("a", "image", limits=limits), "/group")["HostConfig"]

    assert (asked["Memory"], asked["CpuShares"]) == (512 << 20, 2)
    assert asked["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]
    assert "MemoryReservation" not in asked
    assert "Memory" not in request(ContainerSpec("a", "image"), "/group")["HostConfig"]


def test_a_plugin_that_starts_again_counts_its_users_anew(monkeypatch):
    """A reboot, or disable and enable, is another process: it knows nobody who used a volume before."""
    made = []

    class Driver:
        def __init__(self, *_):
            made.append(self)

        def start(self):
            pass

        def get(self, name):
            return None

    monkeypatch.setattr("runbook_lib.sandbox.real.plugin_calls.RexRay", Driver)
    calls = PluginCalls(None)
    for process in ("1", "1", "2"):
        body = {"call": "VolumeDriver.Get", "given": {"Name": "v"}, "plugin": "p", "process": process, "env": {}}
        assert calls.answer(body) == {"Err": "volume not found"}

    assert len(made) == 2


def test_what_a_sandbox_holds_is_told_in_words():
    """Each kind once, in the singular where there is one; nothing is an empty text."""
    held = janitor.Holdings(processes=[1, 2], links=["rbs1"], loop_devices=[], control_groups=["a", "b"])

    assert (str(held), held.is_empty) == ("2 processes, 1 network link, 2 control groups", False)
    assert str(janitor.Holdings([], [], [], [])) == ""
