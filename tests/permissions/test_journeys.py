"""A fresh run of each part of the journey beside the recording, from which the policies are generated."""

from __future__ import annotations

import pytest

from tests.permissions import journey, recording

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("part", journey.PARTS)
def test_a_fresh_run_asks_what_was_recorded_and_nothing_is_refused(part, tmp_path):
    """With the policies in force all of it ends well; a call that is new, or not made any more, is named.

    `python -m tests.permissions.journey tests/permissions/asked.json PART` records it anew; then `scripts/permissions`.
    """
    asked, failure = journey.travel(part, tmp_path, journey.own)
    assert (failure, recording.refused(asked)) == ("", [])
    known = recording.read()
    new = [
        one
        for one in asked
        if recording.key_of(one) not in {recording.key_of(old) for old in recording.of_role(known, role_of(one))}
    ]
    assert new == [], "asked now and not recorded"
    of_part = [one for one in known if any(by.startswith(f"{part}/") for by in one["by"])]
    gone = {one["action"] for one in of_part} - {one["action"] for one in asked}
    assert sorted(gone) == [], "recorded and not asked any more"


def role_of(one):
    """Return who asked."""
    return one["by"].partition("/")[2]
