"""Trees that change between the listing and the look, that nobody may read, and units that become several parts."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from runbook_lib import host_scripts, manifest

NOBODY = 65534
OLD_S = 0.15  # longer than the ticks of the kernel's clock that build_manifest keeps away from


@pytest.fixture
def walk(monkeypatch) -> ModuleType:
    """Return the host scripts' part that walks."""
    monkeypatch.syspath_prepend(str(Path(host_scripts.__file__).parent))
    return importlib.import_module("manifest_walk")


@contextlib.contextmanager
def opened(root: Path) -> Iterator[int]:
    """Give a descriptor of a folder."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody whom permissions bind, which root is not."""
    own = os.geteuid()
    if not own:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def small_tree(root: Path) -> None:
    """Make a file, a symlink and a folder with a file."""
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "inner").touch()
    (root / "file").touch()
    (root / "link").symlink_to("file")


def to_folder(path: Path) -> None:
    """Replace a file by a folder that is not empty."""
    path.unlink()
    path.mkdir()
    (path / "unknown").touch()


def to_link(path: Path) -> None:
    """Replace a folder by a symlink to another."""
    shutil.rmtree(path)
    path.symlink_to(path.parent.parent / "outside")


@pytest.mark.parametrize(
    ("change", "vanished", "kinds"),
    [
        (lambda root: (root / "file").unlink(), {"file"}, {"link": "symlink", "sub": "directory", "sub/inner": "file"}),
        (lambda root: (root / "link").unlink(), {"link"}, {"file": "file", "sub": "directory", "sub/inner": "file"}),
        (
            lambda root: to_folder(root / "file"),
            {"file"},
            {"file": "directory", "link": "symlink", "sub": "directory", "sub/inner": "file"},
        ),
        (lambda root: shutil.rmtree(root / "sub"), {"sub"}, {"file": "file", "link": "symlink"}),
        (lambda root: to_link(root / "sub"), {"sub"}, {"file": "file", "link": "symlink", "sub": "symlink"}),
    ],
    ids=["file removed", "link removed", "file became a folder", "folder removed", "folder became a link"],
)
def test_what_changes_after_the_names_were_read_is_told(change: Callable, vanished, kinds, walk, tmp_path):
    """No row is made up, no other folder is entered, and what cannot be described is said to have vanished."""
    root = tmp_path / "data"
    small_tree(root)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "inner").touch()
    with opened(root) as descriptor:
        units = list(walk.Walk(descriptor, set()))
        change(root)
        looked = [walk.look_at(descriptor, unit) for unit in units]

    rows = {row[0]: row[1] for found, _ in looked for row in found}
    assert rows == {".": "directory", **kinds}
    assert {path for _, gone in looked for path in gone} == vanished


def test_a_folder_that_vanishes_before_its_names_are_read_is_told(walk, tmp_path):
    """The walk goes on with what is left."""
    root = tmp_path / "data"
    small_tree(root)
    with opened(root) as descriptor:
        walked = walk.Walk(descriptor, set())
        pieces = walked.pieces()
        next(pieces)  # the root's names up to the folder
        shutil.rmtree(root / "sub")
        assert [parts for parts, _ in pieces] == [()]

    assert walked.vanished == ["sub"]


