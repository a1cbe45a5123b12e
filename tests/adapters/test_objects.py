"""Objects that are written only on a condition."""

from __future__ import annotations

import pytest

from runbook_lib.adapters.objects import Objects
from runbook_lib.errors import AwsError
from runbook_lib.parameters import load
from runbook_lib.run_lease import open_session


@pytest.fixture
def objects(sandbox):
    sandbox.client("s3").create_bucket(Bucket="things")
    return Objects(open_session(load(sandbox.parameters_path), "run"), "things")


def test_an_object_is_made_once_and_replaced_only_in_its_version(objects):
    """If-None-Match makes it, If-Match replaces it, and whoever comes with another version is refused."""
    assert objects.read("a") is None
    first = objects.write("a", b"1", replaces="")
    with pytest.raises(AwsError) as refused:
        objects.write("a", b"2", replaces="")
    assert refused.value.code == "PreconditionFailed"
    second = objects.write("a", b"2", replaces=first)
    with pytest.raises(AwsError) as refused:
        objects.write("a", b"3", replaces=first)
    assert refused.value.code == "PreconditionFailed"
    found = objects.read("a")
    assert (found.body, found.etag) == (b"2", second)
    assert 0 <= found.age_s < 60


def test_a_missing_bucket_is_no_missing_object(objects):
    """Only a missing object is None."""
    with pytest.raises(AwsError) as refused:
        Objects(objects._aws, "nowhere").read("a")
    assert refused.value.code == "NoSuchBucket"
