"""Every kind of tampering with a sealed record that an auditor may meet, and what must be said of it.

A kind gets the record, and the record of another run. Whether somebody covers up what was done, by sealing the record
anew, is part of the kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.journal import FIRST_PREVIOUS, Journal, decode_event, encode_event
from runbook_lib.model import Event

EVIDENCE = "evidence/manifest-after.json"
OTHER_EVIDENCE = "evidence/manifest-after-restart.json"
ATTEMPTS = ("notebooks/00_inspect_source.1.ipynb", "notebooks/00_inspect_source.2.ipynb")


@dataclass(frozen=True)
class Kind:
    """One kind of tampering.

    Args:
        act: Does it to a record; the second argument is the folder of another run.
        expected: What one of the problems says.
        name: What it is.
    """

    act: Callable[[Path, Path], object]
    expected: str
    name: str


KINDS: list[Kind] = []


def kind(expected: str) -> Callable[[Callable[[Path, Path], object]], Callable[[Path, Path], object]]:
    """Put a function among the kinds, under its own name."""

    def add(act):
        KINDS.append(Kind(act, expected, act.__name__))
        return act

    return add


def reseal(record: Path) -> None:
    """Seal a record anew, as somebody would who covers up what was done."""
    Journal(record, lambda: None).seal()


def lines_of(record: Path) -> list[str]:
    """Return the journal's lines, without their ends."""
    return (record / "journal.jsonl").read_text().split("\n")[:-1]


def put_lines(record: Path, lines: list[str]) -> None:
    """Write the journal's lines."""
    (record / "journal.jsonl").write_text("".join(f"{line}\n" for line in lines))


def chain(record: Path, events: list[Event]) -> None:
    """Write a journal of events with numbers and digests that fit."""
    lines, previous = [], FIRST_PREVIOUS
    for number, event in enumerate(events, start=1):
        line = encode_event(Event(number, event.at_utc, event.kind, event.fields, previous))
        lines.append(line.decode())
        previous = hashlib.sha256(line).hexdigest()
    put_lines(record, lines)


def events_of(record: Path) -> list[Event]:
    """Return the events of a record's journal."""
    return [decode_event(line.encode()) for line in lines_of(record)]


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Write a file with changed bytes."""
    path.write_bytes(change(path.read_bytes()))


def exchange(first: Path, second: Path) -> None:
    """Let two files change their content."""
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def edit_sums(record: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Write SHA256SUMS with changed lines."""
    path = record / "SHA256SUMS"
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


def edit_report(record: Path, **fields: object) -> None:
    """Let report.json say something else, with a seal that fits."""
    path = record / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields, indent=2, sort_keys=True) + "\n")
    reseal(record)


# one file


@kind(f"{EVIDENCE}: altered")
def one_byte_changed(record, _other):
    edit(record / EVIDENCE, lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])


@kind("report.html: altered")
def trailing_bytes(record, _other):
    edit(record / "report.html", lambda data: data + b" ")


@kind("report.md: altered")
def last_byte_cut(record, _other):
    edit(record / "report.md", lambda data: data[:-1])


@kind(f"{EVIDENCE}: altered")
def emptied(record, _other):
    (record / EVIDENCE).write_bytes(b"")


@kind("report.md: altered")
def newlines_changed(record, _other):
    edit(record / "report.md", lambda data: data.replace(b"\n", b"\r\n"))


@kind("report.md: altered")
def byte_order_mark_added(record, _other):
    edit(record / "report.md", lambda data: b"\xef\xbb\xbf" + data)


@kind("terraform/plan.json: missing")
def deleted(record, _other):
    (record / "terraform/plan.json").unlink()


@kind("report.md: missing")
def renamed(record, _other):
    (record / "report.md").rename(record / "report.txt")


@kind("evidence/Manifest-after.json: added")
def case_of_the_name_changed(record, _other):
    (record / EVIDENCE).rename(record / "evidence/Manifest-after.json")


