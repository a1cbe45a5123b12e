"""The manifest of real folders: difficult names, every kind of file, incremental runs, files that change meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runbook_lib import manifest

OLD_NS = 150_000_000  # longer than the ticks of the kernel's clock that build_manifest keeps away from


def difficult_tree(root: Path) -> None:
    """Make a folder with names and kinds of files that careless programs trip over."""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "plain.txt").write_bytes(b"plain")
    (root / "empty").touch()
    (root / " leading and trailing ").write_bytes(b"spaces")
    (root / "line\nbreak\ttab").write_bytes(b"control")
    (root / "grüße-日本語-🎉").write_bytes(b"unicode")
    (root / "-rf").write_bytes(b"option")
    (root / "$(reboot);`x`'\"\\").write_bytes(b"shell")
    (Path(os.fsdecode(os.fsencode(root) + b"/invalid-\xff\xfe"))).write_bytes(b"no utf-8")
    (root / "deep" / "er" / ("n" * 255)).write_bytes(b"long name")
    (root / "hard-a").write_bytes(b"shared" * 1000)
    (root / "deep" / "hard-b").hardlink_to(root / "hard-a")
    (root / "link").symlink_to("plain.txt")
    (root / "dangling").symlink_to("/nowhere/at all")
    (root / "loop").symlink_to("loop")
    (root / "to-folder").symlink_to("deep")
    os.mkfifo(root / "fifo")
    with (root / "sparse").open("wb") as stream:
        stream.truncate(5_000_000)
    (root / "set-id").write_bytes(b"x")
    (root / "set-id").chmod(0o6755)
    (root / "deep").chmod(0o1777)


def entries(host, name: str) -> tuple:
    """Return the entries of a stored manifest."""
    return manifest.parse(host.result("read_manifest", run_id="r1", name=name))


def wait_until_old(root: Path) -> None:
    """Wait until every file is old enough to be taken over from a manifest."""
    newest = max(path.lstat().st_ctime_ns for path in root.rglob("*"))
    while time.time_ns() < newest + OLD_NS:
        time.sleep(0.01)


def test_every_kind_of_file_and_name_is_recorded(host, tmp_path):
    """The manifest has each entry with its kind, attributes, content digest and link."""
    root = tmp_path / "data"
    root.mkdir()
    difficult_tree(root)

    result = host.result("build_manifest", root=str(root), run_id="r1", name="before")
    found = {entry.path: entry for entry in entries(host, "before")}

    names = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert set(found) == {".", *names}
    for path in (path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        entry, facts = found[str(path.relative_to(root))], path.stat()
        assert (entry.kind, entry.sha256) == ("file", hashlib.sha256(path.read_bytes()).hexdigest())
        assert (entry.size_bytes, entry.mode, entry.uid, entry.gid, entry.mtime_ns) == (
            facts.st_size, facts.st_mode & 0o7777, facts.st_uid, facts.st_gid, facts.st_mtime_ns,
        )  # fmt: skip
    assert (found["link"].kind, found["link"].link_target) == ("symlink", "plain.txt")
    assert found["loop"].link_target == "loop"
    assert (found["fifo"].kind, found["fifo"].sha256) == ("fifo", "")
    assert (found["deep"].kind, found["deep"].mode) == ("directory", 0o1777)
    assert found["set-id"].mode == 0o6755
    assert found["hard-a"].link_group == found["deep/hard-b"].link_group == "deep/hard-b"
    assert (result["unstable_count"], result["other_filesystems"]) == (0, [])


def test_the_numbers_and_the_digest_are_those_of_the_entries(host, tmp_path):
    """Files, bytes and SHA-256 that the host reports are what the library computes from the entries."""
    root = tmp_path / "data"
    root.mkdir()
    difficult_tree(root)

    result = host.result("build_manifest", root=str(root), run_id="r1", name="before")
    found = entries(host, "before")

    assert manifest.totals(found) == (result["files"], result["bytes"])
    assert manifest.digest(found) == result["sha256"]
    assert result["hashed_files"] == result["files"] - 1  # one of two hard links


def test_a_socket_is_recorded(host, tmp_path, monkeypatch):
    """A Unix socket is an entry like any other."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        host.result("build_manifest", root=str(root), run_id="r1", name="before")

    assert {entry.path: entry.kind for entry in entries(host, "before")} == {".": "directory", "s": "socket"}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same_manifest(workers, host, tmp_path):
    """Hashing in one process or in several gives one result."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(300):
        (root / f"{number}").write_bytes(os.urandom(number * 37))
    result = host.result("build_manifest", root=str(root), run_id="r1", name="before", workers=workers)

    expected = {str(number): hashlib.sha256((root / str(number)).read_bytes()).hexdigest() for number in range(300)}
    assert {entry.path: entry.sha256 for entry in entries(host, "before") if entry.kind == "file"} == expected
    assert result["hashed_bytes"] == sum(number * 37 for number in range(300))


def test_an_incremental_manifest_equals_a_full_one(host, tmp_path):
    """After changes of every kind the incremental manifest is the full one, although it hashed only what changed."""
    root = tmp_path / "data"
    root.mkdir()
    difficult_tree(root)
    wait_until_old(root)
    host.result("build_manifest", root=str(root), run_id="r1", name="hot")

    (root / "plain.txt").write_bytes(b"PLAIN")
    (root / "new").write_bytes(b"new")
    (root / "empty").unlink()
    (root / "-rf").rename(root / "renamed")
    (root / "hard-a").write_bytes(b"SHARED" * 1000)
    incremental = host.result("build_manifest", root=str(root), run_id="r1", name="before", previous="hot")
    full = host.result("build_manifest", root=str(root), run_id="r1", name="full")

    assert incremental["sha256"] == full["sha256"]
    assert incremental["reused_files"] > 0
    assert incremental["hashed_files"] == 4  # plain.txt, new, renamed, one of the hard links


def test_a_change_that_keeps_size_and_time_is_seen(host, tmp_path):
    """A file that was rewritten with its former size and modification time is hashed again: its ctime moved."""
    root = tmp_path / "data"
    root.mkdir()
    file = root / "database"
    file.write_bytes(b"a" * 4096)
    facts = file.stat()
    wait_until_old(root)
    host.result("build_manifest", root=str(root), run_id="r1", name="hot")

    file.write_bytes(b"b" * 4096)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    host.result("build_manifest", root=str(root), run_id="r1", name="before", previous="hot")

    found = {entry.path: entry.sha256 for entry in entries(host, "before")}
    assert found["database"] == hashlib.sha256(b"b" * 4096).hexdigest()


def test_a_file_as_young_as_the_previous_manifest_is_hashed_again(host, tmp_path):
    """A file written while the previous manifest began is not trusted: a mapped write may have followed unseen."""
    root = tmp_path / "data"
    root.mkdir()
    sync = host.bin / "sync"
    sync.write_text(f"#!/bin/sh\nprintf x > {root}/young\n")
    host.result("build_manifest", root=str(root), run_id="r1", name="hot")
    sync.write_text("#!/bin/sh\n")

    again = host.result("build_manifest", root=str(root), run_id="r1", name="before", previous="hot")

    assert (again["reused_files"], again["hashed_files"]) == (0, 1)


def test_a_file_that_changes_while_it_is_read_is_told(host, tmp_path, wait_until):
    """A file that is appended to all the time ends as unstable, and the manifest is still built."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "calm").write_bytes(b"calm")
    busy = root / "busy"
    busy.write_bytes(b"\0" * 60_000_000)
    program = f"import os; f = os.open({str(busy)!r}, os.O_WRONLY | os.O_APPEND)\nwhile True: os.write(f, b'x')"
    with subprocess.Popen([sys.executable, "-c", program]) as writer:
        try:
            wait_until(lambda: busy.stat().st_size > 60_000_000, "the file grows")
            result = host.result("build_manifest", root=str(root), run_id="r1", name="hot")
        finally:
            writer.kill()

    assert (result["unstable"], result["unstable_count"], result["files"]) == (["busy"], 1, 2)


