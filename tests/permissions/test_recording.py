"""The recording: parts are recorded one by one, and a part that is recorded anew leaves nothing of its former self."""

from __future__ import annotations

from types import SimpleNamespace

from tests.permissions import recording
from tests.permissions.sanitised import sanitised

MIGRATION = {
    "volume": {"volume_id": "vol-0a1b2c3d4e5f60718"},
    "source": {"instance_id": "i-0a1b2c3d4e5f60718"},
    "target": {"vpc_id": "vpc-0a1b2c3d4e5f60718", "subnet_ids": ["subnet-0a1b2c3d4e5f60718"]},
}


def asking(action, by="way-back/operator", **context):
    """Return an asking as a journey gives it."""
    return {"action": action, "resource": "*", "context": context, "by": by, "decision": "allowed"}


def test_a_part_that_is_recorded_anew_replaces_itself_alone(tmp_path):
    file = tmp_path / "asked.json"
    recording.put(file, "way-back", [asking("ec2:A"), asking("ec2:B")])
    recording.put(file, "driver", [asking("ec2:B", "driver/operator")])
    recording.put(file, "way-back", [asking("ec2:B"), asking("ec2:C")])
    found = {one["action"]: one["by"] for one in recording.read(file)}
    assert found == {"ec2:B": ["driver/operator", "way-back/operator"], "ec2:C": ["way-back/operator"]}


def test_roles_are_told_apart(tmp_path):
    file = tmp_path / "asked.json"
    recording.put(file, "records", [asking("s3:A", "records/operator"), asking("s3:B", "records/auditor")])
    assert [one["action"] for one in recording.of_role(recording.read(file), "auditor")] == ["s3:B"]


def test_two_sandboxes_ask_the_same():
    """Ids, times and names of runs differ between two sandboxes, and what is recorded does not."""

    def asked(volume, run, host):
        about = f"arn:aws:ec2:us-east-1:012345678901:instance/{host}"
        keys = {"aws:requesttag/runbook:run-id": run, "aws:resourcetag/Name": volume}
        return {"action": "ec2:X", "resource": about, "context": keys, "decision": "allowed"}

    traveller = SimpleNamespace(migration=MIGRATION)
    first = asked("one", "20261130T010203Z-visitors-0abc", "i-0123456789abcdef0")
    second = asked("two", "20261201T040506Z-visitors-1def", "i-0fedcba9876543210")
    found = sanitised([first, second], traveller, "driver/operator")
    assert found == sanitised([second], traveller, "driver/operator")
    assert found[0]["context"] == {"aws:requesttag/runbook:run-id": "20000101T000000Z-visitors-0000"}


def test_the_migration_s_own_ids_keep_apart_from_others():
    """What is the data volume stays the data volume."""
    own = {"action": "ec2:X", "resource": "arn:aws:ec2:us-east-1:012345678901:volume/vol-0a1b2c3d4e5f60718"}
    other = {"action": "ec2:X", "resource": "arn:aws:ec2:us-east-1:012345678901:volume/vol-0fedcba9876543210"}
    both = [one | {"context": {}, "decision": "allowed"} for one in (own, other)]
    found = sanitised(both, SimpleNamespace(migration=MIGRATION), "driver/operator")
    assert sorted(one["resource"].rpartition("/")[2] for one in found) == ["vol-data", "vol-other"]


def test_what_was_refused_is_named_once():
    refused = asking("ec2:A") | {"decision": "implicitDeny"}
    assert recording.refused([refused, refused, asking("ec2:B")]) == ["ec2:A on *"]
