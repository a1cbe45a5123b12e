"""Tests of the boot script of modules/ecs_cluster, against a docker program that keeps its plugin in a file."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "terraform/modules/ecs_cluster/files/runbook_boot.py"
REFERENCE = "registry.example/rexray-ebs@sha256:" + "a" * 64
STORAGE = {
    "driver": "rexray",
    "plugin_alias": "rexray/ebs",
    "plugin_reference": REFERENCE,
    "plugin_environment": {"REXRAY_PREEMPT": "false", "LINUX_VOLUME_ROOTPATH": "/.runbook"},
}
PLUGIN = {
    "Enabled": True,
    "PluginReference": REFERENCE,
    "Settings": {"Env": ["REXRAY_PREEMPT=false", "LINUX_VOLUME_ROOTPATH=/.runbook", "REXRAY_LOGLEVEL=warn"]},
}
DOCKER = """#!{python}
import json, pathlib, sys
path = pathlib.Path({state!r})
state = json.loads(path.read_text())
argv = sys.argv[1:]
state["calls"].append(argv)
verb, plugin, error = argv[1], state["plugin"], ""
if verb == "inspect" and plugin is None:
    error = "Error: No such plugin: " + argv[2]
elif verb == "inspect":
    print(json.dumps([plugin]))
elif state["failures"].get(verb, 0):
    state["failures"][verb] -= 1
    error = "Error response from daemon: registry does not answer"
elif verb == "install":
    settings = [argument for argument in argv if "=" in argument]
    reference = next(argument for argument in argv if "@sha256:" in argument)
    state["plugin"] = {{"Enabled": False, "PluginReference": "docker.io/" + reference, "Settings": {{"Env": settings}}}}
elif verb == "enable":
    plugin["Enabled"] = True
