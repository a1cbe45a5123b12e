"""The volume store: real files with everything that makes them, snapshots of one moment, real signatures."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from sandbox.host_world import TestWorld, python, wait_for

from runbook_lib.sandbox import estate_files
from runbook_lib.sandbox.copying import copy_tree
from runbook_lib.sandbox.superblock import format_bytes, has_rexray_filesystem, identify
from runbook_lib.sandbox.volumes import VolumeStore

UUID = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"


class _NobodyWrites:
    """Freezes nobody."""

    def frozen(self, _volume_id):
        """Return a context that does nothing."""
        from contextlib import nullcontext

        return nullcontext()


@pytest.fixture
def store(tmp_path):
    """Return a volume store without hosts."""
    return VolumeStore(tmp_path / "volumes", _NobodyWrites())


def described(root):
    """Return everything about every file below a folder, as (path, facts)."""
    found = []
    for base, folders, names in os.walk(os.fsencode(root)):
        for name in [*folders, *names]:
            path = base + b"/" + name
            facts = os.lstat(path)
            kind = stat.S_IFMT(facts.st_mode)
            content = b""
            if kind == stat.S_IFREG:
                content = Path(os.fsdecode(path)).read_bytes()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)  # noqa: PTH115 - bytes, for names that are not text
            size = facts.st_size if kind != stat.S_IFDIR else 0
            row = (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, facts.st_nlink, size, content)
            found.append((os.path.relpath(path, os.fsencode(root)), row))
    return sorted(found)


def test_copy_keeps_everything_about_the_sample_files(tmp_path):
    """Names, kinds, modes, owners, nanoseconds, links and contents of the difficult files survive a copy."""
    (tmp_path / "a").mkdir()
    estate_files.fill_volume(tmp_path / "a")
    copy_tree(tmp_path / "a", tmp_path / "b")
    assert described(tmp_path / "b") == described(tmp_path / "a")


def test_copy_keeps_holes(tmp_path):
    """A sparse file takes as little room in the copy."""
    (tmp_path / "a").mkdir()
    with (tmp_path / "a/hole").open("wb") as file:
        file.truncate(32 << 20)
    copy_tree(tmp_path / "a", tmp_path / "b")
    copied = (tmp_path / "b/hole").stat()
    assert (copied.st_size, copied.st_blocks < 128) == (32 << 20, True)


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_formatted_device_is_recognised_from_its_bytes(fstype):
    """The bytes that are written say type, UUID and label, and REX-Ray knows them."""
    device = format_bytes(fstype, UUID, "books")
    found = identify(device)
    assert (found.fstype, found.uuid, found.label, found.usage) == (fstype, UUID, "books", "filesystem")
    assert has_rexray_filesystem(device)


@pytest.mark.parametrize(
    ("kind", "fstype", "pttype"),
    [("dos", "", "dos"), ("gpt", "", "gpt"), ("LVM2_member", "LVM2_member", ""), ("crypto_LUKS", "crypto_LUKS", "")],
)
def test_other_signatures_are_unknown_to_rexray(kind, fstype, pttype):
    """A partition table, LVM or LUKS is something, and yet REX-Ray would format it."""
    found = identify(format_bytes(kind, UUID))
    assert (found.fstype, found.pttype) == (fstype, pttype)
    assert not has_rexray_filesystem(format_bytes(kind, UUID))


def test_new_volume_is_blank(store):
    """A volume that was never formatted has no filesystem and no files."""
    store.create("vol-1", 8)
    stored = store.get("vol-1")
    assert (stored.fstype, stored.signature, stored.size_gib, list(stored.files.iterdir())) == ("", "", 8, [])


def test_ext4_volume_has_lost_and_found(store):
    """A fresh ext4 filesystem has its private folder lost+found."""
    store.create("vol-1", 8)
    files = store.format("vol-1", "ext4").files
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in files.iterdir()] == [("lost+found", 0o700)]


def test_formatting_again_loses_every_file(store):
    """What was there before mkfs is gone, and the UUID is another."""
    store.create("vol-1", 8)
    before = store.format("vol-1", "ext4")
    (before.files / "precious").write_text("x")
    after = store.format("vol-1", "xfs")
    assert (after.fstype, after.fs_uuid != before.fs_uuid, list(after.files.iterdir())) == ("xfs", True, [])


def test_partition_hides_the_filesystem_from_the_whole_disk(store):
    """The disk shows a partition table; the filesystem is one layer below."""
    store.create("vol-1", 8)
    stored = store.format("vol-1", "ext4", fs_uuid=UUID, layer="part")
    assert (stored.fstype, stored.pttype, stored.inner.fstype, stored.inner.uuid) == ("", "dos", "ext4", UUID)


def test_snapshot_holds_the_moment_and_restores_it(store):
    """A volume made from a snapshot has the files and the UUID of then, and the size that was asked for."""
    store.create("vol-1", 8)
    stored = store.format("vol-1", "ext4")
    (stored.files / "a").write_text("then")
    store.snapshot("vol-1", "snap-1")
    (stored.files / "a").write_text("later")
    store.create("vol-2", 16, "snap-1")
    restored = store.get("vol-2")
    assert ((restored.files / "a").read_text(), restored.fs_uuid, restored.size_gib) == ("then", stored.fs_uuid, 16)


def test_copy_of_a_volume_is_independent(store):
    """What is written to the copy does not reach the source."""
    store.create("vol-1", 8)
    store.format("vol-1", "ext4")
    store.copy("vol-1", "vol-2", 8)
    (store.get("vol-2").files / "new").touch()
    assert not (store.get("vol-1").files / "new").exists()


def test_deleted_volume_is_gone(store):
    """A deleted volume cannot be looked at; deleting it again does nothing."""
    store.create("vol-1", 8)
    store.delete("vol-1")
    store.delete("vol-1")
    assert store.ids() == []
    with pytest.raises(LookupError):
        store.get("vol-1")


WRITER = """
import os
n = 0
while True:
    n += 1
    for name in ('/srv/data/first', '/srv/data/second'):
        with open(name + '.new', 'w') as file:
            file.write(str(n))
        os.replace(name + '.new', name)
    if n == 1:
        print('writes', flush=True)