@kind("report.html: altered; it is a link")
def replaced_by_a_link(record, _other):
    (record / "report.html").rename(record.parent / "elsewhere")
    (record / "report.html").symlink_to(record.parent / "elsewhere")


@kind("report.html: missing")
def replaced_by_a_folder(record, _other):
    (record / "report.html").unlink()
    (record / "report.html").mkdir()


@kind("report.html: missing")
def replaced_by_a_pipe(record, _other):
    (record / "report.html").unlink()
    os.mkfifo(record / "report.html")


@kind("report.html: altered")
def two_files_exchanged(record, _other):
    exchange(record / "report.html", record / "report.md")


@kind(f"{ATTEMPTS[0]}: altered")
def attempts_exchanged(record, _other):
    exchange(record / ATTEMPTS[0], record / ATTEMPTS[1])


# files and folders that come and go


@kind("evidence/alibi.json: added")
def file_added(record, _other):
    (record / "evidence/alibi.json").write_text("{}")


@kind("evidence/.hidden: added")
def hidden_file_added(record, _other):
    (record / "evidence/.hidden").touch()


@kind("evidence/SHA256SUMS: added")
def file_added_with_a_name_that_no_seal_covers(record, _other):
    (record / "evidence/SHA256SUMS").write_text("")


@kind("evidence/.alibi.json.partial: added")
def file_added_that_looks_like_a_write_that_was_cut_off(record, _other):
    (record / "evidence/.alibi.json.partial").write_text("{}")


@kind("evidence/.terraform/alibi.json: added")
def file_added_to_a_working_folder_that_is_none(record, _other):
    (record / "evidence/.terraform").mkdir()
    (record / "evidence/.terraform/alibi.json").write_text("{}")


@kind("notebooks/errored.tfstate: added")
def state_added_where_terraform_writes_none(record, _other):
    (record / "notebooks/errored.tfstate").write_text("{}")


@kind("nowhere: added")
def link_to_nowhere_added(record, _other):
    (record / "nowhere").symlink_to(record / "no-such-file")


@kind("evidence: added")
def folder_replaced_by_a_link(record, _other):
    (record / "evidence").rename(record.parent / "evidence-elsewhere")
    (record / "evidence").symlink_to(record.parent / "evidence-elsewhere")


@kind("evidence/manifest-")
def folder_gone(record, _other):
    shutil.rmtree(record / "evidence")


# the journal


@kind("journal.jsonl line 7: ")
def line_altered_and_sealed_anew(record, _other):
    lines = lines_of(record)
    event = json.loads(lines[6]) | {"kind": "nothing"}
    put_lines(record, [*lines[:6], json.dumps(event, sort_keys=True, separators=(",", ":")), *lines[7:]])
    reseal(record)


@kind("journal.jsonl line 7: ")
def line_left_out_and_sealed_anew(record, _other):
    put_lines(record, lines_of(record)[:6] + lines_of(record)[7:])
    reseal(record)


@kind("journal.jsonl line 7: ")
def lines_reordered_and_sealed_anew(record, _other):
    lines = lines_of(record)
    put_lines(record, [*lines[:6], lines[7], lines[6], *lines[8:]])
    reseal(record)


@kind("a line was added or repeated")
def last_line_repeated(record, _other):
    put_lines(record, [*lines_of(record), lines_of(record)[-1]])


@kind("journal.jsonl line 8: altered")
def empty_line_inserted(record, _other):
    put_lines(record, [*lines_of(record)[:7], "", *lines_of(record)[7:]])


@kind("report.json: made from")
def end_cut_off_and_sealed_anew(record, _other):
    put_lines(record, lines_of(record)[:9])
    reseal(record)


@kind("cut off; a write did not finish")
def last_newline_taken_away(record, _other):
    edit(record / "journal.jsonl", lambda data: data[:-1])


@kind("cut off; a write did not finish")
def bytes_behind_the_last_line(record, _other):
    edit(record / "journal.jsonl", lambda data: data + b"\0")


