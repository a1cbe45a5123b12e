"""The journal: chained, append-only, readable after a crash."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal, read_events


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "20260101T000000Z-guestbook-0abc", lambda: datetime(2026, 1, 1, tzinfo=UTC))


def test_each_line_carries_the_digest_of_the_line_before(journal):
    """A line names the SHA-256 of the one before it; the first names zeros."""
    journal.append("run-opened", name="guestbook")
    journal.append("step", step_id="detach-volume", status="running")
    first, second = journal.path.read_bytes().splitlines()
    assert json.loads(first)["previous_sha256"] == "0" * 64
    assert json.loads(second)["previous_sha256"] == hashlib.sha256(first).hexdigest()


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (lambda lines: [lines[0].replace(b"guestbook", b"guestbock"), *lines[1:]], "line 2"),
        (lambda lines: [lines[0], *lines[2:]], "line 2"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1"),
        (lambda lines: [lines[0], b"{}", *lines[2:]], "line 2"),
    ],
    ids=["altered", "removed", "reordered", "not an event"],
)
def test_an_altered_journal_names_the_line(journal, alter, named):
    """Changing, removing or reordering lines is noticed, and the first bad line is named."""
    for number in range(4):
        journal.append("step", name="guestbook", number=number)
    lines = journal.path.read_bytes().splitlines()
    journal.path.write_bytes(b"\n".join(alter(lines)) + b"\n")
    with pytest.raises(JournalError, match=named):
        journal.events()


@pytest.mark.parametrize("altered", [b"alpha", b"beta"], ids=["a line read before", "a line not read yet"])
def test_a_journal_that_is_altered_while_it_is_open_is_refused(journal, altered):
    """What was read before is compared byte for byte, what came since is checked: neither can change unseen."""
    journal.append("note", text="alpha")
    assert [event.fields["text"] for event in journal.events()] == ["alpha"]
    other = Journal(journal.folder, journal.now)
    other.append("note", text="beta")
    other.append("note", text="gamma")
    content = journal.path.read_bytes()
    journal.path.write_bytes(content.replace(altered, altered.upper()))
    with pytest.raises(JournalError, match="altered"):
        journal.events()
    journal.path.write_bytes(content)
    assert [event.fields["text"] for event in journal.events()] == ["alpha", "beta", "gamma"]


def test_a_torn_last_line_is_put_aside(journal):
    """A line that a killed process left unfinished is kept apart, and the chain goes on."""
    journal.append("step", step_id="a")
    with journal.path.open("ab") as stream:
        stream.write(b'{"seq": 2, "ki')
    journal.append("step", step_id="b")
    assert [e.fields["step_id"] for e in journal.events()] == ["a", "b"]
    assert (journal.folder / "journal.torn").read_bytes() == b'{"seq": 2, "ki\n'


def test_long_lines_keep_the_chain(journal):
    """Lines longer than one read block chain as well."""
    for _ in range(3):
        journal.append("step", before={"x": "y" * 200_000})
    assert [e.seq for e in journal.events()] == [1, 2, 3]


def test_two_processes_write_one_chain(journal):
    """The runner and the notebook's kernel may both write; no line is lost."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom runbook_lib.adapters.clock import Clock\n"
        "from runbook_lib.journal import Journal\nj = Journal(Path(sys.argv[1]), Clock().now_utc)\n"
        "for n in range(50): j.append('step', n=n)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(journal.folder)]) for _ in range(3)]
    assert [w.wait(timeout=60) for w in writers] == [0, 0, 0]
    assert len(read_events(journal.path)) == 150


def test_reserved_field_names_are_refused(journal):
    """A field may not take the name of one that every line has."""
    with pytest.raises(ValueError, match="at_utc"):
        journal.append("outage", at_utc="now")


def test_find_returns_newest_first(journal):
    """`last` gives the newest matching event, or None."""
    journal.append("step", step_id="a", status="running")
    journal.append("step", step_id="a", status="succeeded")
    assert journal.last("step", step_id="a").fields["status"] == "succeeded"
    assert journal.step_status("a") == "succeeded"
    assert journal.step_status("b") is None


def test_seal_lists_every_file_of_the_record(journal):
    """SHA256SUMS is what `sha256sum -c` takes, without locks and Terraform's working data."""
    journal.append("run-opened")
    journal.write("evidence/a b.json", "{}")
    journal.write("terraform/.terraform/plan.bin", b"secret")
    journal.seal()
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=journal.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split(": OK\n")[:-1]) == ["evidence/a b.json", "journal.jsonl"]


def test_a_missing_file_names_run_and_file(journal):
    """Reading what the run never wrote says so."""
    with pytest.raises(JournalError, match=r"has no file evidence/x\.json"):
        journal.read("evidence/x.json")
