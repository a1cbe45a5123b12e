"""The report of one estate says the same whatever its hosts were, but for what its evidence is worth."""

from __future__ import annotations

import dataclasses
import json

import pytest

from runbook_lib.report import build_report
from tests.report_alike import differences
from tests.sample_run import migrated

OWN = {"evidence_grade", "statements", "journal", "change"}


def on(grade, story):
    """Return the report of a story as it were had its hosts been others."""
    events = [
        dataclasses.replace(one, fields=one.fields | {"evidence_grade": grade}) if one.kind == "grade" else one
        for one in story.journal.events()
    ]
    return build_report(events, story.journal.run_id)


@pytest.mark.parametrize("grade", ["real host", "aws"])
def test_only_what_the_evidence_is_worth_differs(grade, tmp_path):
    """Every part of the report is the same; where a grade stands, it is the other one, and nothing else about it."""
    simulated, other = on("simulated host", migrated(tmp_path)), on(grade, migrated(tmp_path / "other"))

    assert differences(simulated, other) == {}
    assert json.dumps({key: value for key, value in simulated.items() if key not in OWN}) == json.dumps(
        {key: value for key, value in other.items() if key not in OWN}
    )
    other_grade = json.dumps(simulated["statements"]).replace('"simulated host"', f'"{grade}"')
    assert other_grade == json.dumps(other["statements"])


def test_a_difference_is_found(tmp_path):
    """The comparison can fail: another step, another verdict on the data."""
    whole = on("simulated host", migrated(tmp_path))
    less = whole | {"steps": whole["steps"][:-1], "data": whole["data"] | {"comparisons": []}}

    assert set(differences(whole, less)) == {"steps", "checks", "data"}
