"""Tests of host script part fstab: what 50 takes out of /etc/fstab, 90 brings back exactly."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from runbook_lib import host_scripts

LINES = """\
UUID=aa / ext4 defaults 0 1
# a comment about /srv/guestbook
UUID=bb /srv/guestbook ext4 defaults,nofail 0 2
UUID=cc /srv/guestbook/more ext4 defaults 0 2
UUID=dd /srv/guestbook-other ext4 defaults 0 2
# retired: UUID=ee /srv/elsewhere ext4 defaults 0 2
"""


@pytest.fixture
def fstab(tmp_path, monkeypatch):
    """Return the part, its files in a folder of the test."""
    monkeypatch.syspath_prepend(str(Path(host_scripts.__file__).parent))
    module = importlib.import_module("fstab")
    monkeypatch.setattr(module, "FSTAB", str(tmp_path / "fstab"))
    monkeypatch.setattr(module, "KEPT", str(tmp_path / "kept"))
    (tmp_path / "fstab").write_text(LINES)
    yield module
    for name in ("fstab", "prelude"):
        sys.modules.pop(name, None)


def text(fstab):
    """Return the file."""
    return Path(fstab.FSTAB).read_text()


def test_only_the_mounts_of_the_path_are_taken_out(fstab):
    """Lines of the path and below it are commented out; the rest, and the file as it was, are kept."""
    assert fstab.find_mounts("/srv/guestbook/") == LINES.splitlines()[2:4]
    fstab.retire("/srv/guestbook")
    assert fstab.find_mounts("/srv/guestbook") == []
    assert text(fstab) == LINES.replace("UUID=bb", "# retired: UUID=bb").replace("UUID=cc", "# retired: UUID=cc")
    assert Path(fstab.KEPT).read_text() == LINES


def test_what_was_taken_out_comes_back(fstab):
    """Brought back, the file is what it was; another path's lines stay out, and a second time nothing is written."""
    fstab.retire("/srv/guestbook")
    assert fstab.restore("/srv/guestbook") == LINES.splitlines()[2:4]
    assert text(fstab) == LINES
    Path(fstab.FSTAB).chmod(0o400)
    assert fstab.restore("/srv/guestbook") == []
    assert text(fstab) == LINES


def test_a_host_without_fstab_has_nothing_to_bring_back(fstab):
    """A missing file is no error: the host never had such a line."""
    Path(fstab.FSTAB).unlink()
    assert fstab.restore("/srv/guestbook") == []
