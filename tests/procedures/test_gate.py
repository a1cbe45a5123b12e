"""What must be so on the target before the application starts, and where the manifest of the source comes from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runbook_lib import manifest
from runbook_lib.errors import HostCommandError, JournalError
from runbook_lib.model import Event, FileEntry
from runbook_lib.procedures import manifest_before, release_target
from runbook_lib.procedures.gate import VERIFY_BEFORE_START, check_one_host
from runbook_lib.procedures.gate_proof import check_proof, is_proved

EXPECTED = {
    "volume_id": "vol-1",
    "filesystem_uuid": "u",
    "sentinel_sha256": "s",
    "metadata_sha256": "m",
    "entries": 3,
    "groups": {
        "changed": {"files": 1, "bytes": 5, "sha256": "c"},
        "sample-00": {"files": 2, "bytes": 9, "sha256": "d"},
        "sample-01": {"files": 1, "bytes": 4, "sha256": "e"},
    },
}
PROOF = EXPECTED | {"below_mount": "", "changed_files": 1, "sampled_files": 1}


def failed(proof):
    return [c.check_id for c in check_proof({"proof": proof, "expected": EXPECTED}) if not c.passed]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, []),
        ({"groups": {"changed": EXPECTED["groups"]["changed"]}}, []),
        ({"volume_id": "vol-2"}, ["volume-is-this-one"]),
        ({"filesystem_uuid": "other"}, ["filesystem-is-this-one"]),
        ({"sentinel_sha256": ""}, ["sentinel-present"]),
        ({"metadata_sha256": "other"}, ["metadata-identical"]),
        ({"entries": 2}, ["metadata-identical"]),
        ({"below_mount": "data"}, ["root-of-filesystem"]),
        ({"groups": EXPECTED["groups"] | {"sample-01": {"files": 1, "bytes": 4, "sha256": "x"}}},
         ["contents-identical"]),
        ({"groups": {"sample-01": EXPECTED["groups"]["sample-01"]}}, ["contents-identical"]),
        ({"groups": EXPECTED["groups"] | {"sample-07": {"files": 1, "bytes": 4, "sha256": "x"}}},
         ["contents-identical"]),
    ],
    ids=["as it should be", "no time for a sample", "another volume", "another filesystem", "no sentinel", "metadata",
         "a missing entry", "below the root", "another content", "what changed was not read", "an unknown sample"],
)  # fmt: skip
def test_what_the_target_sees_must_be_what_the_source_left(change, refused):
    """Every difference fails the check that names it; less sampling than there is does not."""
    assert failed(PROOF | change) == refused


def test_without_facts_nothing_is_proved():
    """No facts, or facts of a device that is another one, prove nothing."""
    assert not is_proved({"proof": None, "expected": EXPECTED})
    other = {"volume_id": "vol-2", "filesystem_uuid": "u", "below_mount": ""}
    assert {"volume-is-this-one", "metadata-identical", "contents-identical"} <= set(failed(other))


def test_a_run_without_a_manifest_proves_nothing():
    """Empty expectations never pass by equalling empty facts."""
    empty = {key: type(value)() for key, value in EXPECTED.items()}
    checks = check_proof({"proof": dict(empty, below_mount=""), "expected": empty})
    passed = {c.check_id for c in checks if c.passed}
    assert passed.isdisjoint({"volume-is-this-one", "filesystem-is-this-one", "sentinel-present", "metadata-identical"})


@pytest.mark.parametrize(("hosts", "passed"), [([], False), (["i-1"], True), (["i-1", "i-2"], False)])
def test_the_task_must_have_one_place_to_go(hosts, passed):
    """With two hosts the task could be placed where the volume is not held; with none it cannot start."""
    assert check_one_host(hosts).passed is passed


def test_a_service_that_was_started_is_not_verified_as_if_it_had_not():
    """Once the desired count is 1 the application may write, and what was verified before cannot be verified again."""
    assert VERIFY_BEFORE_START.is_done({"desired_count": 1, "tasks": []})
    assert VERIFY_BEFORE_START.is_done({"desired_count": 0, "tasks": ["t"]})
    assert not VERIFY_BEFORE_START.is_done({"desired_count": 0, "tasks": []})


def test_a_proof_that_fails_is_not_waited_for():
    """Nobody writes, so a wrong volume stays wrong; the operator reads so at once."""
    wrong = {"proof": PROOF | {"metadata_sha256": "x"}, "expected": EXPECTED}
    assert VERIFY_BEFORE_START.hopeless(wrong)
    assert VERIFY_BEFORE_START.hopeless({"proof": PROOF, "expected": EXPECTED}) == ""
    assert VERIFY_BEFORE_START.hopeless({"proof": None, "expected": EXPECTED}) == ""


def entry(path, sha256):
    return FileEntry(path, "file", 1, 0o644, 0, 0, 1, sha256, "")


HOT = (entry("a", "1" * 64), entry("b", "2" * 64), entry("gone", "3" * 64))
BEFORE = (entry("a", "1" * 64), entry("b", "9" * 64), entry("new", "8" * 64))
AT_START = (entry("a", ""), entry("b", "9" * 64), entry("new", "8" * 64))


class Keeper:
    """A host that keeps manifests, or does not answer."""

    def __init__(self, kept):
        self.kept = kept

    def run(self, script, *, run_id, name):
        if name not in self.kept:
            raise HostCommandError(script, "i-0", "no answer")
        return {"version": 1, "excluded": [], "entries": manifest.rows(self.kept[name])}


class Papers:
    """As much of a run as manifest_before asks for."""

    run_id = "r1"

    def __init__(self, source, target):
        self.source_host = Keeper(source)
        self.target = Keeper(target)
        self.kept = {"manifest-hot": {"version": 1, "entries": manifest.rows(HOT)}}
        self.noted = [
            Event(1, "t", "manifest", {"phase": "before", "sha256": manifest.digest(BEFORE), "instance_id": "i-s"}),
            Event(2, "t", "before-start", {"instance_id": "i-t"}),
        ]
        self.journal = self

    def last(self, kind, /, **match):
        found = [e for e in self.noted if e.kind == kind and all(e.fields.get(k) == v for k, v in match.items())]
        return found[-1] if found else None

    def host(self, instance_id):
        return {"i-s": self.source_host, "i-t": self.target}[instance_id]

    def keep_evidence(self, name, content):
        self.kept[name] = content
        self.noted.append(Event(len(self.noted) + 1, "t", "evidence", {"name": name}))

    def evidence(self, name):
        return self.kept[name]


def test_the_entries_come_from_the_source_while_it_lives():
    """They are brought home once, and are those of the recorded digest."""
    run = Papers({"manifest-before": BEFORE}, {})
    assert not manifest_before.is_home(run)
    assert manifest_before.manifest_before(run) == BEFORE
    run.source_host.kept = {}
    assert manifest_before.is_home(run)
    assert manifest_before.manifest_before(run) == BEFORE


@pytest.mark.parametrize("source", [{}, {"manifest-before": HOT}], ids=["died", "keeps another one"])
def test_a_dead_source_loses_nothing(source):
    """Hot manifest and what the target saw before the start give the very manifest, which its digest proves."""
    run = Papers(source, {"manifest-at-start": AT_START})
    assert manifest_before.manifest_before(run) == BEFORE


def test_entries_that_do_not_give_the_digest_are_refused():
    """When neither host has them the run says so and keeps nothing."""
    run = Papers({}, {"manifest-at-start": (entry("a", ""), entry("b", "7" * 64), entry("new", "8" * 64))})
    with pytest.raises(JournalError, match="cannot be had"):
        manifest_before.manifest_before(run)
    assert "manifest-before" not in run.kept


def test_evidence_of_an_earlier_cutover_does_not_count():
    """After a roll back and a second stop the manifest is another one, although a file of its name is there."""
    run = Papers({"manifest-before": BEFORE}, {})
    manifest_before.manifest_before(run)
    later = (*BEFORE, entry("zz", "4" * 64))
    run.noted.append(
        Event(9, "t", "manifest", {"phase": "before", "sha256": manifest.digest(later), "instance_id": "i-s"})
    )
    run.source_host.kept = {"manifest-before": later}
    assert not manifest_before.is_home(run)
    assert manifest_before.manifest_before(run) == later


class Holder:
    """A container instance that notes what was run on it."""

    def __init__(self, online, error=None):
        self.online, self.error, self.asked = online, error, []

    def is_online(self):
        return self.online

    def run(self, script, *, timeout_s, volume_id, change):
        self.asked.append((script, volume_id, change))
        if self.error:
            raise self.error


@pytest.mark.parametrize(
    ("volume", "online", "asked"),
    [
        ({"holder": "i-t", "on_source": False}, True, [("release_gate", "vol-1", True)]),
        ({"holder": "i-t", "on_source": False}, False, []),
        ({"holder": "i-s", "on_source": True}, True, []),
        ({"holder": "", "on_source": False}, True, []),
    ],
    ids=["held by a target's host", "the host does not answer", "on the source", "attached nowhere"],
)
@pytest.mark.parametrize(
    "error", [None, HostCommandError("release_gate", "i-t", "no answer")], ids=["answers", "fails"]
)
def test_the_way_back_removes_a_gate_wherever_the_volume_is_held(monkeypatch, volume, online, asked, error):
    """Whoever holds the volume is asked to let the gate go; a host that fails is left to what the step verifies."""
    holder = Holder(online, error)
    run = SimpleNamespace(host=lambda _instance_id: holder)
    monkeypatch.setattr(release_target, "observe_volume", lambda _run: {"volume_id": "vol-1"} | volume)
    release_target._release_gate(run)
    assert holder.asked == asked
