"""The target's Terraform root module: what an interrupted apply leaves is kept, and planned as before."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from runbook_lib.errors import TerraformError
from runbook_lib.procedures import target_root

TAINTED = "module.ecs_service.aws_ecs_task_definition.this"
KEPT = {"kept_task_definition_arn": "arn:1", "keeps_host_mount_hosts": True}


class Terraform:
    """A Terraform whose plan is one file, which notes what it was asked to do.

    Args:
        folder: The root module's folder.
    """

    def __init__(self, folder):
        self.folder, self.did = folder, []
        (folder / target_root.PLAN_NAME).parent.mkdir()
        (folder / target_root.PLAN_NAME).write_bytes(b"plan")

    def untaint(self, address):
        self.did.append(("untaint", address))

    def apply(self, _plan_path):
        self.did.append(("apply",))


@pytest.fixture
def run(tmp_path):
    """Return a run whose Terraform is the one above."""
    journal = SimpleNamespace(remove=lambda _path: None, append=lambda *_kind, **_fields: None)
    return SimpleNamespace(terraform=Terraform(tmp_path), journal=journal, clock=SimpleNamespace(monotonic=lambda: 0.0))


def facts(**changed):
    """Return the facts of a plan that an interrupted apply left."""
    digest = hashlib.sha256(b"plan").hexdigest()
    counts = dict.fromkeys(("add", "change", "destroy", "imported"), 0)
    plan = {"plan_sha256": "p", "plan_file_sha256": digest, "interrupted": [TAINTED], "kept": KEPT, "guard": []}
    return plan | counts | changed


def test_what_runs_is_kept_when_an_interrupted_apply_is_planned_again(run, monkeypatch):
    """The second plan has the variables of the first: without them it would move the running service."""
    asked = []

    def observe_root(_run, *, kept):
        asked.append(kept)
        return facts(interrupted=[])

    monkeypatch.setattr(target_root, "observe_root", observe_root)
    target_root.apply_root(run, facts())
    assert (asked, run.terraform.did) == ([KEPT], [("untaint", TAINTED), ("apply",)])


def test_the_second_plan_is_guarded_too(run, monkeypatch):
    """What the second plan may not do is refused before anything is applied."""
    refused = {"check_id": "c", "passed": False, "expected": "nothing deleted", "observed": "a volume"}
    monkeypatch.setattr(target_root, "observe_root", lambda _run, *, kept: facts(guard=[refused]))
    with pytest.raises(TerraformError, match="nothing deleted"):
        target_root.apply_root(run, facts())
    assert run.terraform.did == [("untaint", TAINTED)]
