"""Listing an archive: what a row says, and that the index is quick memory and never a source."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook_lib import archive_index
from runbook_lib.archive_filter import Wanted, read_moment
from runbook_lib.archive_index import INDEX_NAME, list_runs
from runbook_lib.archive_summary import RunSummary, summarize
from tests.sample_run import RUN_ID, Story, migrated

PLANNED_ID = "20260201T030007Z-guestbook-77aa"
DAMAGED_ID = "20260301T030007Z-guestbook-0000"


@pytest.fixture
def archive(tmp_path) -> Path:
    """Return an archive with a migration, a planned run and a damaged one, and a folder that is no run."""
    migrated(tmp_path)
    planned = Story(tmp_path, execute=False, run_id=PLANNED_ID)
    planned.start("00_inspect_source")
    planned.step("verify-identity")
    planned.finish()
    damaged = Story(tmp_path, run_id=DAMAGED_ID).journal.path
    damaged.write_text(damaged.read_text().replace('"seq":1', '"seq":7'))
    (tmp_path / "notes").mkdir()
    return tmp_path


class Reader:
    """Reads run folders and remembers which."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, folders):
        self.read += [folder.name for folder in folders]
        return [summarize(folder) for folder in folders]


def listed(archive, **options):
    """List an archive; return its runs and the names of those whose journals were read."""
    reader = Reader()
    return list_runs(archive, read=reader, **options), sorted(reader.read)


def settle(archive: Path) -> None:
    """Let the index be written long after every journal, without waiting for that."""
    later = time.time() + 60
    os.utime(archive / INDEX_NAME, (later, later))


def test_newest_first_with_the_damaged_one_shown(archive):
    """Runs come newest first; a damaged one is listed as damaged, and other folders are not listed."""
    runs = list_runs(archive)
    assert [(run.run_id, run.status, run.outage_s) for run in runs] == [
        (DAMAGED_ID, "damaged", None),
        (PLANNED_ID, "planned", None),
        (RUN_ID, "succeeded", 7.4),
    ]
    assert list_runs(archive / "nowhere") == list_runs(archive / RUN_ID / "journal.jsonl") == []


def test_an_emptied_journal_is_damaged(archive):
    """A journal without a line says nothing, least of all that nothing happened."""
    (archive / RUN_ID / "journal.jsonl").write_bytes(b"")
    assert list_runs(archive)[-1] == RunSummary(RUN_ID, status="damaged")


def test_what_a_row_says(archive):
    """A row has what the report has, and which notebooks acted."""
    run = list_runs(archive)[-1]
    assert (run.name, run.execute, run.operator, run.evidence_grade) == (
        "guestbook",
        True,
        "ops@bastion",
        "simulated host",
    )
    assert (run.reason, run.outage_budget_s, run.volume_id) == (
        "CHG-1042: move the guestbook to ECS",
        90,
        "vol-0fedcba9876543210",
    )
    assert [name[:2] for name in run.notebooks] == ["00", "10", "20", "30", "40", "45"]
    assert 60 < run.runtime_s < 150
    assert list_runs(archive)[1].notebooks == ("00_inspect_source",)


def test_a_second_list_reads_no_journal(archive):
    """What the index knows is not read again, and is what was read the first time."""
    first, read = listed(archive)
    assert read == [RUN_ID, PLANNED_ID, DAMAGED_ID]
    settle(archive)
    assert listed(archive) == (first, [])
    assert listed(archive, rebuild=True) == (first, read)


def test_a_run_that_goes_on_is_read_again(archive):
    """A journal with one more line is read, and nothing else."""
    list_runs(archive)
    settle(archive)
    Story(archive, execute=True, run_id=PLANNED_ID)
    runs, read = listed(archive)
    assert (read, runs[1].execute) == ([PLANNED_ID], True)


