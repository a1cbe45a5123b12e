"""Every kind of tampering that an auditor may meet is found, and an untouched record never is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbook_lib.archive import verify
from runbook_lib.cli import main
from runbook_lib.report import write_report
from tests.adapters.test_signatures import make_key, needs_ssh_keygen
from tests.sample_run import RUN_ID, migrated
from tests.tampering import ATTEMPTS, KINDS, lines_of, put_lines, reseal

APPROVAL = {
    "notebook": "30_cut_over_volume",
    "digest": "ab" * 32,
    "parts": {},
    "approver": "arn:aws:sts::012345678901:assumed-role/change/bob",
    "account_id": "012345678901",
    "request_id": "0a",
    "operator": "bob@laptop",
    "role": "service owner",
    "reason": "CHG-1042",
    "expires_utc": "2026-02-01T00:00:00+00:00",
    "page": "approvals/30.html",
}
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
    for attempt, name in enumerate(ATTEMPTS, start=1):
        digest = story.journal.write(name, f'{{"cells": [], "attempt": {attempt}}}')
        names = {"notebook": "00_inspect_source", "attempt": attempt, "status": "completed", "duration_s": 1.0}
        story.journal.append("notebook-started", **names, output=name)
        story.journal.append("notebook-finished", **names, sha256=digest)
    story.journal.append("approval", **APPROVAL, page_sha256=story.journal.write("approvals/30.html", "3 steps"))
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


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Return the record of another run, which no test may touch."""
    return make_record(tmp_path_factory.mktemp("other"), OTHER_ID)


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


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind(record, other, kind):
    """What was done is named; the command says that the record is not intact, and exits 1."""
    kind.act(record, other)
    problems = verify(record).problems
    assert any(kind.expected in problem for problem in problems), problems
    told = CliRunner().invoke(main, ["verify", str(record)])
    assert (told.exit_code, "not intact: " in told.output) == (1, True)


def test_there_are_many_kinds():
    """At least 40, each of its own; a new one is added to them, and none gets lost."""
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40
    assert len({kind.act for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("name", ["journal.jsonl", "SHA256SUMS", "report.json", "report.html", "parameters.yaml"])
def test_a_file_that_cannot_be_read_is_named(record, monkeypatch, name):
    """What nobody can look at is not intact, and no crash."""
    whole = Path.open

    def refuses(path, *arguments, **options):
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuses)
    assert f"{name}: cannot be read: Permission denied" in verify(record).problems


def test_a_report_of_another_release_is_said_to_be_one(record, other):
    """Other code may say the same in other words: its reports are not compared, and verify says so."""
    path = record / "report.json"
    report = json.loads(path.read_text())
    report["versions"]["report"] = "0" * 64
    path.write_text(json.dumps(report))
    reseal(record)
    told = CliRunner().invoke(main, ["verify", str(record)])
    assert (told.exit_code, "its words were not compared with the journal" in told.output) == (0, True)
    assert "were not compared" not in CliRunner().invoke(main, ["verify", str(other)]).output


def test_what_was_taken_out_of_a_report_may_be_missing_there(tmp_path):
    """A secret that only the process knew that wrote the report is no alteration; what stands around it is compared."""
    story = migrated(tmp_path)
    folder = write_report(story.journal).parent
    path = folder / "report.md"
    whole = path.read_text()
    path.write_text(whole.replace("guestbook", "(secret: env:NAME)", 2))
    reseal(folder)
    assert verify(folder).intact
    for altered in (
        "All went well. (secret: x)\n",
        whole.replace("guestbook", "(secret: x)", 1).replace("CHG-1042", "CHG"),
    ):
        path.write_text(altered)
        reseal(folder)
        assert verify(folder).problems == ("report.md: altered; the journal gives another one",)


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