@kind("journal.jsonl line 1: altered")
def newlines_of_the_journal_changed_and_sealed_anew(record, _other):
    edit(record / "journal.jsonl", lambda data: data.replace(b"\n", b"\r\n"))
    reseal(record)


@kind("journal.jsonl line 1: ")
def beginning_cut_off_and_sealed_anew(record, _other):
    put_lines(record, lines_of(record)[5:])
    reseal(record)


@kind("report.json: made from")
def beginning_reset_with_a_chain_that_fits(record, _other):
    chain(record, [events_of(record)[0], *events_of(record)[5:]])
    reseal(record)


@kind("report.json: made from")
def event_altered_with_a_chain_that_fits(record, _other):
    events = events_of(record)
    events[0].fields["operator"] = "somebody@else"
    chain(record, events)
    reseal(record)


@kind("altered: other bytes than the run wrote")
def key_twice_in_the_last_line_and_sealed_anew(record, _other):
    *lines, last = lines_of(record)
    put_lines(record, [*lines, '{"kind":"approval",' + last[1:]])
    reseal(record)


@kind("journal.jsonl: missing")
def no_journal(record, _other):
    (record / "journal.jsonl").unlink()


@kind("journal.jsonl: empty")
def journal_emptied_and_sealed_anew(record, _other):
    (record / "journal.jsonl").write_bytes(b"")
    reseal(record)


# what the journal has the digest of, and what is made from it


@kind("parameters.yaml: altered; the journal")
def parameters_altered_and_sealed_anew(record, _other):
    edit(record / "parameters.yaml", lambda data: data + b"# no approvals needed\n")
    reseal(record)


@kind(f"{EVIDENCE}: altered; the journal")
def evidence_altered_and_sealed_anew(record, _other):
    edit(record / EVIDENCE, lambda data: data + b" ")
    reseal(record)


@kind(f"{EVIDENCE}: missing; the journal")
def evidence_deleted_and_sealed_anew(record, _other):
    (record / EVIDENCE).unlink()
    reseal(record)


@kind(f"{EVIDENCE}: altered; the journal")
def evidence_of_two_moments_exchanged_and_sealed_anew(record, _other):
    exchange(record / EVIDENCE, record / OTHER_EVIDENCE)
    reseal(record)


@kind(f"{ATTEMPTS[0]}: altered; the journal")
def executed_notebook_altered_and_sealed_anew(record, _other):
    edit(record / ATTEMPTS[0], lambda data: data.replace(b"cells", b"Cells"))
    reseal(record)


@kind(f"{ATTEMPTS[1]}: altered; the journal")
def attempts_exchanged_and_sealed_anew(record, _other):
    exchange(record / ATTEMPTS[0], record / ATTEMPTS[1])
    reseal(record)


@kind(f"{ATTEMPTS[1]}: missing; the journal")
def last_attempt_deleted_and_sealed_anew(record, _other):
    (record / ATTEMPTS[1]).unlink()
    reseal(record)


@kind("approvals/30.html: altered; the journal")
def page_of_an_approval_altered_and_sealed_anew(record, _other):
    edit(record / "approvals/30.html", lambda data: data.replace(b"3", b"4"))
    reseal(record)


@kind("report.json: altered; the journal gives another one")
def outage_altered_in_the_report_and_sealed_anew(record, _other):
    edit_report(record, outage_s=0.1)


@kind("report.json: altered; the journal gives another one")
def approval_added_to_the_report_and_sealed_anew(record, _other):
    edit_report(record, approvals=[])


@kind("report.md: altered; the journal gives another one")
def words_of_the_report_altered_and_sealed_anew(record, _other):
    edit(record / "report.md", lambda data: data.replace(b"guestbook", b"wiki"))
    reseal(record)


@kind("report.html: altered; the journal gives another one")
def page_of_the_report_altered_and_sealed_anew(record, _other):
    edit(record / "report.html", lambda data: data.replace(b"</h1>", b" (approved)</h1>"))
    reseal(record)


