"""A sandbox that was forked is as one that was started: a process of its own that dies with its starter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import os, sys
from pathlib import Path
from tests import nursery
infos = [nursery.start(Path(sys.argv[1]) / name, latency="none") for name in "ab"]
print(*(one.pid for one in infos), flush=True)
os._exit(0)
"""


def test_each_sandbox_leads_a_session_of_its_own(start_sandbox):
    """Two of them share nothing that a third program could see, and neither the test's process group."""
    first = start_sandbox("none")
    second = start_sandbox("none")
    pids = [one.info.pid for one in (first, second)]
    assert [os.getsid(pid) for pid in pids] == pids
    assert first.endpoint_url != second.endpoint_url
    assert first.client("sts").get_caller_identity()["Account"] == "012345678901"
    first.stop()
    assert second.control("GET", "/_sandbox/status")["pid"] == second.info.pid


def test_ids_are_those_of_a_sandbox_that_was_started(start_sandbox):
    """A forked sandbox draws the same ids as any other: parameters/sandbox.yaml fits."""
    committed = (ROOT / "parameters" / "sandbox.yaml").read_text("utf-8")
    volume_id = start_sandbox("none").parameters_path.read_text("utf-8").partition("volume_id: ")[2].split()[0]
    assert volume_id in committed


def test_sandboxes_and_nursery_die_with_the_test_process(tmp_path, wait_until):
    """A worker that ends without a word leaves no sandbox and no nursery behind."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the sandboxes are gone")
