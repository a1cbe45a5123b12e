"""Tests of runbook_lib.planfile."""

from __future__ import annotations

import copy
import json

import pytest
from terraform_plans import adopt, change, delete, failed, plan

from runbook_lib import planfile
from runbook_lib.errors import TerraformError


def test_an_import_that_changes_nothing_is_accepted():
    """The adoption imports the volume and nothing else happens."""
    same = change("aws_ecs_cluster.this", {"id": "a"}, before={"id": "a"}, actions=("no-op",))

    assert failed(planfile.guard_import_only(plan(adopt(), same), "vol-0a")) == {}


@pytest.mark.parametrize(
    ("changes", "check_id", "observed"),
    [
        ((), "plan-imports-the-volume", "no import"),
        ((adopt(final_snapshot=True),), "plan-changes-nothing", "aws_ebs_volume.data (update of final_snapshot)"),
        ((adopt(size=16),), "plan-changes-nothing", "aws_ebs_volume.data (update of size)"),
        (
            (adopt(), change("aws_ecs_cluster.this", {"id": "a"})),
            "plan-changes-nothing",
            "aws_ecs_cluster.this (create)",
        ),
    ],
)
def test_an_import_that_changes_something_is_refused(changes, check_id, observed):
    """Any change beside the import, the volume's own included, is named and refused."""
    assert failed(planfile.guard_import_only(plan(*changes), "vol-0a")) == {check_id: observed}


def test_the_import_of_another_volume_is_refused():
    """The import must be of this very volume."""
    problems = failed(planfile.guard_import_only(plan(adopt()), "vol-0b"))

    assert problems == {"plan-imports-the-volume": "aws_ebs_volume vol-0a"}


def test_a_summary_counts_as_terraform_does():
    """A replace is one add and one destroy; reads and no-ops do not count; an import does."""
    summary = planfile.summarize(
        plan(
            change("aws_ecs_cluster.this", {"id": "a"}),
            delete("aws_ecs_task_definition.this", ("create", "delete")),
            delete("aws_ecs_service.this"),
            change("aws_lb.this", {"name": "b", "idle": 1}, before={"name": "a", "idle": 1}, actions=("update",)),
            change("aws_iam_role.this", {"id": "a"}, before={"id": "a"}, actions=("no-op",)),
            change("data.aws_subnet.this", {"id": "a"}, actions=("read",)) | {"mode": "data"},
            adopt(),
        )
    )

    assert (summary.add, summary.change, summary.destroy, summary.imported) == (2, 1, 2, 1)
    assert [change.address for change in summary.changes] == [
        "aws_ebs_volume.data",
        "aws_ecs_cluster.this",
        "aws_ecs_service.this",
        "aws_ecs_task_definition.this",
        "aws_lb.this",
    ]
    assert summary.changes[-1].changed_attributes == ("name",)
    assert not summary.is_empty


def test_a_plan_without_changes_is_empty():
    """No-ops and reads leave an empty plan."""
    same = change("aws_iam_role.this", {"id": "a"}, before={"id": "a"}, actions=("no-op",))

    assert planfile.summarize(plan(same)).is_empty


@pytest.mark.parametrize("version", ["2.0", "0.1", None])
def test_an_unknown_format_is_refused(version):
    """A plan in another JSON format is not guessed at."""
    with pytest.raises(TerraformError, match=r"expected a plan in JSON format 1\.x"):
        planfile.summarize({"format_version": version} if version else {})


def test_sensitive_values_are_redacted_wherever_they_stand():
    """Changes, drift, outputs, variables and both value trees lose what Terraform marks, and nothing else."""
    secret = {"name": "a", "password": "hunter2", "list": ["x", "hunter2"]}
    mask = {"password": True, "list": [False, True]}
    resource = {"address": "x.y", "values": secret, "sensitive_values": mask}
    outputs = {"token": {"sensitive": True, "value": "hunter2"}, "name": {"sensitive": False, "value": "a"}}
    tree = {"outputs": outputs, "root_module": {"child_modules": [{"resources": [resource]}]}}
    changed = change("x.y", secret, before=secret, before_sensitive=mask, after_sensitive=mask)
    original = plan(
        changed,
        resource_drift=[changed],
        output_changes={"token": {"actions": ["create"], "before": None, "after": "hunter2", "after_sensitive": True}},
        variables={"token": {"value": "hunter2"}, "name": {"value": "a"}},
        configuration={"root_module": {"variables": {"token": {"sensitive": True}, "name": {}}}},
        planned_values=tree,
        prior_state={"values": tree},
    )
    before = copy.deepcopy(original)

    redacted = planfile.redact(original)

    assert "hunter2" not in json.dumps(redacted)
    assert redacted["resource_changes"][0]["change"]["after"] == {
        "name": "a",
        "password": "(sensitive)",
        "list": ["x", "(sensitive)"],
    }
    assert redacted["variables"]["name"] == {"value": "a"}
    assert original == before


def test_the_digest_stays_when_order_and_time_change():
    """An approval survives a new plan that would do the same."""
    one, two = change("aws_ecs_cluster.this", {"id": "a"}), change("aws_lb.this", {"b": 1, "a": 2})
    same = change("aws_iam_role.this", {"id": "a"}, before={"id": "a"}, actions=("no-op",))
    reordered = change("aws_lb.this", {"a": 2, "b": 1})

    first = planfile.digest(plan(one, two, timestamp="2026-01-01T00:00:00Z"))
    second = planfile.digest(plan(same, reordered, one, timestamp="2026-01-02T00:00:00Z", relevant_attributes=[1]))

    assert first == second


@pytest.mark.parametrize(
    "other",
    [
        plan(change("aws_ecs_cluster.this", {"id": "b"})),
        plan(change("aws_ecs_cluster.other", {"id": "a"})),
        plan(change("aws_ecs_cluster.this", {"id": "a"}, before={"id": "z"}, actions=("update",))),
        plan(change("aws_ecs_cluster.this", {"id": "a"}), adopt()),
        plan(
            change("aws_ecs_cluster.this", {"id": "a"}),
            output_changes={"name": {"actions": ["create"], "before": None, "after": "x"}},
        ),
    ],
)
def test_the_digest_changes_with_what_would_be_done(other):
    """An approval does not cover a plan that would do something else."""
    assert planfile.digest(plan(change("aws_ecs_cluster.this", {"id": "a"}))) != planfile.digest(other)
