"""The scripts as text: complete, deterministic, old enough for the hosts, small enough to send."""

from __future__ import annotations

import ast
import base64
import zlib

import pytest

from runbook_lib.host_scripts import names, read, source

EXPECTED = {
    "build_manifest", "compose_config", "inspect_host", "inspect_image", "inspect_target", "list_open_files",
    "mount_volume", "probe_service", "pull_image", "read_boot", "read_manifest", "read_page", "read_probe",
    "remove_probe", "start_compose", "stop_compose", "write_probe", "write_sentinel",
}  # fmt: skip
OLDEST = (3, 7)
LONGEST_BYTES = 24_000


def test_every_script_is_known_and_no_part_is_taken_for_one():
    """The package lists the files that have a main function, and no others."""
    assert set(names()) >= EXPECTED
    assert set(names()).isdisjoint({"prelude", "mounts", "holders", "containers", "manifest_rows"})


@pytest.mark.parametrize("name", names())
def test_a_script_is_complete_by_itself(name):
    """The text of a script defines main and answer with nothing but the standard library."""
    variables = {"__name__": "host_script"}
    exec(compile(source(name), "host_script", "exec"), variables)  # noqa: S102 - it is what hosts do

    assert callable(variables["main"])
    assert callable(variables["answer"])


@pytest.mark.parametrize("name", names())
def test_a_script_has_the_syntax_of_the_oldest_python_on_hosts(name):
    """Each script and each part parses as Python 3.7, which no Amazon Linux 2 host lacks."""
    ast.parse(source(name), feature_version=OLDEST)
    ast.parse(read(name), feature_version=OLDEST)


@pytest.mark.parametrize("name", names())
def test_a_script_is_always_the_same_text_and_small(name):
    """The digest of a script identifies it, and its compressed text fits into one command."""
    assert source(name) == source(name)
    assert len(base64.b64encode(zlib.compress(source(name).encode()))) < LONGEST_BYTES


@pytest.mark.parametrize("name", names())
def test_a_script_says_what_it_reads_and_changes(name):
    """The docstring of each script tells what it changes."""
    text = ast.get_docstring(ast.parse(read(name)))

    assert "changes nothing" in text.lower() or "Changes" in text