@pytest.mark.parametrize("when", ["listed", "looked at"])
def test_a_folder_that_may_not_be_read_is_refused_by_name(when, walk, tmp_path, monkeypatch):
    """A manifest without what is in there would prove less than it says."""
    monkeypatch.setattr(walk, "FOLDER_FLAGS", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    refused = walk.Refused
    root = tmp_path / "data"
    small_tree(root)
    with opened(root) as descriptor:
        units = list(walk.Walk(descriptor, set()))
        (root / "sub").chmod(0)
        try:
            with without_privileges(), pytest.raises(refused, match="sub: Permission denied"):
                _ = list(walk.Walk(descriptor, set())) if when == "listed" else walk.look_at(descriptor, units[0])
        finally:
            (root / "sub").chmod(0o755)


def test_devices_are_recorded_and_not_opened(host, tmp_path):
    """A device node is an entry without content."""
    root = tmp_path / "data"
    root.mkdir()
    try:
        os.mknod(root / "tape", 0o600 | stat.S_IFCHR, os.makedev(9, 250))
    except PermissionError:
        pytest.skip("only root makes devices")
    result = host.result("build_manifest", root=str(root), run_id="r1", name="before")

    found = manifest.parse(host.result("read_manifest", run_id="r1", name="before"))
    assert [(entry.path, entry.kind, entry.sha256) for entry in found] == [
        (".", "directory", ""), ("tape", "character_device", "")
    ]  # fmt: skip
    assert (result["files"], result["unstable_count"]) == (0, 0)


def test_a_unit_that_is_cut_has_the_digests_of_one_that_is_not(host, tmp_path):
    """Much to read is shared among workers; nothing of that is in the digests, whichever host makes them."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(5):
        with (root / f"sparse-{number}").open("wb") as stream:
            stream.truncate(40 << 20)
    time.sleep(OLD_S)  # younger files are hashed again
    full = host.result("build_manifest", root=str(root), run_id="r1", name="hot")
    assert len(list(Path(full["path"]).glob("*.part"))) == 2
    again = host.result("build_manifest", root=str(root), run_id="r1", name="before", previous="hot")

    assert len(list(Path(again["path"]).glob("*.part"))) == 1
    assert (again["sha256"], again["metadata_sha256"]) == (full["sha256"], full["metadata_sha256"])
    assert (again["reused_files"], full["hashed_files"]) == (5, 5)


def test_hard_links_in_several_units_have_one_group_and_are_read_once(host, tmp_path):
    """The first path in path order names the group, wherever the others lie; each content is read once."""
    root = tmp_path / "data"
    for folder in ("a", "z"):
        (root / folder).mkdir(parents=True)
    (root / "z" / "last").write_bytes(b"shared")
    for path in ("0-first", "a/1000", "a/0000-x"):
        (root / path).hardlink_to(root / "z" / "last")
    for number in range(2500):  # more than are looked at together
        (root / "a" / f"{number:04}-").touch()

    result = host.result("build_manifest", root=str(root), run_id="r1", name="before", seed="r1")

    found = manifest.parse(host.result("read_manifest", run_id="r1", name="before"))
    linked = {entry.path: entry for entry in found if entry.link_group}
    assert set(linked) == {"0-first", "a/0000-x", "a/1000", "z/last"}
    assert {(entry.link_group, entry.sha256) for entry in linked.values()} == {
        ("0-first", hashlib.sha256(b"shared").hexdigest())
    }
    assert (result["files"], result["hashed_files"], result["bytes"]) == (2504, 2501, 6)
    assert manifest.digest(found) == result["sha256"]


def test_what_is_left_out_may_lie_deep(host, tmp_path):
    """Only that path and what is below it, not others of that name."""
    root = tmp_path / "data"
    for folder in ("a/b/c", "b/c", "a/bb"):
        (root / folder).mkdir(parents=True)
    host.result("build_manifest", root=str(root), run_id="r1", name="before", exclude=["/a/b/"])

    found = manifest.parse(host.result("read_manifest", run_id="r1", name="before"))
    assert [entry.path for entry in found] == [".", "a", "a/bb", "b", "b/c"]


def test_a_manifest_that_lacks_a_part_is_refused(host, tmp_path):
    """Fewer parts than were stored are no manifest."""
    root = tmp_path / "data"
    root.mkdir()
    built = host.result("build_manifest", root=str(root), run_id="r1", name="before")
    next(Path(built["path"]).glob("*.part")).unlink()

    assert host.refusal("read_manifest", run_id="r1", name="before")["kind"] == "damaged-manifest"
