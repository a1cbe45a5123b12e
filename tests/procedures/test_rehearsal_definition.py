"""The rehearsal's task definition is the service's own, with another volume."""

from __future__ import annotations

import copy

from runbook_lib.procedures.rehearsal_definition import rehearsal_definition

OWN = {
    "family": "guestbook",
    "executionRoleArn": "arn:aws:iam::012345678901:role/guestbook-execution",
    "networkMode": "bridge",
    "volumes": [
        {
            "name": "guestbook-data",
            "dockerVolumeConfiguration": {"driver": "rexray/ebs", "scope": "shared", "autoprovision": False},
        },
        {"name": "scratch", "host": {}},
    ],
    "containerDefinitions": [
        {
            "name": "guestbook",
            "image": "guestbook:1.0",
            "portMappings": [{"containerPort": 8080, "hostPort": 8080}],
            "mountPoints": [
                {"sourceVolume": "guestbook-data", "containerPath": "/data"},
                {"sourceVolume": "scratch", "containerPath": "/tmp"},
            ],
        },
        {"name": "helper", "image": "helper:1.0", "mountPoints": []},
    ],
}


def test_only_the_family_and_the_volumes_name_differ():
    """Put back, the two names give the service's own definition; nothing else moved, and the given one is untouched."""
    given = copy.deepcopy(OWN)
    other = rehearsal_definition(given, "guestbook-data", "guestbook-data-rehearsal-1", "guestbook-rehearsal-1")
    assert given == OWN
    assert other["family"] == "guestbook-rehearsal-1"
    assert [v["name"] for v in other["volumes"]] == ["guestbook-data-rehearsal-1", "scratch"]
    assert "guestbook-data" not in {p["sourceVolume"] for c in other["containerDefinitions"] for p in c["mountPoints"]}
    assert rehearsal_definition(other, "guestbook-data-rehearsal-1", "guestbook-data", "guestbook") == OWN
