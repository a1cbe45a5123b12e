"""What is taken out of everything that is written, and what is left as it is."""

from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse
from dataclasses import replace

import pytest

from runbook_lib import journal, lease_record
from runbook_lib.adapters.clock import Clock
from runbook_lib.archive import verify
from runbook_lib.errors import JournalError
from runbook_lib.journal import Journal
from runbook_lib.lease_record import Holder
from runbook_lib.planfile import sensitive_texts
from runbook_lib.report import write_report
from runbook_lib.scrub import Scrubber
from tests.sample_run import Story

VALUE = "p@ss\"w\\ö<&'rd 7731"
HARMLESS = (
    "target.secrets.DB_PASSWORD: Read from its reference when the task starts.",
    "DB_PASSWORD: ssm:/wiki/db-password",
    "secrets: [{name: DB_PASSWORD, valueFrom: arn:aws:ssm:us-east-1:012345678901:parameter/wiki}]",
    "registry.example.com:5000/rexray-ebs@sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809",
    "https://wiki.example.com:8443/path?a=b@c",
    "http_tokens = required, TOKEN_TTL=300, PWD=/srv/wiki",
    "6c3f1d2e9b8a7f6e5d4c3b2a19080706f5e4d3c2b1a09f8e7d6c5b4a39281706",
    "vol-0fedcba9876543210 on i-0123456789abcdef0",
    "password=(hidden) password=${var.password}",
)


@pytest.fixture
def scrubber() -> Scrubber:
    """Return one that knows a value with every kind of odd character."""
    scrubber = Scrubber()
    assert scrubber.add(VALUE, "env:CANARY")
    return scrubber


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        json.dumps(json.dumps({"a": VALUE})),
        html.escape(VALUE),
        urllib.parse.quote(VALUE, safe=""),
        urllib.parse.quote_plus(VALUE),
        repr(VALUE),
        ascii(VALUE),
        shlex.quote(VALUE),
        *(base64.b64encode(f"{'x' * shift}{VALUE}{'y' * shift}".encode()).decode() for shift in range(3)),
    ],
    ids=[
        "plain",
        "json",
        "utf-8 json",
        "json in json",
        "html",
        "url",
        "form",
        "repr",
        "ascii",
        "shell",
        "b64",
        "b64+1",
        "b64+2",
    ],
)
def test_a_known_value_in_every_form(scrubber, form):
    """Whatever wrote the value down, its reference stands in its place, and what is around it stays."""
    clean = scrubber.text(f"before {form} after")
    assert "(secret: env:CANARY)" in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    for part in ("7731", "p@ss", form.strip("\"'")[4:12]):
        assert part not in clean


def test_parts_of_a_value():
    """Each line of a long value and each secret of a JSON object count; what else such an object holds does not."""
    scrubber = Scrubber()
    scrubber.add("first-line-x\nsecond-line-y\n", "ssm:/a")
    scrubber.add(json.dumps({"username": "wiki-admin", "password": "Corr3ct-horse"}), "secretsmanager:b")
    assert scrubber.text("at second-line-y: wiki-admin / Corr3ct-horse") == (
        "at (secret: ssm:/a): wiki-admin / (secret: secretsmanager:b)"
    )


def test_short_values():
    """A short value is taken out where it stands alone, a very short one cannot be."""
    scrubber = Scrubber()
    assert scrubber.add("tiger", "env:T")
    assert not scrubber.add("abc", "env:S")
    assert scrubber.text("tiger, tigers, abc") == "(secret: env:T), tigers, abc"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key AKIAIOSFODNN7EXAMPLE is used", "AKIAIOSFODNN7EXAMPLE"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ('{"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}', "wJalrXUtnFEMI"),
        ("x -----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKCAQ\n-----END RSA PRIVATE KEY----- y", "IBAAKCAQ"),
        (json.dumps("-----BEGIN PRIVATE KEY-----\nMIIEow\nIBAAKCAQ\n-----END PRIVATE KEY-----\n"), "IBAAKCAQ"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEow\nIBAAKCAQ cut off", "IBAAKCAQ"),
        ("postgres://wiki:hunter22@db.example.com/wiki", "hunter22"),
        ("token ghp_abcdefghij0123456789 used", "ghp_abcdefghij"),
        ("glpat-abcdefghij0123456789", "abcdefghij"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("DB_PASSWORD=hunter22 next", "hunter22"),
        ('"password": "hunter22"', "hunter22"),
        (json.dumps('{"api_key": "hunter22"}'), "hunter22"),
        ("smtp:\n  password: hunter22\n  host: x", "hunter22"),
    ],
)
def test_known_patterns(text, secret):
    """A credential that nobody named is recognised, and only it is taken out."""
    clean = Scrubber().text(text)
    assert secret not in clean
    assert "(secret: " in clean
    assert Scrubber().text(clean) == clean, "once is enough"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret(scrubber, text):
    """References, digests, ids, our own messages and settings that only sound secret stay as they are."""
    assert scrubber.text(text) == text


