"""The lease as an object: whose clock counts, and answers that were lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from runbook_lib import lease as lease_module
from runbook_lib.errors import AwsError, LeaseError
from runbook_lib.lease import Lease
from runbook_lib.lease_object import ObjectLease
from runbook_lib.lease_record import Holder

ONE, TWO = "20260101T000000Z-guestbook-0001", "20260101T000000Z-guestbook-0002"
KEY = "runbook/leases/vol-1.json"


class ABucket:
    """A bucket with conditional writes, a clock of its own, and answers that can be lost."""

    bucket = "archive"

    def __init__(self):
        self.now_s, self.stored, self.lose, self.refuse = 0.0, None, 0, ""

    def read(self, key):
        if self.refuse:
            raise AwsError("GetObject", self.refuse, "no")
        if self.stored is None:
            return None
        body, etag, written_s = self.stored
        return SimpleNamespace(body=body, etag=etag, age_s=self.now_s - written_s)

    def write(self, key, body, *, replaces):
        if self.refuse:
            raise AwsError("PutObject", self.refuse, "no")
        if replaces != (self.stored[1] if self.stored else ""):
            raise AwsError("PutObject", "PreconditionFailed", "another version")
        self.stored = (body, f"etag-{self.now_s}-{hash(body)}-{replaces[:9]}", self.now_s)
        if self.lose:
            self.lose -= 1
            raise AwsError("PutObject", "PreconditionFailed", "the answer to a first attempt was lost")
        return self.stored[1]


class WrongClock:
    """A clock that is days off."""

    def __init__(self, year):
        self.year = year

    def now_utc(self):
        return datetime(self.year, 1, 1, tzinfo=UTC)


def lease_on(bucket, run_id, year=2026):
    return Lease(ObjectLease(bucket, KEY), WrongClock(year), volume_id="vol-1", run_id=run_id, expires_after_s=60)


@pytest.fixture
def elsewhere(monkeypatch):
    """Let every holder be of a machine that this process knows nothing of."""
    machines = iter(range(1000))
    monkeypatch.setattr("runbook_lib.lease_record.this_machine", lambda: f"machine-{next(machines)}")
    monkeypatch.setattr("runbook_lib.lease._HELD", {})


@pytest.mark.parametrize("year", [2020, 2026, 2040])
def test_only_the_clock_of_the_bucket_counts(elsewhere, year):
    """A holder whose clock is years off lives exactly as long as its heartbeats come, as S3 dates them."""
    bucket = ABucket()
    holder, waiting = lease_on(bucket, ONE, year), lease_on(bucket, TWO)
    holder.acquire()
    bucket.now_s += 61
    assert waiting.look().alive, "both times of S3 are whole seconds, so two more are waited for"
    holder.confirm()
    bucket.now_s += 61
    assert waiting.look().alive
    bucket.now_s += 2
    assert waiting.look().is_dead
    assert "63 s ago by S3's clock" in waiting.look().why
    waiting.take_over("its heartbeats ended")
    waiting.acquire()
    with pytest.raises(LeaseError, match=TWO):
        holder.confirm()
    with pytest.raises(LeaseError, match="was lost"):
        holder.confirm()
    waiting.release()


def test_an_expired_heartbeat_that_nobody_took_over_is_no_loss(elsewhere):
    """A holder that was out of reach and finds its record untouched goes on."""
    bucket = ABucket()
    holder = lease_on(bucket, ONE)
    holder.acquire()
    bucket.refuse = "EndpointConnectionError"
    with pytest.raises(LeaseError, match="nothing is done"):
        holder.confirm()
    bucket.refuse, bucket.now_s = "", 500
    holder.confirm()
    holder.release()


def test_the_own_dead_holder_of_another_machine_must_expire_first(elsewhere):
    """The same run on another machine waits for the heartbeats to end: until then its process may still act."""
    bucket = ABucket()
    lease_on(bucket, ONE).acquire()
    lease_module._HELD.clear()
    again = lease_on(bucket, ONE)
    with pytest.raises(LeaseError, match="it is alive"):
        again.acquire()
    bucket.now_s += 63
    assert again.acquire()["how"] == "recovered"
    again.release()


@pytest.mark.parametrize("moment", ["claim", "beat"])
def test_a_lost_answer_is_not_a_lost_lease(elsewhere, moment):
    """A write whose answer was lost is repeated and fails on its own first attempt; the token shows that it is ours."""
    bucket = ABucket()
    holder = lease_on(bucket, ONE)
    bucket.lose = moment == "claim"
    holder.acquire()
    bucket.lose = moment == "beat"
    holder.confirm()
    holder.confirm()
    assert Holder.decode(bucket.stored[0]).run_id == ONE
    holder.release()
    assert Holder.decode(bucket.stored[0]).released_utc


@pytest.mark.parametrize("code", ["AccessDenied", "EndpointConnectionError", "SlowDown"])
def test_what_cannot_be_read_is_not_free(code):
    """Whatever S3 says but the record itself, the volume is not held and nothing is done."""
    bucket = ABucket()
    bucket.refuse = code
    with pytest.raises(LeaseError, match=code):
        lease_on(bucket, ONE).acquire()