def test_excluded_paths_are_left_out_with_all_below(host, tmp_path):
    """What the runbook itself writes can be left out."""
    root = tmp_path / "data"
    (root / ".runbook" / "inner").mkdir(parents=True)
    (root / ".runbook.txt").touch()

    host.result("build_manifest", root=str(root), run_id="r1", name="before", exclude=[".runbook"])

    assert [entry.path for entry in entries(host, "before")] == [".", ".runbook.txt"]


def test_a_symlink_is_never_followed_out_of_the_folder(host, tmp_path):
    """A folder that is a symlink is recorded as one and not entered."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "way-out").symlink_to(tmp_path / "outside")

    host.result("build_manifest", root=str(tmp_path / "data"), run_id="r1", name="before")

    assert [(entry.path, entry.kind) for entry in entries(host, "before")] == [
        (".", "directory"), ("way-out", "symlink")
    ]  # fmt: skip


def test_a_tree_deeper_than_a_path_can_be_is_walked(host, tmp_path):
    """Folders nested beyond the longest path the kernel takes are reached name by name."""
    root = tmp_path / "data"
    root.mkdir()
    folder = os.open(root, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=folder)
        inner = os.open("d" * 100, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)

    host.result("build_manifest", root=str(root), run_id="r1", name="before")

    assert max(len(entry.path) for entry in entries(host, "before")) > 6000


def test_nothing_is_written_onto_the_data_volume(host, tmp_path):
    """Building a manifest leaves names, times and contents below the root as they were."""
    root = tmp_path / "data"
    root.mkdir()
    difficult_tree(root)
    before = {path: path.lstat() for path in [root, *root.rglob("*")]}

    host.result("build_manifest", root=str(root), run_id="r1", name="before")

    after = {path: path.lstat() for path in [root, *root.rglob("*")]}
    assert {path: (s.st_mtime_ns, s.st_ctime_ns) for path, s in before.items()} == {
        path: (s.st_mtime_ns, s.st_ctime_ns) for path, s in after.items()
    }


@pytest.mark.parametrize("name", ["../x", "", "a/b", "."])
def test_a_manifest_cannot_be_written_elsewhere(name, host, tmp_path):
    """Run ids and names that are paths are refused."""
    assert host.refusal("build_manifest", root=str(tmp_path), run_id="r1", name=name)["kind"] == "bad-name"


def test_a_missing_previous_manifest_is_refused(host, tmp_path):
    """An incremental manifest needs the one it builds on."""
    error = host.refusal("build_manifest", root=str(tmp_path), run_id="r1", name="before", previous="hot")

    assert error["kind"] == "no-manifest"


def test_a_killed_attempt_leaves_its_finished_parts_to_the_next(host, tmp_path):
    """Killed half-way, the same manifest is built again without reading again what was read; the result is the same."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(5):
        (root / f"{number}").write_bytes(bytes([number]) * (130 << 20))
    wait_until_old(root)
    attempt = host.store / "r1" / "hot.manifest.attempt"
    build = host.begin("build_manifest", root=str(root), run_id="r1", name="hot", workers=1)
    deadline = time.monotonic() + 30
    while not list(attempt.glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(build.pid, signal.SIGKILL)
    build.wait(10)
    assert attempt.exists()

    again = host.result("build_manifest", root=str(root), run_id="r1", name="hot")
    full = host.result("build_manifest", root=str(root), run_id="r1", name="full")

    assert again["reused_files"] >= 1
    assert again["reused_files"] + again["hashed_files"] == full["files"] == 5
    assert again["sha256"] == full["sha256"]
    assert sorted(path.name for path in (host.store / "r1").iterdir()) == [
        "full.manifest", "full.manifest.lock", "hot.manifest", "hot.manifest.lock"
    ]  # fmt: skip


def test_what_changed_since_a_killed_attempt_is_read_again(host, tmp_path):
    """Parts of a killed attempt are trusted by the rule for previous manifests: a changed file is hashed again."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "a").write_bytes(b"a" * 100)
    (root / "b").write_bytes(b"b" * 100)
    wait_until_old(root)
    host.result("build_manifest", root=str(root), run_id="r1", name="hot")
    (host.store / "r1" / "hot.manifest" / "header.json").unlink()
    (host.store / "r1" / "hot.manifest").rename(host.store / "r1" / "hot.manifest.attempt")
    (root / "b").write_bytes(b"B" * 100)

    again = host.result("build_manifest", root=str(root), run_id="r1", name="hot")

    found = {entry.path: entry.sha256 for entry in entries(host, "hot")}
    assert (again["reused_files"], again["hashed_files"]) == (1, 1)
    assert found["b"] == hashlib.sha256(b"B" * 100).hexdigest()


def test_groups_have_the_same_digest_wherever_they_are_computed(host, tmp_path):
    """Every file is in one sample; the changed ones are those since the previous manifest; the rule has no memory."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(200):
        (root / f"{number}").write_bytes(b"%d" % number)
    wait_until_old(root)
    host.result("build_manifest", root=str(root), run_id="r1", name="hot")
    (root / "7").write_bytes(b"seven")

    one = host.result("build_manifest", root=str(root), run_id="r1", name="before", previous="hot", seed="r1")
    two = host.result("build_manifest", root=str(root), run_id="r1", name="again", previous="hot", seed="r1", workers=2)

    assert one["groups"] == two["groups"]
    assert one["groups"]["changed"]["files"] == 1
    assert sum(group["files"] for name, group in one["groups"].items() if name != "changed") == 200
    assert 60 < one["groups"]["sample-00"]["files"] < 140


def test_the_digest_of_the_metadata_leaves_contents_out(host, tmp_path):
    """Equal metadata give one digest whatever the contents are; any attribute changes it."""
    digests = []
    for name, content, mode in (("a", b"one", 0o644), ("b", b"two", 0o644), ("c", b"one", 0o600)):
        root = tmp_path / name
        root.mkdir()
        (root / "file").write_bytes(content)
        (root / "file").chmod(mode)
        os.utime(root / "file", ns=(1, 1))
        os.utime(root, ns=(1, 1))
        digests.append(host.result("build_manifest", root=str(root), run_id="r1", name=name)["metadata_sha256"])

    assert digests[0] == digests[1] != digests[2]


def test_a_tree_of_many_parts_is_described_in_the_order_of_its_paths(host, tmp_path):
    """Names that sort before a slash, names after it and the root itself stand where their bytes put them."""
    root = tmp_path / "data"
    (root / "a").mkdir(parents=True)
    for name in ("a/x", "a-b", "a.b", "a0", " first", "-", "/".join(["a", "y" * 200])):
        (root / name).touch()
    for number in range(5000):
        (root / "a" / f"{number}").touch()

    result = host.result("build_manifest", root=str(root), run_id="r1", name="before")

    assert result["entries"] == len(entries(host, "before")) == 5009  # parse refuses another order
    assert len(list(Path(result["path"]).glob("*.part"))) > 1


def test_memory_does_not_grow_with_the_tree(host, tmp_path):
    """Ten times the files do not take half as much memory again."""
    sizes = []
    for count in (3_000, 30_000):
        root = tmp_path / str(count)
        for number in range(count):
            if number % 500 == 0:
                folder = root / f"{number}"
                folder.mkdir(parents=True)
            (folder / f"{number}").touch()
        sizes.append(host.result("build_manifest", root=str(root), run_id="r1", name=f"m{count}")["peak_rss_kib"])

    assert 0 < sizes[1] < sizes[0] * 1.5


def test_a_folder_of_many_names_is_looked_at_in_slices(host, tmp_path):
    """More names than are looked at together, folders among them on both sides of the cuts, give each its place."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(5000):
        if number % 100:
            (root / f"{number:04}").touch()
        else:
            (root / f"{number:04}").mkdir()
            (root / f"{number:04}" / "inner").touch()

    host.result("build_manifest", root=str(root), run_id="r1", name="before")

    found = [entry.path for entry in entries(host, "before")]  # parse refuses another order
    assert sorted(found) == sorted([".", *(str(path.relative_to(root)) for path in root.rglob("*"))])


def test_files_that_come_from_the_disk_are_hashed_like_those_in_memory(host, tmp_path):
    """Files whose content the kernel let go are asked for, wait, and get the same digests; large ones too."""
    root = tmp_path / "data"
    root.mkdir()
    contents = {f"{number}": os.urandom(4096) for number in range(300)} | {"large": os.urandom(5_000_000)}
    for name, content in contents.items():
        descriptor = os.open(root / name, os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)

    host.result("build_manifest", root=str(root), run_id="r1", name="before")

    found = {entry.path: entry.sha256 for entry in entries(host, "before") if entry.kind == "file"}
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


@pytest.mark.parametrize("damage", [b"", b"garbage", None], ids=["empty", "garbage", "cut short"])
def test_what_a_damaged_part_knew_is_hashed_again(damage, host, tmp_path):
    """A part of a former manifest that a power cut spoiled costs time only; it cannot be read as a manifest."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(5):
        (root / f"{number}").write_bytes(b"%d" % number)
    wait_until_old(root)
    hot = host.result("build_manifest", root=str(root), run_id="r1", name="hot")
    part = Path(hot["path"]) / "000000000000.part"
    part.write_bytes(part.read_bytes()[:-5] if damage is None else damage)

    again = host.result("build_manifest", root=str(root), run_id="r1", name="before", previous="hot")

    assert (again["sha256"], again["hashed_files"]) == (hot["sha256"], 5)
    assert host.refusal("read_manifest", run_id="r1", name="hot")["kind"] == "damaged-manifest"


def test_parts_of_a_killed_attempt_that_were_damaged_are_passed_over(host, tmp_path):
    """A host that lost power in the middle of a manifest can take it again."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "a").write_bytes(b"a")
    left = host.store / "r1" / "hot.manifest.attempt"
    left.mkdir(parents=True)
    (left / "000000000000.part").write_bytes(b"12\n")
    (left / "started.json").write_text("")

    again = host.result("build_manifest", root=str(root), run_id="r1", name="hot")

    assert (again["hashed_files"], again["reused_files"]) == (1, 0)


def test_samples_halve(host, tmp_path):
    """Each sample is about half as large as the one before, although the names differ in a few digits only."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(4000):
        (root / f"file-{number:06}.dat").touch()

    found = host.result("build_manifest", root=str(root), run_id="r1", name="before", seed="20260101T000000Z-a-1a2b")

    sizes = [found["groups"][f"sample-{band:02}"]["files"] for band in range(4)]
    assert all(abs(size - 2000 / 2**band) < 4 * (2000 / 2**band) ** 0.5 for band, size in enumerate(sizes)), sizes
