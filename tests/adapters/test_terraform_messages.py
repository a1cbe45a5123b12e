"""Tests of runbook_lib.adapters.terraform_messages."""

from __future__ import annotations

import json

import pytest

from runbook_lib.adapters import terraform_messages as messages

DIAGNOSTIC = {
    "severity": "error",
    "summary": "creating EBS Volume",
    "detail": "api error\n  VolumeLimitExceeded",
    "address": "aws_ebs_volume.data",
    "range": {"filename": "main.tf", "start": {"line": 7, "column": 1, "byte": 80}, "end": {}},
}


def test_an_error_names_what_why_which_resource_and_where():
    """One line says what failed, why, on which resource and in which file."""
    expected = "creating EBS Volume: api error VolumeLimitExceeded (aws_ebs_volume.data, main.tf:7)"

    assert expected == messages.describe(DIAGNOSTIC)


def test_an_error_without_a_place_is_its_summary():
    """A diagnostic may have nothing but a summary."""
    assert messages.describe({"severity": "error", "summary": "No configuration files"}) == "No configuration files"


def test_a_crashed_provider_is_named_as_such():
    """`Plugin did not respond` means that resources may exist outside the state, and the message says so."""
    text = messages.describe({"severity": "error", "summary": "Plugin did not respond", "detail": "The plugin exited."})

    assert text.startswith("Plugin did not respond: the provider crashed; what it was creating may exist")
    assert text.endswith("The plugin exited.")


@pytest.mark.parametrize(
    "detail",
    [
        "api error InvalidPermission.Duplicate: The specified rule already exists",
        "api error EntityAlreadyExists: Role with name guestbook-instance already exists.",
        "ResourceAlreadyExistsException: The specified log group already exists",
        "api error AlreadyExists: AutoScalingGroup by this name already exists",
        "api error InvalidLaunchTemplateName.AlreadyExistsException: Launch template name already in use.",
        "InvalidParameterException: Creation of service was not idempotent.",
    ],
)
def test_what_exists_already_is_explained(detail):
    """An answer that got lost leaves what no plan shows, and each apply is refused until somebody looks at it."""
    text = messages.describe({**DIAGNOSTIC, "detail": detail})

    assert text.endswith(messages.EXISTS)
    assert messages.EXISTS not in messages.describe(DIAGNOSTIC)


@pytest.mark.parametrize("line", ["panic: runtime error\n", "[1, 2]\n", ""])
def test_a_line_that_is_no_message_stays_readable(line):
    """A provider's panic between JSON lines is passed on as it is."""
    assert messages.read_message(line) == {"@message": line.rstrip("\n")}


def test_validation_errors_are_the_errors_of_the_document():
    """`validate -json` prints one document; warnings in it are no errors."""
    document = {"valid": False, "diagnostics": [DIAGNOSTIC, {"severity": "warning", "summary": "deprecated"}]}

    assert [messages.describe(DIAGNOSTIC)] == messages.validation_errors(json.dumps(document))


@pytest.mark.parametrize(
    ("exit_code", "errors", "output", "error_text", "expected"),
    [
        (1, ["a", "b"], "", "noise", ["a", "b"]),
        (1, ["Plugin did not respond: x"], "", "panic: nil\n", ["Plugin did not respond: x", "panic: nil"]),
        (-2, [], "", "", ["ended by SIGINT; a new plan shows what it had done before."]),
        (1, [], "on the output", "", ["on the output"]),
        (1, [], "", "line 1\nline 2\n", ["line 1 | line 2"]),
        (7, [], "", "", ["exit code 7 without a message"]),
    ],
)
def test_a_failure_is_always_explained(exit_code, errors, output, error_text, expected):
    """Diagnostics come first, then the next best thing, never nothing."""
    assert expected == messages.explain(exit_code, errors, output, error_text)
