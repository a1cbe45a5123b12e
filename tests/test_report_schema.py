"""Every report fits the schema that docs/ has of it, so that another program may read it."""

from __future__ import annotations

import json

import jsonschema
import pytest

from runbook_lib.model import EvidenceGrade, RunStatus
from tests.report_schema import SCHEMA, check
from tests.sample_run import Story, migrated
from tests.test_report import failed_cutover, planned, report_of


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]["status"]["enum"]) == {status.value for status in RunStatus}
    assert set(SCHEMA["properties"]["evidence_grade"]["enum"]) == {"", *(grade.value for grade in EvidenceGrade)}
    assert all(part["description"] for part in SCHEMA["properties"].values())
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])


@pytest.mark.parametrize("story", [migrated, failed_cutover, planned, Story])
def test_a_report_fits(story, tmp_path):
    check(json.loads(json.dumps(report_of(story(tmp_path)))))


@pytest.mark.parametrize("key", ["journal", "steps", "outage_s"])
def test_a_report_without_a_key_does_not_fit(key, tmp_path):
    report = report_of(migrated(tmp_path))
    del report[key]
    with pytest.raises(AssertionError, match=key):
        check(report)


def test_a_key_that_the_schema_does_not_know_is_found(tmp_path):
    """Whoever adds one says in the schema what it is."""
    with pytest.raises(AssertionError, match="surprise"):
        check(report_of(migrated(tmp_path)) | {"surprise": 1})
