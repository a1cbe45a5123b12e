"""Hosts whose Python makes SHA-256 by itself, or not at all: the same digests, and the answer says what made them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NO_OPENSSL = 'import sys; sys.modules["_hashlib"] = None; '
NO_HASHING = NO_OPENSSL + 'sys.modules["_sha256"] = sys.modules["_sha2"] = None; '


def run(host, crippled: str, script: str, **arguments: object) -> dict:
    """Run a script on a Python that lacks something; return the JSON document it printed."""
    command = host.command(script, arguments)
    command["args"][2] = crippled + command["args"][2]
    done = subprocess.run(**command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return json.loads(done.stdout)


def tree(root: Path) -> dict[str, str]:
    """Make files with awkward names and sizes; return the digest of each."""
    contents = {f"{number}": os.urandom(number * 7) for number in range(150)}
    contents |= {"line\nbreak": b"a", "-rf": b"b", "large": os.urandom(3_000_000), "empty": b"", "a\\b": b"c"}
    (root / "deep").mkdir(parents=True)
    for name, content in contents.items():
        (root / "deep" / name).write_bytes(content)
    return {f"deep/{name}": hashlib.sha256(content).hexdigest() for name, content in contents.items()}


@pytest.mark.parametrize("crippled", [NO_OPENSSL, NO_HASHING])
def test_a_manifest_is_the_same_whatever_makes_the_digests(crippled, host, tmp_path):
    """Digests of files, of the manifest, of metadata and of groups are those that hashlib over OpenSSL makes."""
    expected = tree(tmp_path / "data")
    arguments = {"root": str(tmp_path / "data"), "run_id": "r1", "seed": "r1"}

    usual = host.result("build_manifest", name="usual", **arguments)
    other = run(host, crippled, "build_manifest", name="other", workers=2, **arguments)["result"]
    read = host.result("read_manifest", run_id="r1", name="other")

    assert {entry[0]: entry[7] for entry in read["entries"] if entry[1] == "file"} == expected
    same = ("sha256", "metadata_sha256", "groups", "hashed_files", "hashed_bytes", "unstable_count")
    assert {key: other[key] for key in same} == {key: usual[key] for key in same}


def test_the_answer_says_what_made_the_digests(host, tmp_path):
    """Over OpenSSL, by Python's own code, or by coreutils: the evidence can tell."""
    (tmp_path / "data").mkdir()
    arguments = {"root": str(tmp_path / "data"), "run_id": "r1", "name": "n"}
    python = f"hashlib of Python {sys.version.split()[0]}"

    said = [
        run(host, crippled, "build_manifest", **arguments)["result"]["hashed_with"]
        for crippled in ("", NO_OPENSSL, NO_HASHING)
    ]

    assert said[:2] == [f"{python} over OpenSSL", f"{python} over its own code"]
    assert said[2].startswith("sha256sum ")


def test_a_file_that_changes_while_coreutils_reads_it_is_told(host, tmp_path, wait_until):
    """The fallback notices changes as the usual way does."""
    (tmp_path / "data").mkdir()
    busy = tmp_path / "data" / "busy"
    busy.write_bytes(b"\0" * 60_000_000)
    program = f"import os; f = os.open({str(busy)!r}, os.O_WRONLY | os.O_APPEND)\nwhile True: os.write(f, b'x')"
    with subprocess.Popen([sys.executable, "-c", program]) as writer:
        try:
            wait_until(lambda: busy.stat().st_size > 60_000_000, "the file grows")
            document = run(host, NO_HASHING, "build_manifest", root=str(busy.parent), run_id="r1", name="hot")
        finally:
            writer.kill()

    assert document["result"]["unstable"] == ["busy"]


def test_other_scripts_have_digests_without_hashlib_too(host, mounted):
    """The sentinel and large answers carry the digests that any host would give them."""
    written = run(host, NO_HASHING, "write_sentinel", mount_path=str(mounted), run_id="r1", content='{"a":1}')["result"]

    assert written["sha256"] == hashlib.sha256(b'{"a":1}').hexdigest()


def test_a_host_that_cannot_hash_at_all_is_refused(host, tmp_path):
    """Without hashing in Python and without sha256sum nothing is read, and the refusal says what to install."""
    (tmp_path / "data").mkdir()
    command = host.command("build_manifest", {"root": str(tmp_path / "data"), "run_id": "r1", "name": "n"})
    command["args"][2] = NO_HASHING + command["args"][2]
    command["env"] = command["env"] | {"PATH": str(host.bin)}

    done = subprocess.run(**command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)

    error = json.loads(done.stdout)["error"]
    assert (error["kind"], "install coreutils" in error["message"]) == ("cannot-hash", True)
    assert not (host.store / "r1").exists()