def test_an_altered_journal_is_read_again(archive):
    """The same size and the old times do not help: the filesystem knows when a file was changed."""
    list_runs(archive)
    settle(archive)
    path = archive / RUN_ID / "journal.jsonl"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"CHG-1042", b"CHG-9999"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(archive / INDEX_NAME, (time.time() + 60,) * 2)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    runs, read = listed(archive)
    assert (read, runs[-1].status) == ([RUN_ID], "damaged")


def test_a_journal_as_young_as_the_index_is_not_believed(archive):
    """What changed within two seconds of the index is read again: it may have changed once more since."""
    list_runs(archive)
    assert listed(archive)[1] == [RUN_ID, PLANNED_ID, DAMAGED_ID]


def test_the_index_is_as_old_as_the_reading(archive):
    """However long reading takes: what was altered meanwhile, within one tick of the clock, is not believed."""
    began = time.time()

    def slowly(folders):
        found = [summarize(folder) for folder in folders]
        time.sleep(0.05)
        return found

    list_runs(archive, read=slowly)
    assert (archive / INDEX_NAME).stat().st_mtime < time.time() - 0.05
    assert (archive / INDEX_NAME).stat().st_mtime > began - 1


def test_a_list_that_is_interrupted_leaves_the_index_as_it_was(archive):
    """Ctrl-C while journals are read leaves the former index, and nothing half-written."""
    list_runs(archive)
    before = (archive / INDEX_NAME).read_bytes()

    def interrupted(_folders):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list_runs(archive, rebuild=True, read=interrupted)
    assert ((archive / INDEX_NAME).read_bytes(), list(archive.glob(".*.partial"))) == (before, [])


def test_a_run_that_was_taken_away_is_not_listed(archive):
    """A run folder that is gone is gone from the list and from the index."""
    list_runs(archive)
    settle(archive)
    (archive / RUN_ID / "journal.jsonl").unlink()
    assert [run.run_id for run in list_runs(archive)] == [DAMAGED_ID, PLANNED_ID]
    assert RUN_ID not in (archive / INDEX_NAME).read_text()


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff nonsense")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def promoted(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"damaged"', b'"succeeded"'))


def other_columns(path: Path) -> None:
    """Rows of another shape under a digest that fits."""
    body = b'[[1,2,3,4],["x"]]\n[7]\n'
    head = json.loads(path.read_bytes().partition(b"\n")[0]) | {"sha256": hashlib.sha256(body).hexdigest()}
    path.write_bytes(json.dumps(head).encode() + b"\n" + body)


def other_release(path: Path) -> None:
    head, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps(json.loads(head) | {"made_by": "0" * 64}).encode() + b"\n" + body)


@pytest.mark.parametrize(
    "damage", [Path.unlink, garbage, cut, promoted, other_columns, other_release], ids=lambda damage: damage.__name__
)
def test_a_lost_or_damaged_index_is_rebuilt(archive, damage):
    """An index that is missing, cut, doctored or of another release is made anew from the journals."""
    expected = list_runs(archive)
    damage(archive / INDEX_NAME)
    if (archive / INDEX_NAME).exists():
        settle(archive)
    assert listed(archive) == (expected, [RUN_ID, PLANNED_ID, DAMAGED_ID])
    settle(archive)
    assert listed(archive) == (expected, [])


def test_an_archive_that_cannot_be_written_is_listed(archive):
    """Without a place for the index every journal is read, and nothing else is different."""
    (archive / INDEX_NAME).mkdir()
    assert listed(archive) == listed(archive)
    assert len(list_runs(archive)) == 3


def test_many_writers_at_once(archive):
    """Whoever writes the index last leaves a whole one, and nobody sees less than all runs."""
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: list_runs(archive, rebuild=True), range(24)))
    assert lists == [lists[0]] * 24
    settle(archive)
    assert listed(archive) == (lists[0], [])
    assert list(archive.glob("*.partial")) == list(archive.glob(".*.partial")) == []


