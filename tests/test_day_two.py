"""`make demo-day-two`: what it runs, with which parameters, and what it says at the end. Nothing is really run here."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
COMPOSE, ECS = "http://127.17.0.1:8080/", "http://127.17.0.9:8080/"


@pytest.fixture(scope="module")
def script():
    """Return the script as a module."""
    loader = importlib.machinery.SourceFileLoader("day_two", str(ROOT / "scripts" / "day_two"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("day_two", loader))
    sys.modules["day_two"] = module
    loader.exec_module(module)
    return module


class Town:
    """A sandbox and a `runbook` that are played.

    Args:
        folder: Where parameters and runs are.
        fails: The notebook that fails.
        loses: How many writes are missing after the last one.
    """

    def __init__(self, folder, fails="", loses=0):
        self.folder, self.fails, self.loses = folder, fails, loses
        self.served, self.asked, self.commands = COMPOSE, [], []
        self.parameters = folder / "own" / "parameters.yaml"  # elsewhere than the files that the parts get
        self.parameters.parent.mkdir()
        migration = {
            "source": {"url": COMPOSE},
            "target": {},
            "volume": {},
            "archive": {"directory": "../runs"},
        }
        self.parameters.write_text(yaml.safe_dump({"migration": migration}), "utf-8")

    def control(self, method, path, body=None):
        """Answer as the sandbox does."""
        self.asked.append((method, path, body))
        return {"service": self.served, "acknowledged": 100 + len(self.commands), "missing": self.loses}

    def run(self, command):
        """Note a command, and leave a report as `runbook run` does."""
        notebook, file = command[2], Path(command[4])
        self.commands.append((notebook, yaml.safe_load(file.read_text("utf-8"))["migration"]["target"], command[5:]))
        archive = yaml.safe_load(file.read_text("utf-8"))["migration"]["archive"]["directory"]
        folder = file.parent / archive / f"run-{notebook}"  # as `runbook run` understands the file that it gets
        folder.mkdir(parents=True)
        outage_s = {"all": 4.0, "60": 2.25, "61": 1.5}.get(notebook)
        (folder / "report.json").write_text(json.dumps({"outage_s": outage_s}), "utf-8")
        self.served = ECS
        return (4 if notebook == self.fails else 0), f"run run-{notebook} executes\nmore\n"

    def perform(self, script):
        """Perform day two as `main` does; return how the parts ended, and how many there are."""
        day_two = script.DayTwo(self.parameters, self.folder, self.control, self.run)
        parts, done = day_two.parts(), []
        for part in parts:
            done.append(day_two.perform(part))
            if not done[-1].is_good:
                break
        return done, len(parts)


def test_it_migrates_first_and_goes_on_with_what_was_changed(script, tmp_path, capsys):
    """Where compose serves; a newer machine image is published for 60, 61 deploys another image, which then stays."""
    town = Town(tmp_path)
    done, wanted = town.perform(script)
    assert [command[0] for command in town.commands] == ["all", "60", "61", "62", "63", "64"]
    assert all(rest == ["--execute", "--reason", "make demo-day-two"] for _, _, rest in town.commands)
    images = [target.get("image", "") for _, target, _ in town.commands]
    assert images[:2] == ["", ""]
    assert len(set(images[2:])) == 1
    assert images[2].startswith("registry.sandbox/guestbook@sha256:")
    published = [call for call in town.asked if call[0] == "POST"]
    assert published == [("POST", "/_sandbox/machine-images/publish", {})]
    script.show(done, wanted)
    said = capsys.readouterr().out
    assert "outage 2.2 s, 0 of 102 writes lost" in said
    assert str(tmp_path / "runs" / "run-64" / "report.html") in said
    assert "verdict  all 106 acknowledged writes are there; 3.8 s of outage on day two" in said


def test_it_goes_on_from_a_finished_migration(script, tmp_path):
    """Where ECS serves already, nothing is migrated."""
    town = Town(tmp_path)
    town.served = ECS
    town.perform(script)
    assert [command[0] for command in town.commands] == ["60", "61", "62", "63", "64"]


@pytest.mark.parametrize(
    ("trouble", "last", "why"),
    [({"fails": "61"}, "61", "61 ended with exit code 4"), ({"loses": 3}, "all", "all lost writes")],
    ids=["a run fails", "a write is lost"],
)
def test_it_ends_at_the_first_thing_that_is_not_good(script, tmp_path, capsys, trouble, last, why):
    """What comes after it is not run, and the verdict says why."""
    town = Town(tmp_path, **trouble)
    done, wanted = town.perform(script)
    assert town.commands[-1][0] == last
    script.show(done, wanted)
    assert f"verdict  NOT GOOD: {why}" in capsys.readouterr().out


def test_without_a_sandbox_it_says_so(script, tmp_path, capsys):
    """Exit code 2, and what starts one."""
    assert script.main([str(tmp_path / "p.yaml"), str(tmp_path)]) == 2
    assert "make demo-day-two" in capsys.readouterr().err


def test_make_runs_it_in_the_sandbox_that_is_up_or_in_one_of_its_own():
    """The target of the Makefile, as make would carry it out."""
    done = subprocess.run(["make", "-n", "demo-day-two"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "scripts/day_two .sandbox/parameters.yaml .sandbox" in done.stdout
    inside = "--latency fast --hosts simulated -- .venv/bin/python scripts/day_two '{parameters}' '{state}'"
    assert f"sandbox exec {inside}" in done.stdout
