"""The archive: noticing what was altered, taken away or added."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbook_lib.archive import verify
from runbook_lib.report import write_report
from tests.sample_run import RUN_ID, Story, migrated


@pytest.fixture
def sealed(tmp_path) -> Path:
    """Return the folder of a migration that was reported and sealed."""
    story = migrated(tmp_path)
    story.journal.write("notebooks/00_inspect_source.1.ipynb", "{}")
    return write_report(story.journal).parent


def alter_line(folder: Path, number: int, old: str, new: str) -> None:
    """Change one line of the journal."""
    path = folder / "journal.jsonl"
    lines = path.read_text().split("\n")
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    path.write_text("\n".join(lines))


def test_intact(sealed):
    """A sealed run is intact, also with the lock, a partial write and Terraform's working data beside it."""
    (sealed / ".lock").touch()
    (sealed / ".report.json.123.partial").touch()
    (sealed / "terraform" / ".terraform").mkdir(parents=True)
    (sealed / "terraform" / ".terraform" / "providers.json").touch()
    result = verify(sealed)
    assert result.problems == ()
    assert result.files == 9
    assert result.events == len((sealed / "journal.jsonl").read_text().splitlines())


def test_altered_journal_line(sealed):
    """An altered line is named by its number."""
    alter_line(sealed, 12, '"inspect_host"', '"another_script"')
    assert verify(sealed).problems[0].startswith("journal.jsonl line 12: line 12 was altered")


@pytest.mark.parametrize("line", ["[1]", "7", "null", '"text"', "{}", "nonsense", "\x00"])
def test_a_line_that_is_no_event(sealed, line):
    """Whatever stands in place of a journal line is named, and is no crash."""
    lines = (sealed / "journal.jsonl").read_text().split("\n")
    (sealed / "journal.jsonl").write_text("\n".join([*lines[:4], line, *lines[5:]]))
    assert verify(sealed).problems[0].startswith("journal.jsonl line 5: altered: ")


def test_removed_journal_line(sealed):
    """A line that was taken out is missed where it stood."""
    lines = (sealed / "journal.jsonl").read_text().split("\n")
    (sealed / "journal.jsonl").write_text("\n".join(lines[:4] + lines[5:]))
    assert verify(sealed).problems[0] == "journal.jsonl line 5: expected event 5, found 6: a line is missing before it"


def test_cut_journal(sealed):
    """A journal whose end was cut off fits itself, but not the report and not the seal."""
    lines = (sealed / "journal.jsonl").read_text().split("\n")
    (sealed / "journal.jsonl").write_text("\n".join(lines[:20]) + "\n")
    problems = verify(sealed).problems
    assert any(problem.startswith("report.json: made from") for problem in problems)
    assert any(problem.startswith("journal.jsonl: altered") for problem in problems)


def test_last_line_cut(sealed):
    """A write that did not finish is named."""
    with (sealed / "journal.jsonl").open("a") as stream:
        stream.write('{"seq":')
    assert "cut off" in verify(sealed).problems[0]


@pytest.mark.parametrize("name", ["parameters.yaml", "evidence/manifest-after.json"])
def test_file_and_seal_altered_together(sealed, name):
    """Parameters and evidence are altered even when the seal was made anew: the journal has their digests."""
    story = Story(sealed.parent / "elsewhere")
    (sealed / name).write_text("something else")
    story.journal.folder = sealed
    story.journal.seal()
    assert verify(sealed).problems == (next(p for p in verify(sealed).problems if p.startswith(f"{name}: altered")),)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "report.html").write_text("fine"), "report.html: altered"),
        (lambda folder: (folder / "report.md").unlink(), "report.md: missing"),
        (lambda folder: (folder / "evidence" / "extra.json").touch(), "evidence/extra.json: added"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS: missing"),
        (lambda folder: (folder / "SHA256SUMS").write_text("nonsense\n"), "SHA256SUMS line 1: altered"),
        (lambda folder: (folder / "report.json").write_text("{}"), "report.json: altered"),
        (lambda folder: (folder / "journal.jsonl").unlink(), f"{RUN_ID}/journal.jsonl: missing"),
        (lambda folder: (folder / "journal.jsonl").write_text(""), "journal.jsonl: empty"),
    ],
    ids=["altered", "missing", "added", "no seal", "broken seal", "report", "no journal", "empty journal"],
)
def test_first_problem(sealed, change, expected):
    """The first thing that is altered, missing or added is named."""
    change(sealed)
    assert expected in verify(sealed).problems[0]


def test_report_names_the_journal_it_was_made_from(sealed):
    """report.json carries the number and last digest of the events it was made from."""
    journal = json.loads((sealed / "report.json").read_text())["journal"]
    assert journal["events"] == len((sealed / "journal.jsonl").read_text().splitlines())
    assert len(journal["last_sha256"]) == 64
