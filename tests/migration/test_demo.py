"""`make demo` leaves nothing behind, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PARAMETERS
from tests.migration.conftest import RUNBOOK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MARK = "RUNBOOK_TEST_MARK"
MIGRATE_ELSEWHERE = """
import os, pathlib, re, sys
parameters, name, file, runbook = sys.argv[1:]
text = re.sub(r"(?m)^(    directory:).*$", r"\\1 runs", pathlib.Path(parameters).with_name(name).read_text())
pathlib.Path(file).write_text(text)
os.execv(runbook, [runbook, "run", "00", "10", "-f", file, "--execute"])
"""

DAY_TWO = """
import os, pathlib, re, sys
parameters, state, name, file, script = sys.argv[1:]
text = re.sub(r"(?m)^(    directory:).*$", r"\\1 runs", pathlib.Path(parameters).with_name(name).read_text())
pathlib.Path(file).write_text(text)
os.execv(sys.executable, [sys.executable, script, file, state])
"""


def marked_processes(mark):
    """Return the living processes that carry our mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in environment.split(b"\0") and state != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.parametrize(
    ("number", "notebook"),
    [
        (signal.SIGINT, "00_inspect_source"),
        (signal.SIGKILL, "00_inspect_source"),
        (signal.SIGKILL, "10_provision_target"),
    ],
    ids=["ctrl-c", "killed in a notebook", "killed in terraform"],
)
def test_a_demo_that_is_stopped_leaves_no_process(driver, tmp_path, wait_until, number, notebook):
    """Ctrl-C or SIGKILL at any moment ends sandbox, kernel, Terraform and client with it."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    command = [
        str(RUNBOOK),
        "sandbox",
        "exec",
        "--",
        sys.executable,
        "-c",
        MIGRATE_ELSEWHERE,
        "{parameters}",
        PARAMETERS[driver],
        str(tmp_path / "parameters.yaml"),
        str(RUNBOOK),
    ]
    with (tmp_path / "output").open("wb") as output:
        demo = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=os.environ | {MARK: mark},
            cwd=tmp_path,
            start_new_session=True,
        )
    said = (tmp_path / "output").read_text
    wait_until(lambda: notebook in said() or demo.poll() is not None, f"{notebook} begins", timeout_s=120)
    time.sleep(2.0)  # somewhere inside the notebook: that is the point
    assert demo.poll() is None, said()
    if number == signal.SIGINT:
        os.killpg(demo.pid, number)
    else:
        demo.kill()
    demo.wait(timeout=60)
    wait_until(lambda: not marked_processes(mark), f"no process of the demo is left: {said()}", timeout_s=60)


def test_a_command_sees_the_sandbox_and_its_exit_code_counts(tmp_path):
    """`sandbox exec` gives the command the parameters file and ends with its exit code."""
    program = "import pathlib, sys; sys.exit(7 if pathlib.Path(sys.argv[1]).exists() else 1)"
    done = subprocess.run(
        [str(RUNBOOK), "sandbox", "exec", "--latency", "none", "--", sys.executable, "-c", program, "{parameters}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 7, done.stdout + done.stderr


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_day_two_goes_on_from_the_migration(driver, tmp_path):
    """Patched, deployed, resized, backed up, no drift: each with a report, no write lost, each outage printed."""
    script = Path(__file__).resolve().parents[2] / "scripts" / "day_two"
    file = tmp_path / "parameters.yaml"
    inside = [sys.executable, "-c", DAY_TWO, "{parameters}", "{state}", PARAMETERS[driver], str(file), str(script)]
    command = [str(RUNBOOK), "sandbox", "exec", "--latency", "none", "--", *inside]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=1700)
    assert done.returncode == 0, done.stdout + done.stderr
    ending = done.stdout.partition("\nday two\n")[2]
    rows = re.findall(r"(?m)^done +(\S+)  .*: (outage [\d.]+ s|no outage), 0 of \d+ writes lost\n +(\S+)$", ending)
    assert [row[0] for row in rows] == ["all", "60", "61", "62", "63", "64"]
    assert [row[1].startswith("outage") for row in rows] == [True, True, True, True, False, False]
    assert all(Path(row[2]).is_file() for row in rows)
    assert re.search(r"verdict  all \d+ acknowledged writes are there; [\d.]+ s of outage on day two", ending)
