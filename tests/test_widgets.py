"""The parameters form in JupyterLab, driven through its widgets without a browser."""

from __future__ import annotations

import json

import pytest
from parameter_sets import SANDBOX

import runbook_lib
from runbook_lib.adapters.inventory import Inventory
from runbook_lib.form import Form
from runbook_lib.form_choices import Choices
from runbook_lib.form_fields import fields
from runbook_lib.form_table import FormTable
from runbook_lib.widgets import ParametersForm
from tests.test_form import FOUND, file  # noqa: F401 - a fixture


@pytest.fixture
def shown(file):  # noqa: F811 - the fixture
    """Return the form of a file with ids to choose from, all sections shown once."""
    form = ParametersForm(Form(file, Choices(FOUND)))
    for _label, name in form.section.options:
        form.section.value = name
    return form


def row(form, key):
    return form.rows[tuple(key.split("."))]


def test_every_field_has_an_input_with_its_label(shown):
    """Each input is labelled with its key, so that a screen reader says it."""
    inputs = [one for each in shown.rows.values() for one in (each.typed, each.chosen) if one is not None]

    assert len(shown.rows) == len(fields())
    assert [one for one in inputs if not one.description] == []
    assert row(shown, "policy.outage_budget_s").typed.description == "outage_budget_s"


def test_an_error_stands_at_its_field_and_keeps_save_from_working(shown, file):  # noqa: F811 - the fixture
    """A wrong value is said below its field and in the summary; Save comes back when it is right again."""
    field = row(shown, "policy.outage_budget_s")

    field.typed.value = "soon"
    assert "should be a valid integer" in field.error.value
    assert "1 problem; cannot be saved" in shown.problems.value
    assert shown.save.disabled

    field.typed.value = "90"
    assert (field.error.value, shown.save.disabled) == ("", False)
    assert "outage_budget_s: 90" in shown.diff.value

    shown.save.click()
    assert "Saved" in shown.said.value
    assert "outage_budget_s: 90" in file.read_text("utf-8")
    assert shown.save.disabled


def test_a_refused_save_is_said(shown, file):  # noqa: F811 - the fixture
    """A file that somebody changed meanwhile is left alone, and the form says so."""
    row(shown, "policy.outage_budget_s").typed.value = "90"
    file.write_text("migration: {}", "utf-8")

    shown.save.click()

    assert "changed by somebody else" in shown.said.value
    assert file.read_text("utf-8") == "migration: {}"


def test_changes_can_be_discarded(shown):
    """Discard brings the file's values back into every field."""
    row(shown, "storage.driver").typed.value = "host_mount"
    assert row(shown, "storage.rexray.volume_name").box.layout.display == "none"

    shown.reset.click()

    assert row(shown, "storage.driver").typed.value == "rexray"
    assert row(shown, "storage.rexray.volume_name").typed.value == "guestbook-data"
    assert (shown.form.diff(), shown.reset.disabled) == ("", True)


def test_an_id_is_chosen_or_typed(shown):
    """A volume is chosen by what it is; another id can be typed; the subnets follow the volume."""
    volume, subnets = row(shown, "volume.volume_id"), row(shown, "target.subnet_ids")
    assert [value for _label, value in volume.chosen.options] == ["vol-2", "vol-8620a6fe2a08c8507", ""]
    assert volume.typed.layout.display == "none"

    volume.chosen.value = "vol-2"
    assert [value for _label, value in subnets.chosen.options] == ["subnet-b", "subnet-566f724388577499c"]

    volume.chosen.value = ""
    assert volume.typed.layout.display == ""
    volume.typed.value = "vol-0a1b2c3d4e5f60718"
    assert volume.chosen.value == "vol-0a1b2c3d4e5f60718"
    assert "not found" in dict(map(reversed, volume.chosen.options))["vol-0a1b2c3d4e5f60718"]


def test_without_aws_ids_are_typed():
    """When the account cannot be asked, the form says why, and every id is a text field."""
    form = ParametersForm(Form(SANDBOX, Choices({}, "no credentials")))
    form.section.value = "volume"

    assert row(form, "volume.volume_id").chosen is None
    assert "no credentials" in form.box.children[1].value


def test_an_account_that_does_not_answer_is_no_error(file):  # noqa: F811 - the fixture
    """With nobody at the endpoint the form opens all the same."""
    file.write_text(file.read_text("utf-8").replace(":4599", ":1"), "utf-8")

    form = runbook_lib.parameters_form(str(file), widgets=True)

    assert "AWS could not be asked" in form.box.children[1].value


def test_where_nobody_is_at_the_keyboard_it_is_a_table(monkeypatch):
    """Papermill gets a table at once; the kernel of a page that somebody opened gets the form."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert isinstance(runbook_lib.parameters_form(str(SANDBOX)), FormTable)

    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/start_here.ipynb")
    form = runbook_lib.parameters_form(str(SANDBOX))
    bundle = form._repr_mimebundle_()
    assert isinstance(form, ParametersForm)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "<table>" in bundle["text/html"]
    json.dumps(bundle)


def test_the_sandbox_has_ids_to_choose_from(sandbox):
    """The inventory finds the service's host and volume, attached to it, and the subnets."""
    found = Inventory(sandbox.session()).everything()
    document = Form(sandbox.parameters_path)
    chosen = {".".join(field.keys): document.shown(field) for field in fields() if field.source}

    (volume,) = [one for one in found["volumes"] if one["id"] == chosen["volume.volume_id"]]
    assert (volume["instance_id"], volume["is_root"]) == (chosen["source.instance_id"], False)
    assert chosen["target.vpc_id"] in {one["id"] for one in found["vpcs"]}
    assert set(chosen["target.subnet_ids"]) <= {one["id"] for one in found["subnets"]}