path.write_text(json.dumps(state))
sys.exit(error or 0)
"""


class Instance:
    """A container instance: the script, its files, and what docker was asked."""

    def __init__(self, folder, monkeypatch, *, plugin=None, failures=None):
        self.folder, self.state = folder, folder / "docker.json"
        self.state.write_text(json.dumps({"plugin": plugin, "failures": failures or {}, "calls": []}))
        docker = folder / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text(DOCKER.format(python=sys.executable, state=str(self.state)))
        docker.chmod(0o755)
        monkeypatch.setenv("PATH", str(docker.parent), prepend=":")
        specification = importlib.util.spec_from_file_location("runbook_boot", SCRIPT)
        self.script = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.script)
        configuration = {
            "ecs_config": {"ECS_CLUSTER": "guestbook", "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached"},
            "storage": STORAGE,
            "retries": {"attempts": 3, "delay_s": 0, "install_timeout_s": 30, "enable_timeout_s": 30},
        }
        (folder / "boot.json").write_text(json.dumps(configuration))
        for name, path in {
            "CONFIGURATION": "boot.json",
            "ECS_CONFIG": "ecs/ecs.config",
            "STATUS": "run/status.json",
            "VERIFIED": "run/storage-verified",
        }.items():
            setattr(self.script, name, str(folder / path))

    def boot(self, phase):
        """Run the script and return its exit code."""
        return self.script.main(["runbook-boot", phase], self.script.PHASES)

    def asked(self, verb):
        """Return the arguments of each `docker plugin VERB`."""
        return [call[2:] for call in json.loads(self.state.read_text())["calls"] if call[1] == verb]

    @property
    def status(self):
        return json.loads((self.folder / "run/status.json").read_text())

    @property
    def may_start(self):
        return (self.folder / "run/storage-verified").exists()

    @property
    def ecs_config(self):
        path = self.folder / "ecs/ecs.config"
        return path.read_text() if path.exists() else None


def test_a_new_host_gets_the_plugin_and_joins(tmp_path, monkeypatch):
    """The plugin is installed disabled with its whole environment, enabled, and then the host joins."""
    instance = Instance(tmp_path, monkeypatch)

    assert instance.boot("join") == 0
    assert instance.asked("install") == [
        [
            *("--disable", "--alias", "rexray/ebs", "--grant-all-permissions", REFERENCE),
            *("LINUX_VOLUME_ROOTPATH=/.runbook", "REXRAY_PREEMPT=false"),
        ]
    ]
    assert instance.asked("enable") == [["--timeout", "30", "rexray/ebs"]]
    assert instance.ecs_config == "ECS_CLUSTER=guestbook\nECS_IMAGE_PULL_BEHAVIOR=prefer-cached\n"
    assert instance.may_start


def test_the_cluster_is_named_last(tmp_path, monkeypatch):
    """Nothing is written after ecs.config: before it the agent has no cluster."""
    instance = Instance(tmp_path, monkeypatch, plugin=PLUGIN)
    written, write = [], instance.script.write_file
    monkeypatch.setattr(
        instance.script, "write_file", lambda path, text: (written.append(Path(path).name), write(path, text))
    )

    instance.boot("join")

    assert written == ["status.json", "storage-verified", "ecs.config"]


def test_a_baked_plugin_is_not_installed_again(tmp_path, monkeypatch):
    """An image that brings the plugin as configured is used as it is."""
    instance = Instance(tmp_path, monkeypatch, plugin=PLUGIN)

    assert instance.boot("join") == 0
    assert instance.asked("install") == instance.asked("enable") == []


def test_a_slow_registry_is_asked_again(tmp_path, monkeypatch):
    """A pull or an enable that fails is tried again."""
    instance = Instance(tmp_path, monkeypatch, failures={"install": 1, "enable": 1})

    assert instance.boot("join") == 0
    assert len(instance.asked("install")) == 2
    assert len(instance.asked("enable")) == 2


def test_a_host_without_the_plugin_stays_out_of_the_cluster(tmp_path, monkeypatch):
    """After the last attempt the host has no cluster, the agent may not start, and the reason is left behind."""
    instance = Instance(tmp_path, monkeypatch, failures={"install": 99})

    assert instance.boot("join") == 1
    assert len(instance.asked("install")) == 3
    assert instance.ecs_config is None
    assert not instance.may_start
    assert instance.status["problem"].endswith("registry does not answer")


@pytest.mark.parametrize(
    ("plugin", "problem"),
    [
        (
            PLUGIN | {"PluginReference": "docker.io/rexray/ebs:latest"},
            f"plugin comes from rexray/ebs:latest, expected {REFERENCE}",
        ),
        (
            PLUGIN | {"Settings": {"Env": ["REXRAY_PREEMPT=true", "LINUX_VOLUME_ROOTPATH=/.runbook"]}},
            "plugin setting REXRAY_PREEMPT is not 'false'",
        ),
    ],
)
def test_another_plugin_is_never_used_and_never_repaired(tmp_path, monkeypatch, plugin, problem):
    """A plugin of another origin or with another setting keeps the host out at once."""
    instance = Instance(tmp_path, monkeypatch, plugin=plugin)

    assert instance.boot("join") == 1
    assert instance.status == {"phase": "join", "problem": problem, "verified": False}
    assert len(instance.asked("inspect")) == 1
    assert instance.ecs_config is None


def test_a_reboot_with_the_plugin_enabled_lets_the_agent_start(tmp_path, monkeypatch):
    """`check` looks and changes nothing."""
    instance = Instance(tmp_path, monkeypatch, plugin=PLUGIN)

    assert instance.boot("check") == 0
    assert instance.may_start
    assert instance.ecs_config is None


def test_a_reboot_that_lost_the_plugin_keeps_the_agent_from_starting(tmp_path, monkeypatch):
    """A plugin that came back disabled is not repaired: the host is to be replaced."""
    instance = Instance(tmp_path, monkeypatch, plugin=PLUGIN | {"Enabled": False})
    (tmp_path / "run").mkdir()
    (tmp_path / "run/storage-verified").touch()

    assert instance.boot("check") == 1
    assert not instance.may_start
    assert instance.asked("enable") == []
    assert instance.status["problem"] == "plugin is disabled"


def test_a_host_without_docker_stays_out(tmp_path, monkeypatch):
    """When docker cannot be asked nothing is assumed."""
    instance = Instance(tmp_path, monkeypatch, plugin=PLUGIN)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    assert instance.boot("join") == 1
    assert instance.ecs_config is None


def test_other_words_are_refused(tmp_path, monkeypatch):
    """The script knows two phases."""
    assert Instance(tmp_path, monkeypatch).boot("repair") == 2


def test_the_script_is_small_enough_for_user_data():
    """EC2 takes 16 KiB of user data, and the script is most of it."""
    assert len(SCRIPT.read_bytes()) < 9000
