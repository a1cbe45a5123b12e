"""Parameters from Papermill: no id changes silently on its way from the command line, and no secret gets in."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill.cli
import pytest
from click.testing import CliRunner
from parameter_sets import SANDBOX, changed, problems

from runbook_lib import parameters
from runbook_lib.errors import ParameterError
from runbook_lib.parameters_yaml import write_yaml

IDS = {
    "aws.account_id": "012345678901",
    "source.instance_id": "i-0123456789abcdef0",
    "volume.volume_id": "vol-0123456789abcdef0",
    "target.vpc_id": "vpc-0123456789abcdef0",
    "target.ami_id": "ami-0123456789abcdef0",
    "target.subnet_ids": "subnet-0123456789abcdef0",
    "aws.role_arn": "arn:aws:iam::012345678901:role/operator",
    "target.load_balancer.certificate_arn": "arn:aws:acm:us-east-1:012345678901:certificate/0a1b2c3d",
}
LISTS = {"target.subnet_ids"}


def injected(folder: Path, *options: str) -> dict:
    """Return the variables of a notebook's injected cell, as Papermill writes it for these command line options."""
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
        cells=[nbformat.v4.new_code_cell("value = ''\nmigration = {}", metadata={"tags": ["parameters"]})],
    )
    source, output = folder / "in.ipynb", folder / "out.ipynb"
    nbformat.write(notebook, source)
    arguments = [str(source), str(output), "--prepare-only", "--no-progress-bar", *options]
    done = CliRunner().invoke(papermill.cli.papermill, arguments)
    assert done.exit_code == 0, done.output
    cells = nbformat.read(output, as_version=4).cells
    found = next(cell for cell in cells if "injected-parameters" in cell.metadata.get("tags", ()))
    variables: dict = {}
    exec(found.source, variables)  # noqa: S102 - the cell that Papermill wrote
    return variables


def written(path: str, text: str) -> str:
    """Return the sandbox's parameters file with one key set to this very YAML text."""
    data = changed(path, ["PLACE"] if path in LISTS else "PLACE")
    return write_yaml({"migration": data}).replace("PLACE", text)


@pytest.mark.parametrize("quoted", [True, False], ids=["quoted", "unquoted"])
@pytest.mark.parametrize("path", IDS)
def test_an_id_comes_from_the_file_as_it_is_written(path, quoted, tmp_path):
    """Each kind of id reads back the same from a parameters file, in quotes and without."""
    file = tmp_path / "parameters.yaml"
    file.write_text(written(path, f'"{IDS[path]}"' if quoted else IDS[path]), encoding="utf-8")

    assert value_at(parameters.load(file), path) == IDS[path]


@pytest.mark.parametrize("path", IDS)
def test_an_id_comes_through_papermill_f_as_it_is_written(path, tmp_path):
    """Each kind of id reads back the same when Papermill injects the file with -f."""
    file = tmp_path / "parameters.yaml"
    file.write_text(written(path, f'"{IDS[path]}"'), encoding="utf-8")

    variables = injected(tmp_path, "-f", str(file))

    assert value_at(parameters.load(file, variables["migration"]), path) == IDS[path]


@pytest.mark.parametrize("path", IDS)
def test_an_id_comes_through_papermill_r_as_it_is_written(path, tmp_path):
    """Each kind of id reads back the same when it is injected as raw text with -r."""
    value = injected(tmp_path, "-r", "value", IDS[path])["value"]

    assert value_at(parameters.load(SANDBOX, changed(path, [value] if path in LISTS else value)), path) == IDS[path]


@pytest.mark.parametrize("path", IDS)
def test_an_id_through_papermill_p_is_the_same_or_refused(path, tmp_path):
    """-p turns an account id into another number, which is refused; the other kinds of ids stay what they are."""
    value = injected(tmp_path, "-p", "value", IDS[path])["value"]
    data = changed(path, [value] if path in LISTS else value)

    if path == "aws.account_id":
        assert value == 12345678901
        assert "`papermill -p` drops leading zeros" in problems(data)[0]
    else:
        assert value_at(parameters.load(SANDBOX, data), path) == IDS[path]


@pytest.mark.parametrize("digits", ["012345670123", "123456789012", "000000000010"])
def test_an_unquoted_account_id_through_papermill_f_is_refused(digits, tmp_path):
    """Papermill's YAML reader makes numbers of unquoted digits, octal ones with a leading zero; none gets through."""
    file = tmp_path / "parameters.yaml"
    file.write_text(written("aws.account_id", digits), encoding="utf-8")

    variables = injected(tmp_path, "-f", str(file))

    assert isinstance(variables["migration"]["aws"]["account_id"], int)
    with pytest.raises(ParameterError, match=r"migration\.aws\.account_id is \d+, read as a number; rule: text"):
        parameters.load(file, variables["migration"])


def test_a_whole_file_through_papermill_gives_the_same_parameters(tmp_path):
    """Reading the committed file and having Papermill inject it give equal parameters with one digest."""
    variables = injected(tmp_path, "-f", str(SANDBOX))

    assert parameters.load(SANDBOX, variables["migration"]) == parameters.load(SANDBOX)


def value_at(loaded: parameters.Parameters, path: str) -> str:
    """Return one value of loaded parameters by its dotted path, the first item of a list."""
    value = loaded
    for part in path.split("."):
        value = getattr(value, part)
    return value[0] if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter2"),
        ("API_KEY", "123456"),
        ("SESSION_SECRET", "abc"),
        ("LEVEL", "AKIAIOSFODNN7EXAMPLE"),
        ("TEXT", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
        ("DATABASE_URL", "postgres://wiki:hunter2@db/wiki"),
        ("LEVEL", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("PUSH", "ghp_0123456789abcdefghij"),
    ],
)
def test_a_secret_is_never_a_parameter(name, value):
    """A literal that looks like a secret is refused, and the refusal does not repeat it."""
    found = problems(changed("target.environment", {name: value}))

    assert len(found) == 1
    assert f"migration.target.environment.{name}" in found[0]
    assert "target.secrets" in found[0]
    assert value not in found[0]


def test_a_literal_where_a_reference_belongs_is_not_shown():
    """A password that stands in target.secrets itself is refused without being repeated."""
    assert "hunter2" not in "\n".join(problems(changed("target.secrets", {"DB_PASSWORD": "hunter2"})))


def test_a_reference_among_literals_is_refused():
    """A reference in target.environment would reach the service as text, so it is refused."""
    assert "move it to target.secrets" in problems(changed("target.environment", {"A": "ssm:/wiki/db"}))[0]


@pytest.mark.parametrize(
    ("name", "value"), [("DB_PASSWORD_FILE", "/run/secrets/db"), ("USE_TOKEN", "true"), ("MONKEY", "banana")]
)
def test_harmless_values_with_alarming_names_pass(name, value):
    """A file's name, a switch and a word that only contains `key` are no secrets."""
    assert parameters.load(SANDBOX, changed("target.environment", {name: value})).target.environment == {name: value}


def test_a_person_can_declare_a_name_harmless_but_not_a_value():
    """target.not_secret waives the rule about names; a value that looks like a credential stays refused."""
    data = changed("target.environment", {"TOKEN_TTL": "3600"})
    data["target"]["not_secret"] = ["TOKEN_TTL"]
    assert parameters.load(SANDBOX, data).target.environment == {"TOKEN_TTL": "3600"}

    data["target"]["environment"] = {"TOKEN_TTL": "AKIAIOSFODNN7EXAMPLE"}
    assert "AWS access key" in problems(data)[0]
