"""What the sequences rely on to see two writers, or a command that leaves its operator alone, does see them."""

from __future__ import annotations

import json

import pytest

from tests.crash.town import Ended
from tests.fuzz.machine import Sequences
from tests.fuzz.writers import Writers

VOLUME = "vol-1"


def started(container, volume_id=VOLUME, image="registry.sandbox/guestbook:1.0", *, read_only=False):
    """Return the event of a container that begins."""
    mounts = [{"volume_id": volume_id, "target": "/data", "read_only": read_only}]
    names = {"container": container, "name": container, "instance_id": "i-1", "image": image}
    return {"at": 1.0, "kind": "container-started", **names, "mounts": mounts}


def ended(container):
    """Return the event of a container that ends."""
    return {"at": 2.0, "kind": "container-ended", "container": container}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([started("a"), ended("a"), started("b")], ""),
        ([started("a"), started("b"), ended("a"), ended("b")], "b on i-1 began to write while a on i-1 still did"),
        ([started("a"), started("gate", read_only=True)], ""),
        ([started("a"), started("other", image="registry.sandbox/files:1.0")], ""),
        ([started("a", "")], "to the root disk, not to the data volume"),
        ([started("a", "vol-twin")], "to vol-twin, not to the data volume"),
    ],
    ids=["one after the other", "overlapping", "reading only", "another application", "root disk", "another volume"],
)
def test_writers_are_judged(tmp_path, events, said):
    """Two at a time, or one beside the volume, is a problem, also when it is over by the time it is looked at."""
    log = tmp_path / "events.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    problems = Writers(log, VOLUME).problems()
    assert (len(problems), said in " ".join(problems)) == (bool(said), True), problems


def test_writers_are_read_on_from_where_they_were(tmp_path):
    """A line that is half written is read when it is whole."""
    log = tmp_path / "events.jsonl"
    first, second = (json.dumps(event) for event in (started("a"), started("b")))
    log.write_text(f"{first}\n{second[:20]}", "utf-8")
    writers = Writers(log, VOLUME)
    assert writers.problems() == []
    log.write_text(f"{first}\n{second}\n", "utf-8")
    assert len(writers.problems()) == 1


@pytest.mark.parametrize(
    ("exit_code", "output", "said"),
    [
        (4, "Changed: maybe.\nnext      Mend it; then go on.", ""),
        (3, "is held by run A. Nothing was changed. Wait until it ends, then run again", ""),
        (4, "next      Mend it; then go on.", "nothing says whether anything changed"),
        (4, "Changed: yes.", "nothing says what to do next"),
        (5, "Changed: no.\nnext      Mend it.", "a defect"),
        (1, "Traceback", "a defect"),
        (-9, "", "killed by nobody"),
    ],
)
def test_messages_are_judged(exit_code, output, said):
    """An exit code other than 0 needs what changed and what to do next; 1, 5 and foreign signals are defects."""
    sequence = Sequences()
    if not said:
        sequence.must_say(("run",), Ended(exit_code, output))
        return
    with pytest.raises(AssertionError, match=said):
        sequence.must_say(("run",), Ended(exit_code, output))
