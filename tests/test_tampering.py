"""Every kind of tampering that an auditor may meet is found, and an untouched record never is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook_lib.archive import verify
from runbook_lib.cli import main
from runbook_lib.journal import Journal
from runbook_lib.report import write_report
from tests.adapters.test_signatures import make_key, needs_ssh_keygen
from tests.sample_run import RUN_ID, migrated

OTHER_ID = "20260201T030007Z-guestbook-77aa"
FILES = (
    "parameters.yaml",
    "journal.jsonl",
    "report.json",
    "report.md",
    "report.html",
    "SHA256SUMS",
    "evidence/manifest-after.json",
    "evidence/manifest-after-restart.json",
    "notebooks/00_inspect_source.1.ipynb",
    "terraform/plan.json",
)


def make_record(directory: Path, run_id: str = RUN_ID) -> Path:
    """Return the folder of a sealed migration."""
    story = migrated(directory, run_id=run_id)
    story.journal.write("notebooks/00_inspect_source.1.ipynb", '{"cells": []}')
    story.journal.write("terraform/plan.json", '{"resource_changes": []}')
    return write_report(story.journal).parent


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """Return a record that no test may touch."""
    return make_record(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def record(pristine, tmp_path) -> Path:
    """Return a copy of the record under its own name."""
    return shutil.copytree(pristine, tmp_path / RUN_ID)


def lines_of(record):
    """Return the journal's lines, without their ends."""
    return (record / "journal.jsonl").read_text().split("\n")[:-1]


def put_lines(record, lines):
    """Write the journal's lines."""
    (record / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))


def reseal(record):
    """Seal the record anew, as somebody would who covers up what was done."""
    Journal(record, lambda: None).seal()


def test_an_untouched_record_is_intact(record, tmp_path):
    """Also copied elsewhere, under a name of its own."""
    assert verify(record).problems == ()
    assert verify(shutil.copytree(record, tmp_path / "evidence-for-the-auditor")).problems == ()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["one byte changed", "one byte more", "emptied", "deleted", "replaced by a link"])
def test_every_file(record, name, how):
    """Whatever is done to a file, the first problem names that file."""
    path = record / name
    data = path.read_bytes()
    if how == "one byte changed":
        path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    elif how == "one byte more":
        path.write_bytes(data + b" ")
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
    if how == "replaced by a link":
        elsewhere = record.parent / "elsewhere"
        elsewhere.write_bytes(data)
        path.symlink_to(elsewhere)
    assert name.rpartition("/")[2] in verify(record).problems[0]


def test_every_journal_line(record, pristine):
    """A changed value in any line is found, and that line is named, also when the record is sealed anew."""
    lines = lines_of(pristine)
    for number, line in enumerate(lines[:-1], start=1):
        event = json.loads(line)
        event["at_utc"] = event["at_utc"].replace("2026", "2025")
        altered = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        put_lines(record, [*lines[: number - 1], altered, *lines[number:]])
        reseal(record)
        assert f"journal.jsonl line {number}:" in verify(record).problems[0], line


def test_every_journal_line_left_out(record, pristine):
    """A line that is gone is missed at its place; the last one is missed by the report."""
    lines = lines_of(pristine)
    for number in range(1, len(lines)):
        put_lines(record, lines[: number - 1] + lines[number:])
        reseal(record)
        assert f"journal.jsonl line {number}:" in verify(record).problems[0]
    put_lines(record, lines[:-1])
    reseal(record)
    assert verify(record).problems[0].startswith("report.json: made from")


def test_every_pair_of_journal_lines_reordered(record, pristine):
    """Two neighbouring lines that changed places are found."""
    lines = lines_of(pristine)
    for number in range(1, len(lines)):
        put_lines(record, [*lines[: number - 1], lines[number], lines[number - 1], *lines[number + 1 :]])
        reseal(record)
        assert f"journal.jsonl line {number}:" in verify(record).problems[0]


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (lambda record: put_lines(record, [*lines_of(record), lines_of(record)[-1]]), "a line was added or repeated"),
        (lambda record: put_lines(record, lines_of(record)[:9]), "report.json: made from"),
        (lambda record: (record / "journal.jsonl").write_text("\n".join(lines_of(record))), "cut off"),
        (lambda record: (record / "evidence" / "alibi.json").write_text("{}"), "evidence/alibi.json: added"),
        (lambda record: (record / "evidence" / ".hidden").touch(), "evidence/.hidden: added"),
        (lambda record: shutil.rmtree(record / "evidence"), "evidence/"),
        (
            lambda record: (record / "report.md").rename(record / "report.txt"),
            "report.md: missing",
        ),
    ],
    ids=["repeated line", "cut journal", "no last newline", "added", "hidden", "folder gone", "renamed"],
)
def test_other_tampering(record, tamper, expected):
    """What is added, cut, renamed or taken away is named."""
    tamper(record)
    assert any(expected in problem for problem in verify(record).problems)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0" * 64 + "  ../outside", "expected a digest and a path"),
        ("0" * 64 + "  /etc/hostname", "expected a digest and a path"),
        ("0" * 63 + "  short", "expected a digest and a path"),
        ("0" * 64 + " report.md", "expected a digest and a path"),
        ("", "expected a digest and a path"),
        ("0" * 64 + "  report.md", "stands there twice"),
        ("0" * 64 + "  never-was", "never-was: missing"),
    ],
    ids=["path upwards", "absolute path", "short digest", "one space", "empty line", "twice", "unknown file"],
)
def test_the_list_of_sums_itself(record, line, expected):
    """A line that does not belong into SHA256SUMS is named."""
    with (record / "SHA256SUMS").open("a") as stream:
        stream.write(f"{line}\n")
    assert expected in verify(record).problems[0]