def test_several_processes_read_the_same(archive):
    """Reading with every processor gives the same rows in the same order."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom runbook_lib.archive_parallel import summarize_all\n"
        "for run in summarize_all(sorted(Path(sys.argv[1]).glob('2*')), worth_it=1): print(run.run_id, run.status)"
    )
    done = subprocess.run([sys.executable, "-c", program, archive], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{run.run_id} {run.status}" for run in reversed(list_runs(archive))]


def test_the_index_knows_every_module_that_makes_a_row():
    """Whatever a row is made by is in the digest that an index of another release does not have."""
    package = Path(archive_index.__file__).parent
    found, pending = set(), ["archive_summary"]
    while pending:
        name = pending.pop()
        found.add(f"{name}.py")
        tree = ast.parse((package / f"{name}.py").read_text())
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
        inner = {module.partition(".")[2] for module in modules if module.startswith("runbook_lib.")}
        pending += [module for module in inner if f"{module}.py" not in found]
    assert found - {"errors.py", "scrub.py"} == set(archive_index._MAKERS)


def run(**fields):
    """Return a summary."""
    given = {
        "run_id": RUN_ID,
        "name": "guestbook",
        "status": "succeeded",
        "execute": True,
        "started_utc": "2026-01-31T03:00:07.000000+00:00",
        "operator": "amy@laptop",
        "notebooks": ("30_cut_over_volume", "40_verify_persistence"),
        "volume_id": "vol-1",
    }
    return RunSummary(**given | fields)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"name": "guest"}, True),
        ({"name": "guest*"}, True),
        ({"name": "*guest"}, False),
        ({"notebooks": ("30",)}, True),
        ({"notebooks": ("3",)}, False),
        ({"notebooks": ("50", "verify")}, True),
        ({"notebooks": ("30_cut_over_volume.ipynb",)}, True),
        ({"statuses": ("failed", "succeeded")}, True),
        ({"statuses": ("failed",)}, False),
        ({"execute": True}, True),
        ({"execute": False}, False),
        ({"operator": "amy"}, True),
        ({"operator": "*@bastion"}, False),
        ({"volume_id": "vol-1"}, True),
        ({"volume_id": "vol-12"}, False),
        ({"open_reviews": True}, False),
        ({"since": datetime(2026, 1, 31, 3, tzinfo=UTC)}, True),
        ({"since": datetime(2026, 1, 31, 4, tzinfo=UTC)}, False),
        ({"until": datetime(2026, 1, 31, 4, tzinfo=UTC)}, True),
        ({"until": datetime(2026, 1, 31, 3, tzinfo=UTC)}, False),
    ],
)
def test_filters(wanted, matches):
    """Each filter lets the right runs through."""
    assert Wanted(**wanted).matches(run()) is matches


def test_a_damaged_run_has_no_time():
    """A filter by time never shows a run whose time nobody knows; one by review shows what is open."""
    assert not Wanted(since=datetime(2000, 1, 1, tzinfo=UTC)).matches(RunSummary("x"))
    assert Wanted(open_reviews=True).matches(run(open_reviews=1))


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2026-01-31", False, "2026-01-31T00:00:00+00:00"),
        ("2026-01-31", True, "2026-02-01T00:00:00+00:00"),
        ("2026-01-31T00:00", True, "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T03:00+02:00", False, "2026-01-31T01:00:00+00:00"),
        ("36h", False, "2026-02-08T12:00:00+00:00"),
        ("2w", True, "2026-01-27T00:00:00+00:00"),
    ],
)
def test_moments(text, end, expected):
    """Days, times and ages mean what an operator means; a day that ends a span counts whole."""
    assert read_moment(text, datetime(2026, 2, 10, tzinfo=UTC), end=end).isoformat() == expected


@pytest.mark.parametrize("text", ["", "yesterday", "31.01.2026", "3y", "999999w"])
def test_no_moment(text):
    """What is no moment is refused with examples."""
    with pytest.raises(ValueError, match="expected a day"):
        read_moment(text, datetime(2026, 2, 10, tzinfo=UTC))
