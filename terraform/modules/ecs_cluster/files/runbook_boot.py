#!/usr/bin/python3
"""Prepare a container instance for the data volume, and only then let it join its ECS cluster.

`join` runs once, at the first boot, from user data; `check` runs at every boot before ecs.service. What they do is the
storage driver's: the volume plugin here, runbook_host_mount.py for the driver host_mount, which imports this file.
Touches the plugin named in /etc/runbook/boot.json, /run/runbook and /etc/ecs/ecs.config. Never touches a volume,
never starts or restarts docker or ecs: a host that fails here stays out of the cluster and is to be replaced.
Standard library only, Python 3.7 syntax.
"""

# It stands alone on the host and prints into the log of cloud-init.
# ruff: noqa: PTH103, PTH104, PTH107, PTH110, PTH120, PTH123, T201

import json
import os
import subprocess
import sys
import time

CONFIGURATION = "/etc/runbook/boot.json"
ECS_CONFIG = "/etc/ecs/ecs.config"
STATUS_FOLDER = "/run/runbook"
STATUS = STATUS_FOLDER + "/status.json"
VERIFIED = STATUS_FOLDER + "/storage-verified"


class BootError(Exception):
    """The host must not join; a further attempt may help."""


class FinalBootError(BootError):
    """The host must not join, and no further attempt can help."""


def run(argv: list, timeout_s: float) -> tuple:
    """Run one command and return (exit code, standard output, standard error)."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr


def inspect_plugin(alias: str):  # noqa: ANN201 - Optional[dict] in Python 3.7
    """Return the plugin as Docker describes it, or None when there is no plugin of that name."""
    code, output, error = run(["docker", "plugin", "inspect", alias], 60)
    if code == 0:
        return json.loads(output)[0]
    if "not found" in error.lower() or "no such plugin" in error.lower():
        return None
    raise BootError("docker plugin inspect: " + error.strip())


def normalized(reference: str) -> str:
    """Return a plugin reference without the registry that Docker adds by itself."""
    prefix = "docker.io/"
    return reference.removeprefix(prefix)


def find_problems(plugin, storage: dict) -> list:  # noqa: ANN001 - Optional[dict] in Python 3.7
    """Return one text for each difference between the plugin and its configuration."""
    if plugin is None:
        return ["plugin " + storage["plugin_alias"] + " is not installed"]
    problems = []
    reference = normalized(plugin.get("PluginReference", ""))
    if reference != normalized(storage["plugin_reference"]):
        problems.append("plugin comes from {}, expected {}".format(reference, storage["plugin_reference"]))
    settings = set((plugin.get("Settings") or {}).get("Env") or [])
    for name, value in sorted(storage["plugin_environment"].items()):
        if f"{name}={value}" not in settings:
            problems.append(f"plugin setting {name} is not {value!r}")
    if not plugin.get("Enabled"):
        problems.append("plugin is disabled")
    return problems


def install_plugin(storage: dict, retries: dict) -> None:
    """Install the plugin disabled, with its whole environment, so that it never runs with a default."""
    argv = ["docker", "plugin", "install", "--disable", "--alias", storage["plugin_alias"], "--grant-all-permissions"]
    argv.append(storage["plugin_reference"])
    argv += [f"{name}={value}" for name, value in sorted(storage["plugin_environment"].items())]
    code, _output, error = run(argv, retries["install_timeout_s"])
    if code != 0:
        raise BootError("docker plugin install: " + error.strip())


def enable_plugin(storage: dict, retries: dict) -> None:
    """Enable the plugin."""
    timeout_s = retries["enable_timeout_s"]
    argv = ["docker", "plugin", "enable", "--timeout", str(timeout_s), storage["plugin_alias"]]
    code, _output, error = run(argv, timeout_s + 30)
    if code != 0:
        raise BootError("docker plugin enable: " + error.strip())


def prepare_plugin(storage: dict, retries: dict) -> None:
    """Bring the plugin to its configured state and look at it again; raise BootError when it is not there yet."""
    plugin = inspect_plugin(storage["plugin_alias"])
    if plugin is None:
        install_plugin(storage, retries)
        plugin = inspect_plugin(storage["plugin_alias"])
    problems = [problem for problem in find_problems(plugin, storage) if problem != "plugin is disabled"]
    if problems:
        raise FinalBootError("; ".join(problems))
    if not plugin.get("Enabled"):
        enable_plugin(storage, retries)
    problems = find_problems(inspect_plugin(storage["plugin_alias"]), storage)
    if problems:
        raise BootError("; ".join(problems))


def write_file(path: str, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = path + ".new"
    with open(temporary, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)


def write_status(phase: str, problem: str) -> None:
    """Leave for the next reader on this host what happened, and whether the ECS agent may start."""
    status = {"phase": phase, "verified": not problem, "problem": problem}
    write_file(STATUS, json.dumps(status, sort_keys=True) + "\n")
    if not problem:
        write_file(VERIFIED, "")
    elif os.path.exists(VERIFIED):
        os.remove(VERIFIED)


def check(configuration: dict) -> None:
    """Raise BootError unless the plugin is enabled and exactly as configured. Changes nothing."""
    storage = configuration["storage"]
    problems = find_problems(inspect_plugin(storage["plugin_alias"]), storage)
    if problems:
        raise BootError("; ".join(problems))


def join(configuration: dict) -> None:
    """Prepare the plugin; what makes the agent join is written by main, last."""
    try_again(lambda: prepare_plugin(configuration["storage"], configuration["retries"]), configuration["retries"])


def try_again(act, retries: dict) -> None:  # noqa: ANN001 - a function without arguments
    """Do something, again after a while as long as that may help."""
    for attempt in range(1, retries["attempts"] + 1):
        try:
            act()
        except FinalBootError:
            raise
        except BootError as error:
            print(f"attempt {attempt}: {error}", flush=True)
            if attempt == retries["attempts"]:
                raise
            time.sleep(retries["delay_s"])
        else:
            return


PHASES = {"join": join, "check": check}


def main(arguments: list, phases: dict) -> int:
    """Run the driver's `join` or `check`; exit code 0 means that the agent may start."""
    phase = arguments[-1]
    if phase not in phases:
        print("usage: runbook-boot " + " | ".join(phases), file=sys.stderr)
        return 2
    with open(CONFIGURATION) as stream:
        configuration = json.load(stream)
    try:
        phases[phase](configuration)
    except BootError as error:
        write_status(phase, str(error))
        print(f"runbook-boot {phase}: this host must not serve the data volume: {error}", file=sys.stderr)
        return 1
    write_status(phase, "")
    if phase == "join":
        # Last: before this line the agent has no cluster, so a half-prepared host receives no task.
        lines = [f"{name}={value}\n" for name, value in sorted(configuration["ecs_config"].items())]
        write_file(ECS_CONFIG, "".join(lines))
    print("runbook-boot {}: verified for {}".format(phase, configuration["storage"]["driver"]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv, PHASES))