"""


def test_snapshot_shows_one_moment_of_a_volume_that_is_written_to(tmp_path):
    """Two files that are written one after the other never differ by more than one step in a snapshot."""
    town = TestWorld(tmp_path / "world")
    host = town.host()
    volume_id = town.volume(host, "/srv/data")
    (volume_id and town.world.volumes.get(volume_id).files / "ballast").write_bytes(os.urandom(8 << 20))
    argv = [*host.command(["python3", "-c", WRITER])]
    with subprocess.Popen(argv, env=host.environment(), cwd=host.root, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"writes\n"
        for number in range(5):
            town.world.volumes.snapshot(volume_id, f"snap-{number}")
            files = tmp_path / f"world/snapshots/snap-{number}/fs"
            first, second = int((files / "first").read_text()), int((files / "second").read_text())
            assert first - second in (0, 1)
        before = (host.real_path("/srv/data/first")).read_text()
        wait_for(lambda: host.real_path("/srv/data/first").read_text() != before)
        writer.kill()
    town.close()


def test_guest_reads_the_devices_bytes(tmp_path):
    """A script on the host can read the superblock from the device file."""
    town = TestWorld(tmp_path / "world")
    host = town.host()
    town.volume(host)
    text = "f=open('/dev/sdf','rb'); f.seek(1080); print(f.read(2)); import os; print(os.readlink('/dev/sdf'))"
    assert python(host, text) == "b'S\\xef'\nnvme1n1"
    town.close()


def test_sample_files_have_the_same_times_everywhere(tmp_path):
    """Two fills give the same modification times, so that manifests of two sandboxes can be compared."""
    rows = []
    for name in "ab":
        (tmp_path / name).mkdir()
        estate_files.fill_volume(tmp_path / name)
        rows.append([(path, row[3]) for path, row in described(tmp_path / name)])
    assert rows[0] == rows[1]
