"""`runbook parameters`: what a file says, what is wrong with it, which keys there are."""

from __future__ import annotations

from click.testing import CliRunner
from parameter_sets import SANDBOX

from runbook_lib.cli import main
from runbook_lib.form_fields import fields


def invoke(*arguments):
    """Call the command line in this process."""
    return CliRunner().invoke(main, ["parameters", *map(str, arguments)])


def test_a_valid_file_is_shown_with_units():
    """Each key of the file stands with its value, and the verdict at the end."""
    ended = invoke(SANDBOX)

    assert ended.exit_code == 0
    lines = ended.output.splitlines()
    assert f"{'policy.bake_time_s':<40} 5 seconds" in lines
    assert lines[-1] == f"valid  {SANDBOX}"


def test_what_is_wrong_is_said_with_exit_code_2(tmp_path):
    """All problems at once, in the words of every other command."""
    file = tmp_path / "x.yaml"
    file.write_text(
        SANDBOX.read_text("utf-8").replace('"012345678901"', '"12"').replace("bake_time_s: 5", "bake_time_s: no")
    )

    ended = invoke(file)

    assert ended.exit_code == 2
    assert "2 parameter problems; nothing was contacted" in ended.output
    assert "an AWS account id" in ended.output


def test_every_key_is_explained():
    """Without a file each key is listed with its meaning, unit, limits and options."""
    ended = invoke()

    assert ended.exit_code == 0
    assert [key for field in fields() if (key := ".".join(field.keys)) not in ended.output.splitlines()] == []
    assert "(seconds, 5 to 300, default 5)" in ended.output
    assert "    one of: rexray, host_mount" in ended.output
