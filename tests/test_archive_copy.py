"""A record in a bucket: each file put once, with checksum and lock; interrupted, finished; read back and verified."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from runbook_lib.adapters.record_store import RecordStore
from runbook_lib.archive import verify
from runbook_lib.archive_copy import Terms, copy_record
from runbook_lib.cli import main
from runbook_lib.errors import AwsError, JournalError
from runbook_lib.journal import RECEIPTS_NAME
from runbook_lib.report import write_report
from tests.lease_places import write_parameters
from tests.sample_run import migrated

LOCKED = Terms("runbook", "governance", 30)


@pytest.fixture
def journal(tmp_path):
    """Return a sealed run."""
    story = migrated(tmp_path)
    write_report(story.journal)
    return story.journal


@pytest.fixture
def bucket(sandbox):
    """Return the name of a new bucket with versions and locks."""
    return new_bucket(sandbox, locks=True)


def new_bucket(sandbox, *, locks):
    """Make a bucket; with locks it has versions."""
    s3 = sandbox.client("s3")
    name = f"records-{len(s3.list_buckets()['Buckets'])}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
    return name


def store_of(sandbox, bucket, kind=RecordStore):
    """Return a bucket as the library reaches it."""
    aws = sandbox.session()
    return kind(aws, bucket)


def now():
    return datetime.now(UTC)


def versions(sandbox, bucket):
    """Return how many versions each key of a bucket has."""
    found = sandbox.client("s3").list_object_versions(Bucket=bucket).get("Versions", [])
    return {one["Key"]: sum(other["Key"] == one["Key"] for other in found) for one in found}


class CutOff(RecordStore):
    """A bucket whose connection breaks after some files; the last one arrived, its answer did not."""

    left = 5

    def put(self, *arguments, **options):
        """Put, and lose the answer in the end."""
        receipt = super().put(*arguments, **options)
        self.left -= 1
        if not self.left:
            raise AwsError("PutObject", "ReadTimeoutError", "no answer")
        return receipt


def test_each_file_is_put_once_with_its_checksum_and_its_lock(sandbox, bucket, journal):
    """The seal comes last; S3 has checked every digest, and nobody deletes a file for thirty days."""
    done = copy_record(journal, store_of(sandbox, bucket), LOCKED, now)

    s3 = sandbox.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert done.put == len(keys) == verify(journal.folder).files + 1
    for key in keys:
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        body = (journal.folder / key.removeprefix(f"runbook/runs/{journal.run_id}/")).read_bytes()
        assert base64.b64decode(head["ChecksumSHA256"]) == hashlib.sha256(body).digest()
        assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"] > now() + timedelta(days=29)) == (
            "GOVERNANCE",
            True,
        )
    receipts = json.loads(journal.read(RECEIPTS_NAME))["objects"]
    assert set(receipts) == {key.removeprefix(f"runbook/runs/{journal.run_id}/") for key in keys}
    assert all(one["version_id"] and one["retain_until_utc"] for one in receipts.values())
    assert verify(journal.folder).intact, "receipts are no part of the record"


def test_a_copy_that_was_cut_off_goes_on(sandbox, bucket, journal):
    """Nothing is put twice, not even the file whose answer got lost."""
    with pytest.raises(AwsError, match="no answer"):
        copy_record(journal, store_of(sandbox, bucket, CutOff), LOCKED, now)
    assert len(versions(sandbox, bucket)) == 5

    done = copy_record(journal, store_of(sandbox, bucket), LOCKED, now)

    assert (done.kept, set(versions(sandbox, bucket).values())) == (5, {1})
    assert copy_record(journal, store_of(sandbox, bucket), LOCKED, now).put == 0


def test_receipts_that_were_lost_are_asked_for_again(sandbox, bucket, journal):
    copy_record(journal, store_of(sandbox, bucket), LOCKED, now)
    before = json.loads(journal.read(RECEIPTS_NAME))
    (journal.folder / RECEIPTS_NAME).write_text("{")

    done = copy_record(journal, store_of(sandbox, bucket), LOCKED, now)

    assert (done.put, set(versions(sandbox, bucket).values())) == (0, {1})
    after = json.loads(journal.read(RECEIPTS_NAME))["objects"]
    assert {name: one["version_id"] for name, one in after.items()} == {
        name: one["version_id"] for name, one in before["objects"].items()
    }


def test_a_run_that_went_on_puts_only_what_changed(sandbox, bucket, journal):
    """The journal, the report and the seal have a second version; the evidence has one."""
    copy_record(journal, store_of(sandbox, bucket), LOCKED, now)
    journal.append("run-closed")
    write_report(journal)

    copy_record(journal, store_of(sandbox, bucket), LOCKED, now)

    twice = {key.rpartition("/")[2] for key, count in versions(sandbox, bucket).items() if count == 2}
    assert {"journal.jsonl", "report.json", "SHA256SUMS"} <= twice
    assert "parameters.yaml" not in twice


@pytest.mark.parametrize(
    ("terms", "locks", "message"),
    [(LOCKED, False, "versioning enabled, found it off"), (Terms("runbook"), False, "versioning enabled")],
)
def test_a_bucket_that_keeps_nothing_is_refused(sandbox, journal, terms, locks, message):
    """Nothing is put into a bucket where a record could be overwritten."""
    name = new_bucket(sandbox, locks=locks)
    with pytest.raises(JournalError, match=message):
        copy_record(journal, store_of(sandbox, name), terms, now)
    assert versions(sandbox, name) == {}


def test_a_bucket_without_locks_is_refused_where_a_lock_is_wanted(sandbox, journal):
    """With versions alone a record is copied unless a lock is wanted."""
    name = new_bucket(sandbox, locks=False)
    sandbox.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(JournalError, match="expected Object Lock"):
        copy_record(journal, store_of(sandbox, name), LOCKED, now)
    assert copy_record(journal, store_of(sandbox, name), Terms("runbook"), now).put > 0


def test_an_altered_record_is_not_copied(sandbox, bucket, journal):
    (journal.folder / "parameters.yaml").write_text("altered")
    with pytest.raises(JournalError, match="not intact, and not copied"):
        copy_record(journal, store_of(sandbox, bucket), LOCKED, now)
    assert versions(sandbox, bucket) == {}


@pytest.fixture
def environment(sandbox):
    """Return the environment of somebody who reads the bucket."""
    return {
        "AWS_ENDPOINT_URL": sandbox.endpoint_url,
        "AWS_ACCESS_KEY_ID": "AKIATESTS00000000000",
        "AWS_SECRET_ACCESS_KEY": "not-secret",
        "AWS_REGION": "us-east-1",
    }


def test_a_record_is_verified_where_it_lies(sandbox, bucket, journal, environment):
    """The bucket is enough; an object that somebody replaced is named."""
    where = copy_record(journal, store_of(sandbox, bucket), LOCKED, now).where
    good = CliRunner().invoke(main, ["verify", where], env=environment)
    assert (good.exit_code, "each is locked" in good.output, "intact: " in good.output) == (0, True, True), good.output

    key = f"runbook/runs/{journal.run_id}/parameters.yaml"
    sandbox.client("s3").put_object(Bucket=bucket, Key=key, Body=b"altered")

    bad = CliRunner().invoke(main, ["verify", where], env=environment)
    assert (bad.exit_code, "parameters.yaml: altered" in bad.output) == (1, True)


@pytest.mark.parametrize(
    ("url", "problem"), [("s3://bucket-alone", "expected s3://BUCKET"), ("s3://{}/nothing/runs/x", "found nothing")]
)
def test_an_address_that_is_none_is_told(bucket, environment, url, problem):
    done = CliRunner().invoke(main, ["verify", url.format(bucket)], env=environment)
    assert (done.exit_code, problem in done.output) == (2, True)


def test_the_command_copies_by_the_run_s_own_parameters(sandbox, bucket, tmp_path):
    """`runbook archive` finishes what a run could not copy; without a bucket it says so."""
    wanted = write_parameters(
        sandbox, tmp_path, bucket=bucket, copy_records=True, object_lock="compliance", object_lock_days=1
    )
    story = migrated(tmp_path / "runs")
    digest = story.journal.write("parameters.yaml", wanted.read_text("utf-8"))
    story.journal.append("run-opened", run_id=story.journal.run_id, parameters_sha256=digest)
    write_report(story.journal)
    words = ["archive", story.journal.run_id, "-d", str(tmp_path / "runs")]

    first, again = CliRunner().invoke(main, words), CliRunner().invoke(main, words)

    assert (first.exit_code, f"s3://{bucket}/runbook/runs/{story.journal.run_id}: " in first.output) == (0, True)
    assert " 0 files put, " in again.output