def test_nested_values(scrubber):
    """Names decide beside values, also in ECS's and Terraform's name and value pairs."""
    clean = scrubber.value(
        {
            "password": "hunter22",
            "environment": [{"name": "DB_PASSWORD", "value": "hunter22"}, {"name": "LOG_LEVEL", "value": "info"}],
            "tags": ("a", f"x{VALUE}"),
            "db_password": "ssm:/wiki/db-password",
            "count": 3,
            f"of {VALUE}": None,
        }
    )
    assert clean == {
        "password": "(secret: by its name)",
        "environment": [
            {"name": "DB_PASSWORD", "value": "(secret: by its name)"},
            {"name": "LOG_LEVEL", "value": "info"},
        ],
        "tags": ("a", "x(secret: env:CANARY)"),
        "db_password": "ssm:/wiki/db-password",
        "count": 3,
        "of (secret: env:CANARY)": None,
    }


@pytest.mark.parametrize(
    "path", ["parameters.yaml", "terraform/terraform.tfvars.json", "terraform/main.tf", "evidence/task-mapping.json"]
)
def test_what_is_read_back_is_refused(tmp_path, monkeypatch, scrubber, path):
    """A file that is acted on is never altered: with a secret in it, it is not written, and the message has none."""
    monkeypatch.setattr(journal, "SECRETS", scrubber)
    run = Journal(tmp_path / "run", None)
    with pytest.raises(JournalError, match=r"would hold a secret in clear \(env:CANARY\)") as caught:
        run.write(path, json.dumps({"a": VALUE}))
    assert VALUE not in str(caught.value)
    assert not (run.folder / path).exists()
    harmless = "password = var.password # api_key: required"
    run.write(path, harmless)
    assert run.read(path).decode() == harmless


def test_manifests_keep_names_that_look_like_credentials(scrubber):
    """The proof of the data is about names of files; only values that are known to be secret are taken out there."""
    text = f'["AKIAIOSFODNN7EXAMPLE", "{VALUE}"]'
    clean = scrubber.file("evidence/manifest-before.json", text).decode()
    assert clean == '["AKIAIOSFODNN7EXAMPLE", "(secret: env:CANARY)"]'


def test_terraform_sensitive_values():
    """What the plan marks is found wherever it hides; short words are not, because they are everywhere."""
    change = {
        "actions": ["create"],
        "before": None,
        "after": {"name": "wiki", "password": "from-terraform", "list": ["a-long-secret", "open-to-all"], "mode": "on"},
        "after_sensitive": {"password": True, "list": [True, False], "mode": True},
    }
    plan = {
        "resource_changes": [{"change": change}],
        "variables": {"token": {"value": {"inner": "deep-in-variable"}}},
        "configuration": {"root_module": {"variables": {"token": {"sensitive": True}}}},
    }
    assert sensitive_texts(plan) == {"from-terraform", "a-long-secret", "deep-in-variable"}


def test_the_journal_stays_a_chain(tmp_path, monkeypatch, scrubber):
    """What is appended is scrubbed before it is chained, and the caller sees what was written."""
    monkeypatch.setattr(journal, "SECRETS", scrubber)
    story = Story(tmp_path)
    event = story.journal.append("note", said=f"it is {VALUE}")
    assert event.fields == {"said": "it is (secret: env:CANARY)"}
    assert story.journal.events()[-1] == event


def test_the_lease_holds_no_secret(monkeypatch, scrubber):
    """A reason that was typed in a hurry lies beside the runs, in the lease; its token stays what it is."""
    monkeypatch.setattr(lease_record, "SECRETS", scrubber)
    holder = Holder.this_process("run", "ops@host", "2026-01-31T03:00:07+00:00", 60)
    taken = replace(holder, taken_over={"reason": f"it was {VALUE}"})
    again = Holder.decode(taken.encode())
    assert again.taken_over == {"reason": "it was (secret: env:CANARY)"}
    assert again.token == holder.token


def test_terraforms_rescue_file_is_no_part_of_the_record(tmp_path):
    """A state that could not be saved holds secrets and is needed for the repair: it is neither sealed nor missed."""
    folder = write_report(Story(tmp_path).journal).parent
    (folder / "terraform").mkdir()
    (folder / "terraform" / "errored.tfstate").write_text("secrets")
    assert verify(folder).problems == ()
    write_report(Journal(folder, Clock().now_utc))
    assert "errored" not in (folder / "SHA256SUMS").read_text()
