"""The lease: one run at a time on a volume, whichever process, whatever became of the last holder."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from runbook_lib import parameters
from runbook_lib.errors import LeaseError
from runbook_lib.lease_record import Holder, process_start, this_machine
from runbook_lib.run_lease import lease_of
from tests.lease_places import OtherProcess, write_parameters

ONE, TWO = "20260101T000000Z-guestbook-0001", "20260101T000000Z-guestbook-0002"


@pytest.fixture(params=["file", "s3"])
def file(request, sandbox, tmp_path):
    """Return a parameters file whose lease is a file, or an object of a bucket of its own."""
    if request.param == "file":
        return write_parameters(sandbox, tmp_path)
    bucket = f"archive-{abs(hash(str(tmp_path))):x}"
    sandbox.client("s3").create_bucket(Bucket=bucket)
    return write_parameters(sandbox, tmp_path, bucket=bucket, lease_expires_s=10)


@pytest.fixture
def lease(file):
    """Return a function that makes the lease of a run; what is held is given back at the end."""
    made = []

    def make(run_id):
        made.append(lease_of(parameters.load(file), run_id))
        return made[-1]

    yield make
    for one in made:
        one.release()


@pytest.fixture
def other(file):
    """Return a function that starts another process which takes the lease of a run."""
    started = []

    def start(run_id):
        started.append(OtherProcess(file, run_id))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_held_confirmed_and_given_back(lease):
    """A free volume is held, confirmed as often as asked, given back, and held again by another run."""
    first = lease(ONE)
    taken = first.acquire()
    assert (taken["how"], taken["previous"], taken["holder"]["run_id"]) == ("free", None, ONE)
    assert taken["holder"]["pid"] == os.getpid()
    assert "token" not in taken["holder"], "whoever has the token is the holder"
    first.confirm()
    first.confirm()
    first.release()
    first.release()
    seen = first.look()
    assert (seen.is_free, seen.holder.run_id, bool(seen.holder.released_utc)) == (True, ONE, True)
    assert lease(TWO).acquire()["how"] == "free"


def test_looking_takes_nothing(lease):
    """To look at a volume nobody ever held leaves it so."""
    assert (lease(ONE).look().holder, lease(ONE).look().is_free) == (None, True)


def test_without_holding_nothing_is_confirmed(lease):
    """Whoever never held the volume, or gave it back, may not act."""
    first = lease(ONE)
    with pytest.raises(LeaseError, match="does not hold"):
        first.confirm()
    first.acquire()
    first.release()
    with pytest.raises(LeaseError, match="does not hold"):
        first.confirm()


def test_a_second_process_is_refused_with_the_holder(lease, other):
    """While a process holds the volume, any other is refused with run, process, host and heartbeat."""
    holder = other(ONE)
    assert holder.said == "held"
    for run_id in (ONE, TWO):
        with pytest.raises(LeaseError) as refused:
            lease(run_id).acquire()
        for text in (
            ONE,
            f"process {holder.process.pid}",
            socket.gethostname(),
            "since 20",
            "it is alive",
            "heartbeat",
        ):
            assert text in str(refused.value)
    assert holder.confirm() == "confirmed"


def test_an_alive_holder_is_not_taken_over(lease, other):
    """Taking over is refused while the holder lives, and the holder notices nothing."""
    holder = other(ONE)
    with pytest.raises(LeaseError, match="cannot be taken over"):
        lease(TWO).take_over("I want it")
    assert holder.confirm() == "confirmed"


def test_the_end_of_a_process_gives_the_volume_back(lease, other):
    """A process that ends in order without closing its run leaves the volume free."""
    other(ONE).end()
    assert lease(TWO).acquire()["how"] == "free"


def test_a_killed_holder_of_the_same_run_is_replaced(lease, other):
    """Going on with a run needs no word about its own dead holder, and the record says that there was one."""
    killed = other(ONE)
    killed.kill()
    assert lease(ONE).look().is_dead
    taken = lease(ONE).acquire()
    assert (taken["how"], taken["previous"]["pid"]) == ("recovered", killed.process.pid)


def test_a_killed_holder_of_another_run_is_taken_over_explicitly(lease, other):
    """Another run is refused and told how; with a reason it takes over, and its record says whom and why."""
    killed = other(ONE)
    killed.kill()
    with pytest.raises(LeaseError, match=r"its holder is gone(.|\n)*--take-over REASON"):
        lease(TWO).acquire()
    with pytest.raises(LeaseError, match="needs a reason"):
        lease(TWO).take_over("  ")
    said = lease(TWO).take_over("the bastion was rebuilt, CHG-7")
    assert (said["previous"]["run_id"], said["reason"]) == (ONE, "the bastion was rebuilt, CHG-7")
    taken = lease(TWO).acquire()
    assert taken["how"] == "taken over"
    assert taken["previous"]["taken_over"]["reason"] == "the bastion was rebuilt, CHG-7"
    assert taken["previous"]["taken_over"]["from"] == ONE


def test_taking_over_what_is_free_changes_nothing(lease):
    """Done twice, or without need, a take-over finds nobody and leaves the volume free."""
    assert lease(TWO).take_over("to be sure")["previous"] is None
    assert lease(TWO).look().holder is None


def test_whoever_lost_it_may_not_act(lease, other):
    """A holder whose record names somebody else is refused at its next act, and stays refused."""
    holder = other(ONE)
    mine = lease(TWO)
    stolen = Holder.this_process(TWO, "x@y", "2026-01-01T00:00:00+00:00", 10)
    steal(mine.store, stolen)
    for _ in range(2):
        assert holder.confirm().startswith("lost")
    assert TWO in holder.confirm()


def steal(store, holder):
    """Replace a record against every rule, as an operator with an editor does."""
    if store.kind == "file":
        Path(store.where).write_bytes(holder.encode())
    else:
        objects = store._objects
        objects.write(store._key, holder.encode(), replaces=objects.read(store._key).etag)


def test_of_two_that_saw_it_free_one_gets_it(lease):
    """Two that looked at the same moment cannot both have it: the second claim is refused."""
    first, second = lease(ONE), lease(TWO)
    seen = second.look()
    first.acquire()
    first.release()
    with pytest.raises(LeaseError, match=r"names another holder|somebody took the lease"):
        second.store.claim(Holder.this_process(TWO, "x@y", "2026-01-01T00:00:00+00:00", 10), seen)


def test_a_record_that_says_nothing_stops_everything(lease):
    """When the record is damaged nobody can tell who holds the volume: looking, holding and taking over are refused."""
    first = lease(ONE)
    first.acquire()
    first.release()
    steal(first.store, type("Nonsense", (), {"encode": lambda _self: b"{}"})())
    for ask in (first.look, first.acquire, lambda: first.take_over("it is damaged")):
        with pytest.raises(LeaseError, match="nothing is done"):
            ask()


def test_the_same_process_opens_its_run_again(lease):
    """A notebook run again from its top in one kernel takes its own lease over; another run there is refused."""
    first, again = lease(ONE), lease(ONE)
    first.acquire()
    assert again.acquire()["how"] == "free"
    again.confirm()
    with pytest.raises(LeaseError, match="does not hold"):
        first.confirm()
    with pytest.raises(LeaseError, match=f"process {os.getpid()}"):
        lease(TWO).acquire()


def test_a_removed_lock_is_noticed(sandbox, tmp_path):
    """Somebody clears the folder of leases while it is held: the next act is refused, though the process lives."""
    lease = lease_of(parameters.load(write_parameters(sandbox, tmp_path)), ONE)
    lease.acquire()
    lock = Path(lease.store.where).with_suffix(".lock")
    lock.unlink()
    with pytest.raises(LeaseError, match="was removed or replaced"):
        lease.confirm()
    lock.touch()
    with pytest.raises(LeaseError, match="was removed or replaced"):
        lease.confirm()
    lease.release()


def test_a_file_of_another_machine_lives_as_long_as_its_heartbeats(sandbox, tmp_path):
    """On a shared file system without shared locks the file's own age decides, never the holder's clock."""
    lease = lease_of(parameters.load(write_parameters(sandbox, tmp_path)), TWO)
    record = Path(lease.store.where)
    record.parent.mkdir(parents=True)
    holder = Holder.this_process(ONE, "ops@far", "2030-01-01T00:00:00+00:00", 60).as_json()
    record.write_text(json.dumps(holder | {"token": "t", "machine": "another/pid", "host": "far"}))
    assert lease.look().alive
    with pytest.raises(LeaseError, match="held by another machine"):
        lease.take_over("it is gone")
    os.utime(record, (1, 1))
    assert (lease.look().alive, lease.look().is_dead) == (False, True)
    assert lease.take_over("the host far burned down")["previous"]["host"] == "far"


def test_no_bucket_no_lease(sandbox, tmp_path):
    """A bucket that does not exist is no free volume: holding is refused."""
    lease = lease_of(parameters.load(write_parameters(sandbox, tmp_path, bucket="nowhere-to-be-found")), ONE)
    with pytest.raises(LeaseError, match="NoSuchBucket"):
        lease.acquire()


def test_s3_out_of_reach_in_the_middle_of_a_run(start_sandbox, tmp_path):
    """When S3 stops answering, the next act is refused; nobody guesses."""
    sandbox = start_sandbox("none")
    sandbox.client("s3").create_bucket(Bucket="archive")
    lease = lease_of(parameters.load(write_parameters(sandbox, tmp_path, bucket="archive")), ONE)
    lease.acquire()
    lease.confirm()
    sandbox.stop()
    with pytest.raises(LeaseError, match="Nobody can tell who holds the volume"):
        lease.confirm()
    with pytest.raises(LeaseError, match="cannot be read"):
        lease.look()
    lease.release()


def test_a_process_is_known_by_its_beginning():
    """A process id alone proves nothing, because the kernel gives it out again."""
    assert process_start(os.getpid()) > 0
    assert process_start(2**22 + 1) == 0
    mine = Holder.this_process(ONE, "x@y", "2026-01-01T00:00:00+00:00", 10)
    assert mine.runs_here
    assert not Holder(**{**mine.as_json(), "token": "t", "process_start": 1}).runs_here
    assert not Holder(**{**mine.as_json(), "token": "t", "machine": "another"}).runs_here
    assert this_machine() == mine.machine
