"""One disk, two writers: what a fence prevents, and that without it the filesystem really is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough
RECORDS, SOUND, UNCORRECTED = 50, 0, 4


def two_writers(way, folder):
    """Run the program; return what came of it."""
    program = Path(__file__).with_name("two_writers.py")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, str(program), way, str(folder)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(folder) not in subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True).stdout
    return json.loads(done.stdout)


def test_a_fenced_writer_fails_and_harms_nothing(tmp_path):
    """Every record that was acknowledged is there, the former writer gets I/O errors, and the filesystem is sound."""
    found = two_writers("fenced", tmp_path)
    assert (found["records"], found["e2fsck"]) == (RECORDS, SOUND), found
    assert found["late_writes"] == ["Input/output error"] * 2


def test_without_a_fence_the_filesystem_is_lost(tmp_path):
    """The negative control: both write happily, and e2fsck finds errors that it leaves uncorrected."""
    found = two_writers("unfenced", tmp_path)
    assert found["late_writes"][0] == "written"
    assert found["e2fsck"] & UNCORRECTED, found
