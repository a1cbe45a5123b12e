"""What the migration tests share: the command line as a user runs it, a sandbox of their own, both storage drivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests import nursery
from tests.conftest import RunningSandbox
from tests.report_schema import check
from tests.running_provider import RunningProvider

RUNBOOK = Path(sys.executable).with_name("runbook")


def pytest_generate_tests(metafunc):
    """Run whatever starts a sandbox with both storage drivers, `host_mount` in `thorough`; or with those it names."""
    if "driver" not in metafunc.fixturenames:
        return
    named = metafunc.definition.get_closest_marker("drivers")
    drivers = named.args if named else ("rexray", pytest.param("host_mount", marks=pytest.mark.thorough))
    metafunc.parametrize("driver", drivers, scope="module")


@pytest.fixture(scope="module")
def sandbox(driver, tmp_path_factory):
    """Return a sandbox with `fast` latency, shared by the tests of a module with one storage driver."""
    running = RunningSandbox(nursery.start(tmp_path_factory.mktemp("sandbox"), latency="fast"), driver)
    yield running
    running.stop()


@pytest.fixture
def start_sandbox(driver, start_sandbox):
    """Return a function that starts a fresh sandbox with the storage driver: `start_sandbox("none")`."""
    return partial(start_sandbox, driver=driver)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    output: str


def run_command(*arguments, timeout_s=280, **environment):
    """Run `runbook` as a user does; return its exit code and everything it printed."""
    done = subprocess.run(
        [str(RUNBOOK), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout_s,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | environment,
    )
    return Ended(done.returncode, done.stdout)


@pytest.fixture
def runbook():
    """Return the function that runs the command line."""
    return run_command


@pytest.fixture
def keep_provider(tmp_path, monkeypatch):
    """Return a function that lets every command from here on use a running provider for a sandbox."""
    providers = []

    def keep(sandbox):
        providers.append(RunningProvider(tmp_path, sandbox))
        for name, value in providers[-1].environment.items():
            monkeypatch.setenv(name, value)

    yield keep
    for provider in providers:
        provider.stop()


@pytest.fixture
def altered(tmp_path):
    """Return a function that writes a copy of a sandbox's parameters file with some values changed."""

    def write(sandbox, **changes):
        document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
        for dotted, value in changes.items():
            section = document["migration"]
            *path, last = dotted.split("__")
            for key in path:
                section = section[key]
            section[last] = value
        document["migration"].setdefault("archive", {})["directory"] = str(tmp_path / "runs")
        file = tmp_path / "parameters.yaml"
        file.write_text(yaml.safe_dump(document), "utf-8")
        return file

    return write


def only_run(directory):
    """Return the folder of the only run in an archive directory."""
    folders = [path for path in Path(directory).iterdir() if (path / "journal.jsonl").exists()]
    assert len(folders) == 1, folders
    return folders[0]


def report_of(folder):
    """Return a run's report.json, which fits its schema."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    check(report)
    return report


def mutating_calls(sandbox):
    """Return the API calls that changed something, as the sandbox saw them."""
    return [call for call in sandbox.control("GET", "/_sandbox/calls?kind=write") if call["outcome"] == "Success"]
