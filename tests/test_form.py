"""The parameters form without widgets: what it asks, what it refuses and where it says so, what it saves."""

from __future__ import annotations

import ast

import pytest
import yaml
from parameter_sets import EXAMPLE, ROOT, SANDBOX

from runbook_lib import parameters
from runbook_lib.errors import ParameterError
from runbook_lib.form import Form
from runbook_lib.form_choices import Choices
from runbook_lib.form_fields import fields
from runbook_lib.form_table import FormTable, hint
from runbook_lib.parameters_edit import with_value

BY_KEY = {".".join(field.keys): field for field in fields()}
VOLUME = {"name": "data", "type": "gp3", "device_name": "/dev/sdf", "is_root": False}
FOUND = {
    "instances": [{"id": "i-1", "name": "web", "type": "t3.small", "zone": "us-east-1a", "state": "running"}],
    "volumes": [
        VOLUME | {"id": "vol-2", "size_gib": 9, "zone": "us-east-1b", "instance_id": ""},
        VOLUME | {"id": "vol-8620a6fe2a08c8507", "size_gib": 8, "zone": "us-east-1a", "instance_id": "i-1"},
    ],
    "vpcs": [{"id": "vpc-01eee9f64db6dafee", "name": "", "cidr": "10.0.0.0/16"}],
    "subnets": [
        {"id": "subnet-a", "name": "a", "zone": "us-east-1a", "cidr": "10.0.0.0/24", "vpc_id": "vpc-01eee9f64db6dafee"},
        {"id": "subnet-b", "name": "b", "zone": "us-east-1b", "cidr": "10.0.1.0/24", "vpc_id": "vpc-01eee9f64db6dafee"},
        {"id": "subnet-c", "name": "c", "zone": "us-east-1a", "cidr": "10.1.0.0/24", "vpc_id": "vpc-2"},
    ],
}


@pytest.fixture
def file(tmp_path):
    """Return a copy of the sandbox's file in a folder of its own."""
    copied = tmp_path / "parameters" / "wiki.yaml"
    copied.parent.mkdir()
    copied.write_text(SANDBOX.read_text("utf-8"), "utf-8")
    return copied


def enter(form, **entered):
    """Type into fields, `__` for a dot."""
    for key, value in entered.items():
        form.enter(BY_KEY[key.replace("__", ".")], value)


def test_there_is_a_field_for_every_key_of_the_tables():
    """Each key that parameters/README.md describes has a field with the same meaning, but for the sections."""
    text = (ROOT / "parameters" / "README.md").read_text("utf-8")
    tables = [part for part in text.split("\n## ")[1:] if ".NAME" not in part.splitlines()[0]]
    rows = [line.split(" | ") for table in tables for line in table.splitlines() if line.startswith("| `")]
    described = [(row[0].strip("| `"), row[3].removesuffix(" |")) for row in rows if "section" not in row[1]]

    asked = {(field.keys[-1], field.meaning) for field in fields()}
    assert len(described) > 90
    assert {pair for pair in described if pair[0] != "type"} <= asked


@pytest.mark.parametrize("source", [SANDBOX, EXAMPLE], ids=lambda one: one.stem)
def test_entering_what_is_shown_changes_nothing(source):
    """Whoever goes through every field of a committed file and leaves it leaves the text as it was."""
    form = Form(source)
    for field in fields():
        form.enter(field, form.shown(field) if field.kind == "switch" else form.as_text(field))

    assert (form.diff(), form.problems()) == ("", ())


@pytest.mark.parametrize(
    ("source", "step"),
    [(SANDBOX, 9), *(pytest.param(one, 1, marks=pytest.mark.thorough) for one in (SANDBOX, EXAMPLE))],
)
def test_fields_can_be_set_and_taken_out_with_the_comments_kept(source, step):
    """A value goes into the text and out of it again, and each other line stays, comments too."""
    text = source.read_text("utf-8")
    values = {"number": 7, "switch": True, "list": ["a b", "c"], "yaml": {"A": "1", "B": "on"}}
    for field in fields()[::step]:
        value = values.get(field.kind, "x: #y")
        changed = with_value(text, ("migration", *field.keys), value)
        out = with_value(changed.text, ("migration", *field.keys), None)
        found = yaml.safe_load(changed.text)["migration"]
        for key in field.keys:
            found = found[key]
        assert (field.keys, found, changed.comments_kept, out.comments_kept) == (field.keys, value, True, True)
        gone = [line for line in text.splitlines() if line.lstrip().startswith("#") and line not in out.text]
        assert gone == []


def test_a_text_that_cannot_be_edited_is_written_anew_and_says_so():
    """An anchor that a change would move is resolved: the values are right, and the loss of comments is told."""
    text = "migration:\n  a: &a {x: 1} # why\n  b: *a\n"

    edited = with_value(text, ("migration", "b", "x"), 2)

    assert yaml.safe_load(edited.text) == {"migration": {"a": {"x": 1}, "b": {"x": 2}}}
    assert not edited.comments_kept


def test_errors_stand_at_their_field_in_the_words_of_the_command_line(file):
    """Form, rule and secret problems are found at the field, with the texts that loading the file gives."""
    form = Form(file)
    enter(
        form,
        aws__account_id="12345",
        policy__outage_budget_s="soon",
        target__health_check__timeout_s="9",
        target__environment="API_TOKEN: abcdef",
        volume__volume_id="vol-12",
    )
    file.write_text(form.text, "utf-8")
    with pytest.raises(ParameterError) as refused:
        parameters.load(file)

    errors = form.errors()

    keys = {"aws.account_id", "policy.outage_budget_s", "target.health_check.timeout_s", "target.environment"}
    assert {".".join(one) for one in errors} == keys | {"volume.volume_id"}
    assert sorted(text for texts in errors.values() for text in texts) == sorted(refused.value.problems)
    assert "abcdef" not in str(refused.value)


