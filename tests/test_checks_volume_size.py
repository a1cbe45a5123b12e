"""What EBS takes, asked before it is asked: never smaller, within the type's bounds, one modification at a time."""

from __future__ import annotations

import pytest

from runbook_lib.checks_volume_size import (
    GIB,
    changes_of,
    check_modification,
    is_filled,
    is_own,
    say_modification,
    target_of,
)

VOLUME = {"volume_id": "vol-1", "size_gib": 8, "volume_type": "gp3", "iops": 3000, "throughput_mibps": 125}
NOTHING = {"size_gib": None, "volume_type": None, "iops": None, "throughput_mibps": None}
NEVER = {"state": "", "progress": 0, "message": "", "started_utc": "", "target": {}}


def modification(state, **target):
    """Return facts of a modification."""
    return NEVER | {"state": state, "progress": 50, "started_utc": "2026-11-30T01:00:00+00:00", "target": target}


def failed(volume=None, newest=NEVER, filesystem=None, *, larger=False, **wanted):
    """Return the checks that fail when the volume shall have some values, by id."""
    known, asked = VOLUME | (volume or {}), NOTHING | wanted
    facts = {
        "volume": known,
        "wanted": asked,
        "changes": changes_of(known, asked),
        "modification": newest,
        "filesystem": filesystem,
        "larger": larger,
    }
    return {check.check_id: check for check in check_modification(facts) if not check.passed}


@pytest.mark.parametrize(
    ("volume", "wanted", "check_id"),
    [
        ({}, {"size_gib": 8}, ""),
        ({}, {"size_gib": 9, "volume_type": "gp3", "iops": 4000, "throughput_mibps": 1000}, ""),
        ({}, {"size_gib": 7}, "volume-never-shrinks"),
        ({}, {"volume_type": "st1"}, "volume-takes-size"),
        ({}, {"size_gib": 65537}, "volume-takes-size"),
        ({}, {"iops": 4001}, "volume-takes-iops"),
        ({}, {"iops": 2999}, "volume-takes-iops"),
        ({}, {"volume_type": "gp2", "iops": 3000}, ""),
        ({}, {"volume_type": "gp2", "iops": 4000}, "volume-takes-iops"),
        ({}, {"volume_type": "io1"}, "volume-takes-iops"),
        ({"size_gib": 60}, {"volume_type": "io1"}, ""),
        ({}, {"throughput_mibps": 751}, "volume-takes-throughput"),
        ({"volume_type": "gp2", "iops": 100, "throughput_mibps": None}, {"throughput_mibps": 200},
         "volume-takes-throughput"),
        ({"volume_type": "gp2", "iops": 100, "throughput_mibps": None}, {"volume_type": "gp3"}, ""),
    ],
)  # fmt: skip
def test_what_a_volume_takes(volume, wanted, check_id):
    """The bounds are those of the type that it shall have, with what it keeps; io1 gets 3000 IOPS when nobody says."""
    assert list(failed(volume, **wanted)) == ([check_id] if check_id else [])


def test_the_refusal_to_shrink_says_why():
    """Nobody is left to believe that a smaller volume is only not implemented."""
    assert "EBS never makes a volume smaller" in failed(size_gib=4)["volume-never-shrinks"].why


@pytest.mark.parametrize(
    ("newest", "passes"),
    [
        (NEVER, True),
        (modification("completed", iops=3000), True),
        (modification("failed", iops=4000), True),
        (modification("optimizing", iops=3500), False),
        (modification("modifying", iops=3500), False),
        (modification("modifying", iops=4000), True),
    ],
    ids=["never", "completed", "failed", "optimizing", "modifying", "our own"],
)
def test_one_modification_at_a_time(newest, passes):
    """Under way is refused with its state and start, unless it is what an interrupted attempt has asked for."""
    found = failed(newest=newest, iops=4000)
    assert list(found) == ([] if passes else ["volume-not-being-modified"])
    if not passes:
        assert say_modification(newest) in found["volume-not-being-modified"].observed
        assert "wait until it is completed" in found["volume-not-being-modified"].fix


def test_nothing_to_modify_waits_for_nothing():
    """A volume that has the values is left alone, although it is still optimizing."""
    assert failed(newest=modification("optimizing", size_gib=8), size_gib=8) == {}


@pytest.mark.parametrize(
    ("filesystem", "passes"),
    [({"fstype": "ext4"}, True), ({"fstype": "xfs"}, True), ({"fstype": "btrfs"}, False), (None, False),
     ({"error": "not-mounted"}, False)],
)  # fmt: skip
def test_only_a_filesystem_that_can_follow_gets_a_larger_volume(filesystem, passes):
    """A larger volume below one that stays small is refused before it is paid for."""
    assert ("filesystem-grows-online" in failed(filesystem=filesystem, larger=True, size_gib=9)) is not passes


@pytest.mark.parametrize(
    ("filesystem_bytes", "filled"), [(8 * GIB, True), (8 * GIB - (1 << 20), True), (7 * GIB, False)]
)
def test_a_filesystem_fills_its_device_up_to_a_last_group(filesystem_bytes, filled):
    """What is too small for a group of blocks stays unused; a GiB does not."""
    assert is_filled({"device_bytes": 8 * GIB, "filesystem_bytes": filesystem_bytes}) is filled
    assert not is_filled(None)
    assert not is_filled({"error": "unreachable"})


def test_the_target_is_what_ebs_makes_of_it():
    """Kept where the type stays; the type's own default where it changes."""
    assert target_of(VOLUME, {"size_gib": 9}) == {k: v for k, v in VOLUME.items() if k != "volume_id"} | {"size_gib": 9}
    assert target_of(VOLUME, {"volume_type": "io2"})["iops"] == 3000
    assert target_of(VOLUME | {"iops": 4000}, {"volume_type": "gp2"})["iops"] is None
    assert is_own(modification("optimizing", size_gib=9, iops=3000), {"size_gib": 9})
    assert not is_own(modification("completed", size_gib=9), {"size_gib": 9})
