"""`make lab` in a copy of the checkout, with a sandbox and ports of its own.

The copy is a git repository, so that `git status` says what a session of clicking left behind, and what a person does
in it never touches the checkout that is tested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from runbook_lib.parameters_edit import with_value
from runbook_lib.sandbox import lifecycle
from tests.conftest import RunningSandbox

ROOT = Path(__file__).resolve().parents[2]
TIED = Path(__file__).with_name("tied.py")
OWN_IDS = (("aws", "endpoint_url"), ("source", "instance_id"), ("source", "url"), ("volume", "volume_id"))
OWN_IDS += (("target", "vpc_id"), ("target", "subnet_ids"))
"""What differs from sandbox to sandbox; the paths in parameters/sandbox.yaml count from the file."""
START_S = 120


def git(folder, *arguments):
    """Run git in a folder; return what it printed."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


def copy_checkout(folder):
    """Copy what git has or would have of the checkout into a folder and commit it there; `.venv` is shared."""
    names = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    git(folder, "init", "--quiet")
    (folder / ".git" / "info" / "exclude").write_text(".venv\n", "utf-8")
    commit_all(folder)


def commit_all(folder):
    """Commit everything in a folder."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "As it was")


@dataclass(frozen=True)
class Lab:
    """A running `make lab`.

    Args:
        folder: The copy of the checkout.
        url: What it printed, with the token.
        sandbox: Its sandbox.
        environment: That of its terminals.
    """

    folder: Path
    url: str
    sandbox: RunningSandbox
    environment: dict[str, str]

    def changes(self):
        """Return what `git status` shows."""
        return git(self.folder, "status", "--porcelain")

    def set_parameters(self, values):
        """Change values of parameters/sandbox.yaml, by their keys, and commit that."""
        file = self.folder / "parameters" / "sandbox.yaml"
        text = file.read_text("utf-8")
        for keys, value in values.items():
            text = with_value(text, ("migration", *keys), value).text
        file.write_text(text, "utf-8")
        commit_all(self.folder)

    def runbook(self, *arguments):
        """Run `runbook` as in a terminal of JupyterLab; return its exit code and what it printed."""
        command = [self.folder / ".venv" / "bin" / "runbook", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def prepare(self, name, run_id):
        """Prepare a notebook for a run that acts, as a cell does."""
        self.python(f"import runbook_lib; runbook_lib.prepare_notebooks({name!r}, execute=True, run_id={run_id!r})")

    def python(self, code):
        """Run code as a cell of a notebook does."""
        command = [self.folder / ".venv" / "bin" / "python", "-c", code]
        subprocess.run(command, cwd=self.folder / "notebooks", env=self.environment, check=True)

    def run_ids(self):
        """Return the runs, oldest first."""
        return sorted(path.parent.name for path in self.folder.glob("runs/*/journal.jsonl"))

    def events(self, run_id):
        """Return the journal of a run."""
        lines = (self.folder / "runs" / run_id / "journal.jsonl").read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def report(self, run_id):
        """Return what the last notebook of a run reported."""
        return json.loads((self.folder / "runs" / run_id / "report.json").read_text("utf-8"))


class LabServer:
    """Starts and ends `make lab`.

    Args:
        folder: An empty folder for the copy and for everything that is written.
    """

    def __init__(self, folder):
        self.folder = folder / "checkout"
        self.log = folder / "lab.log"
        self._own = folder / "jupyter"
        self._process = None

    def start(self):
        """Copy the checkout, start `make lab` in it, and wait for the address that it prints."""
        self.folder.mkdir()
        copy_checkout(self.folder)
        # -o: the environment is that of the checkout, whatever the ages of the copies say
        command = ["make", "--no-print-directory", "-o", ".venv/.ready", "lab"]
        options = ["LAB_OPTIONS=--no-browser --port=0", "SANDBOX_OPTIONS=--port 0"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(TIED), *command, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environment(),
            )
        url = self._wait_for_address()
        sandbox = RunningSandbox(lifecycle.status(self.folder / ".sandbox"))
        lab = Lab(self.folder, url, sandbox, self._environment())
        own = yaml.safe_load(sandbox.parameters_path.read_text("utf-8"))["migration"]
        lab.set_parameters({keys: own[keys[0]][keys[1]] for keys in OWN_IDS})
        return lab

    def _environment(self):
        """Return the environment of a person who never used Jupyter before."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "JUPYTER", "JPY_", "PYTEST_", "GIT_"))}
        folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython"}
        own = {name: str(self._own / part) for name, part in folders.items()}
        return kept | own | {"JUPYTER_RUNTIME_DIR": str(self._own / "runtime"), "PYTHONPATH": str(self.folder)}

    def _wait_for_address(self):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:\d+/lab\S*\?token=\w+", self.log.read_text("utf-8", "replace"))
            if found:
                return found[0]
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"`make lab` printed no address:\n{self.log.read_text('utf-8', 'replace')}")

    def stop(self):
        """End it as Ctrl-C does; return its exit code."""
        self._process.stdin.close()
        try:
            return self._process.wait(timeout=60)
        finally:
            lifecycle.stop(self.folder / ".sandbox")