def test_a_line_of_the_list_of_sums_left_out(record):
    """A file that the list does not name any more counts as added."""
    path = record / "SHA256SUMS"
    path.write_text("".join(f"{one}\n" for one in path.read_text().splitlines() if "report.html" not in one))
    assert verify(record).problems[0].startswith("report.html: added")


def test_two_runs_swapped(record, tmp_path):
    """A whole record under another run's name, or with another run's journal or report, is found."""
    other = make_record(tmp_path / "other", OTHER_ID)
    moved = shutil.copytree(other, tmp_path / "moved" / RUN_ID)
    assert f"expected {RUN_ID}, found {OTHER_ID}" in verify(moved).problems[0]
    for name in ("journal.jsonl", "report.json"):
        mixed = shutil.copytree(record, tmp_path / name / RUN_ID)
        shutil.copy(other / name, mixed / name)
        reseal(mixed)
        assert verify(mixed).problems, name


def test_everything_written_anew_is_told_by_the_digest_alone(record, tmp_path):
    """A forger who writes a whole record and seals it is not found by the record, but by the digest kept elsewhere."""
    digest = verify(record).digest
    forged = migrated(tmp_path / "forged", run_id=RUN_ID)
    forged.journal.append("rollback-point", point="rollback", type="snapshot", id="snap-0", status="completed")
    forged = write_report(forged.journal).parent
    assert verify(forged).intact
    assert CliRunner().invoke(main, ["verify", str(record), "--digest", digest]).exit_code == 0
    told = CliRunner().invoke(main, ["verify", str(forged), "--digest", digest])
    assert (told.exit_code, "another record" in told.output) == (1, True)


@needs_ssh_keygen
class TestSigned:
    """A record that was signed with `runbook sign`."""

    @pytest.fixture
    def signed(self, record, tmp_path):
        """Return the record and the list of allowed signers."""
        key = make_key(tmp_path, "operator")
        signers = tmp_path / "signers"
        signers.write_text(f"ops@example.org {key.with_suffix('.pub').read_text()}")
        done = CliRunner().invoke(main, ["sign", RUN_ID, "--key", str(key), "-d", str(record.parent)])
        assert done.exit_code == 0, done.output
        return record, signers

    def verify(self, record, signers):
        """Run `runbook verify`."""
        return CliRunner().invoke(main, ["verify", str(record), "--allowed-signers", str(signers)])

    def test_the_signer_is_named(self, signed):
        """The command says who signed, and still finds every file sealed."""
        done = self.verify(*signed)
        assert (done.exit_code, "good: ops@example.org with key ED25519" in done.output) == (0, True)

    def test_a_forged_seal_does_not_fit(self, signed):
        """Whoever alters a file and seals the record anew cannot sign it."""
        record, signers = signed
        signature = (record / "SHA256SUMS.sig").read_bytes()
        (record / "report.md").write_text("All went well.")
        reseal(record)
        assert not (record / "SHA256SUMS.sig").exists()
        (record / "SHA256SUMS.sig").write_bytes(signature)
        done = self.verify(record, signers)
        assert (done.exit_code, "SHA256SUMS.sig: " in done.output) == (1, True)

    def test_a_signature_taken_away_is_missed(self, signed):
        """Where signers are named, an unsigned record is refused."""
        record, signers = signed
        (record / "SHA256SUMS.sig").unlink()
        assert self.verify(record, signers).exit_code == 1

    def test_an_altered_record_is_not_signed(self, record, tmp_path):
        """Signing begins with verifying."""
        (record / "report.md").write_text("All went well.")
        key = make_key(tmp_path, "operator")
        done = CliRunner().invoke(main, ["sign", RUN_ID, "--key", str(key), "-d", str(record.parent)])
        assert (done.exit_code, "not signed: report.md: altered" in done.output) == (1, True)
        assert not (record / "SHA256SUMS.sig").exists()