@kind("report.json: altered: it is about")
def report_says_another_run_and_sealed_anew(record, _other):
    edit_report(record, run_id="20260201T030007Z-guestbook-0000")


@kind("report.json: altered: it names no journal")
def report_names_no_journal_and_sealed_anew(record, _other):
    edit_report(record, journal=None)


# two runs


@kind("journal.jsonl: the record of another run")
def two_runs_exchanged(record, other):
    shutil.rmtree(record)
    shutil.copytree(other, record)


@kind("journal.jsonl: the record of another run")
def journal_of_another_run_and_sealed_anew(record, other):
    shutil.copy(other / "journal.jsonl", record)
    reseal(record)


@kind("report.json: made from")
def report_of_another_run_and_sealed_anew(record, other):
    shutil.copy(other / "report.json", record)
    reseal(record)


@kind(f"{EVIDENCE}: altered; the journal")
def evidence_of_another_run_and_sealed_anew(record, other):
    (record / EVIDENCE).write_bytes((other / OTHER_EVIDENCE).read_bytes() + b"\n")
    reseal(record)


@kind("SHA256SUMS names it")
def seal_of_another_run(record, other):
    shutil.copy(other / "SHA256SUMS", record)
    (record / OTHER_EVIDENCE).unlink()


# the list of digests


@kind("SHA256SUMS: missing")
def no_list(record, _other):
    (record / "SHA256SUMS").unlink()


@kind("added; it is not in SHA256SUMS")
def list_emptied(record, _other):
    (record / "SHA256SUMS").write_bytes(b"")


@kind("report.html: added")
def line_of_the_list_left_out(record, _other):
    edit_sums(record, lambda lines: [line for line in lines if "report.html" not in line])


@kind("stands there twice")
def line_of_the_list_repeated(record, _other):
    edit_sums(record, lambda lines: [*lines, lines[-1]])


@kind("does not stand where the run wrote it")
def lines_of_the_list_reordered(record, _other):
    edit_sums(record, lambda lines: lines[::-1])


@kind("SHA256SUMS: cut off")
def last_newline_of_the_list_taken_away(record, _other):
    edit(record / "SHA256SUMS", lambda data: data[:-1])


@kind("SHA256SUMS line 1: altered")
def capital_letters_in_the_list(record, _other):
    edit(record / "SHA256SUMS", lambda data: data[:64].upper() + data[64:])


@kind("SHA256SUMS names it")
def newlines_of_the_list_changed(record, _other):
    edit(record / "SHA256SUMS", lambda data: data.replace(b"\n", b"\r\n"))


@kind("was-never: missing")
def unknown_file_in_the_list(record, _other):
    edit_sums(record, lambda lines: [*lines, "0" * 64 + "  was-never"])


@kind("expected a digest and a path")
def path_upwards_in_the_list(record, _other):
    edit_sums(record, lambda lines: [*lines, "0" * 64 + "  ../outside"])


@kind("expected a digest and a path")
def absolute_path_in_the_list(record, _other):
    edit_sums(record, lambda lines: [*lines, "0" * 64 + "  /etc/hostname"])


@kind("expected a digest and a path")
def short_digest_in_the_list(record, _other):
    edit_sums(record, lambda lines: [*lines, "0" * 63 + "  short"])


@kind("expected a digest and a path")
def one_space_in_the_list(record, _other):
    edit_sums(record, lambda lines: [*lines, "0" * 64 + " report.md"])


@kind("expected a digest and a path")
def empty_line_in_the_list(record, _other):
    edit_sums(record, lambda lines: [*lines, ""])


@kind("SHA256SUMS: altered; it is a link")
def list_replaced_by_a_link(record, _other):
    (record / "SHA256SUMS").rename(record.parent / "elsewhere")
    (record / "SHA256SUMS").symlink_to(record.parent / "elsewhere")