def test_every_rule_names_its_key_first():
    """What a broken rule is about is its first word, so that the form finds the field."""
    tree = ast.parse((ROOT / "runbook_lib" / "parameters_rules.py").read_text("utf-8"))
    rules = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("_")]
    texts = [ast.unparse(n.value) for rule in rules for n in ast.walk(rule) if isinstance(n, ast.Yield) and n.value]

    assert len(texts) > 15
    assert [text for text in texts if not text.lstrip("f(").lstrip("'\"").startswith("migration.")] == []


def test_an_invalid_file_is_never_saved(file):
    """Save refuses with the problems, under any name, and writes nothing."""
    before = file.read_bytes()
    form = Form(file)
    enter(form, volume__volume_id="vol-12")

    for name in ("", "other.yaml"):
        with pytest.raises(ParameterError, match="an EBS volume id"):
            form.save(name)

    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["wiki.yaml"]


def test_a_valid_file_is_saved_with_its_comments(file):
    """What the difference shows is what changes in the file, and the file loads."""
    form = Form(file)
    enter(form, policy__outage_budget_s="90", policy__hold_before_cutover=True)
    added = [line for line in form.diff().splitlines() if line.startswith("+") and not line.startswith("+++")]

    form.save()

    before, after = SANDBOX.read_text("utf-8").splitlines(), file.read_text("utf-8").splitlines()
    assert added == ["+    outage_budget_s: 90", "+    hold_before_cutover: true"]
    assert [line for line in after if line not in before] == [line[1:] for line in added]
    assert parameters.load(file).policy.outage_budget_s == 90
    assert form.diff() == ""


def test_saving_never_overwrites_what_somebody_else_wrote(file):
    """A file that changed since it was read, another file that exists, and a name with a folder are refused."""
    form = Form(file)
    enter(form, policy__outage_budget_s="90")
    other = file.with_name("other.yaml")
    other.write_text("mine", "utf-8")
    file.write_text(file.read_text("utf-8") + "# a colleague\n", "utf-8")

    for name, why in (("", "changed by somebody else"), ("other.yaml", "exists already"), ("../x.yaml", "file name")):
        with pytest.raises(ParameterError, match=why):
            form.save(name)

    assert (other.read_text("utf-8"), file.read_text("utf-8")[-14:-1]) == ("mine", "# a colleague")


def test_a_choice_takes_out_what_belongs_to_the_other(file):
    """With another storage driver the former one's options go, and the new one's are asked for."""
    form = Form(file)
    enter(form, storage__driver="host_mount")

    assert form.value(BY_KEY["storage.rexray.volume_name"]) is None
    assert (form.is_asked(BY_KEY["storage.rexray.stock"]), form.is_asked(BY_KEY["storage.host_mount.poll_s"])) == (
        False,
        True,
    )
    assert list(form.errors()) == [("storage", "host_mount", "volume_name")]


def test_a_number_of_approvals_becomes_the_section_it_is_short_for(file):
    """`approvals: 1` is shown as `required` and keeps its meaning when another key of it is entered."""
    file.write_text(
        file.read_text("utf-8").replace("  policy:\n", "  policy:\n    approvals: 1 # four eyes\n"), "utf-8"
    )
    form = Form(file)

    assert form.shown(BY_KEY["policy.approvals.required"]) == 1
    enter(form, policy__approvals__valid_for_s="600")

    approvals = parameters.check_text(form.text, file).policy.approvals
    assert (approvals.required, approvals.valid_for_s) == (1, 600)


def test_ids_are_chosen_from_what_fits():
    """Volumes of the chosen host come first; subnets are those of the volume's zone and of the chosen VPC."""
    form = Form(SANDBOX, Choices(FOUND))
    enter(form, source__instance_id="i-1")

    assert [one.value for one in form.options(BY_KEY["volume.volume_id"])] == ["vol-8620a6fe2a08c8507", "vol-2"]
    assert form.options(BY_KEY["volume.volume_id"])[0].label == (
        "vol-8620a6fe2a08c8507 · data · 8 GiB · gp3 · us-east-1a · i-1 /dev/sdf"
    )
    assert [one.value for one in form.options(BY_KEY["target.subnet_ids"])] == ["subnet-a"]
    assert [one.value for one in form.options(BY_KEY["target.load_balancer.subnet_ids"])] == ["subnet-a", "subnet-b"]


def test_the_table_says_what_the_file_says_and_what_is_wrong(file):
    """Without widgets the same is readable as text and as HTML, with units, and nothing of a value is markup."""
    form = Form(file)
    enter(form, policy__outage_budget_s="<b>")
    table = FormTable(form)

    assert "1 problem" in repr(table).splitlines()[0]
    assert "policy.bake_time_s" in repr(table)
    assert "5 seconds" in repr(table)
    assert "&lt;b&gt;" in table._repr_html_()
    assert "<b>" not in table._repr_html_()


def test_a_field_says_unit_limits_and_default():
    """The hint has what the schema says of a number."""
    assert hint(BY_KEY["target.health_check.interval_s"]) == (
        "Seconds between two checks. (seconds, 5 to 300, default 5)"
    )


@pytest.mark.parametrize("text", ["a: [", "just text", "migration: 3"])
def test_what_is_no_parameters_file_is_refused(tmp_path, text):
    """The form opens nothing that it could not save."""
    file = tmp_path / "x.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(ParameterError, match=r"x\.yaml"):
        Form(file)
