"""What must not be migrated is refused before anything changes, with exit code 3 and the fix."""

from __future__ import annotations

import pytest

from tests.migration.conftest import only_run, report_of
from tests.world_picture import unchanged

pytestmark = pytest.mark.slow


def refused(sandbox, runbook, *command):
    """Run a command that must end with 3 and leave the world exactly as it was; return what it said, on one line."""
    with unchanged(sandbox):
        ended = runbook(*command)
    assert ended.exit_code == 3, ended.output
    return " ".join(ended.output.split())


NOT_A_FILESYSTEM = {
    "rexray": ("filesystem-recognised", "use another storage driver"),
    "host_mount": ("filesystem-is-the-expected-one", "correct storage.host_mount.filesystem_type and filesystem_uuid"),
}
"""What each storage driver has against a disk that it would format, or would not mount."""


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        ("partitioned-disk", ("filesystem-on-bare-disk", "copy the filesystem onto a volume without partitions")),
        ("lvm", NOT_A_FILESYSTEM),
        ("duplicate-name", ("volume-name-unique", "rename vol-")),
        ("busy-mount", ("only-compose-writes", "stop that process")),
        ("volume-in-other-az", ("same-availability-zone", "us-east-1b")),
    ],
    ids=["partitioned-disk", "lvm", "duplicate-name", "busy-mount", "volume-in-other-az"],
)
def test_a_dangerous_estate_is_refused(driver, start_sandbox, runbook, altered, option, texts):
    """A disk that the driver would format, a second volume of the Name, a foreign writer, another zone: refused."""
    sandbox = start_sandbox("none", estate_options=(option,))
    said = refused(sandbox, runbook, "run", "00", "-f", altered(sandbox), "--execute")
    wanted = texts[driver] if isinstance(texts, dict) else texts
    assert [text for text in ("Changed: no", *wanted) if text not in said] == [], said


@pytest.fixture(scope="module")
def changes():
    """Return the wrong parameters, with what the operator reads."""
    return {
        "missing credentials": ({"aws__credentials_file": "/nowhere/credentials"}, ("credentials",)),
        "wrong account": ({"aws__account_id": "999999999999"}, ("account 999999999999", "aws.account_id")),
        "wrong region": ({"aws__region": "eu-west-1"}, ("region eu-west-1", "aws.region")),
        "no such instance": ({"source__instance_id": "i-0123456789abcdef0"}, ("source.instance_id",)),
        "no such volume": ({"volume__volume_id": "vol-0123456789abcdef0"}, ("volume.volume_id",)),
        "wrong mount path": ({"volume__mount_path": "/mnt/other"}, ("volume.mount_path",)),
    }


@pytest.mark.parametrize(
    "case",
    [
        "missing credentials",
        "wrong account",
        "wrong region",
        "no such instance",
        "no such volume",
        "wrong mount path",
    ],
)
def test_wrong_parameters_are_refused(sandbox, runbook, altered, changes, case):
    """Credentials, account, region, ids and paths that do not fit are refused, each with the parameter to correct."""
    values, texts = changes[case]
    said = refused(sandbox, runbook, "run", "00", "-f", altered(sandbox, **values), "--execute")
    assert [text for text in texts if text not in said] == [], said


def test_a_service_that_is_not_on_the_target_yet_has_no_driver_to_change(sandbox, runbook, altered):
    """Before the cutover there is no storage driver: refused, and what has to come first is said."""
    said = refused(sandbox, runbook, "run", "65", "-f", altered(sandbox), "--execute")
    assert [text for text in ("service-on-one-volume", "30_cut_over_volume") if text not in said] == [], said


def test_the_record_of_a_refusal_says_what_failed(sandbox, runbook, altered):
    """A refused run leaves a report whose failed step names the check, and `failed` as its status."""
    file = altered(sandbox, aws__account_id="999999999999")
    refused(sandbox, runbook, "run", "00", "-f", file)
    report = report_of(only_run(file.parent / "runs"))
    failed = [step for step in report["steps"] if step["status"] == "failed"]
    assert (report["status"], [step["id"] for step in failed]) == ("failed", ["verify-identity"])
    assert "999999999999" in failed[0]["error"]["message"]


def test_parameters_are_refused_before_anything_is_contacted(sandbox, runbook, altered):
    """An integer where an account id belongs ends with 2, and the message says to quote it."""
    with unchanged(sandbox):
        ended = runbook("run", "00", "-f", altered(sandbox, aws__account_id=12345678901))
    assert (ended.exit_code, "quote" in ended.output) == (2, True), ended.output


def test_two_runs_cannot_hold_one_volume(sandbox, runbook, altered):
    """While one run holds the volume, a second is refused with the holder's name."""
    import runbook_lib

    file = altered(sandbox)
    first = runbook_lib.open_run(str(file), execute=True)
    try:
        assert first.run_id in refused(sandbox, runbook, "run", "00", "-f", file, "--execute")
    finally:
        first.close()
