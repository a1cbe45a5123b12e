"""Tests of runbook_lib.render."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest

from runbook_lib.errors import ParameterError
from runbook_lib.render import RootModule, render_root_module

TERRAFORM = Path(__file__).parents[1] / "terraform"
LOCAL = {"path": "/state/guestbook.tfstate"}


def render(structure=None, **variables):
    """Render the repository's root module."""
    return render_root_module(TERRAFORM, structure or RootModule(backend_settings=LOCAL), variables)


def test_the_same_input_gives_the_same_files():
    """Rendering is deterministic, whatever the order of the values."""
    assert render(a=1, b=2) == render(b=2, a=1)
    assert list(render(a=1)) == sorted(render(a=1))


def test_values_travel_as_data_and_never_as_code():
    """A value that looks like a template stays a literal string in JSON and appears in no HCL file."""
    files = render(container_name='${file("/etc/passwd")}')

    assert json.loads(files["terraform.tfvars.json"]) == {"container_name": '${file("/etc/passwd")}'}
    assert not [path for path, text in files.items() if path.endswith(".tf") and "/etc/passwd" in text]


def test_the_modules_are_copied_without_tests_and_pages():
    """The root module carries its modules, so that a run folder can be applied years later."""
    files = render()

    assert files["modules/ecs_service/main.tf"] == (TERRAFORM / "modules/ecs_service/main.tf").read_text()
    assert "modules/ecs_cluster/files/runbook_boot.py" in files
    assert "modules/ecs_cluster/templates/user_data.yaml.tftpl" in files
    assert not [path for path in files if "tests/" in path or path.endswith(".md")]


def test_the_volume_is_read_only_before_the_adoption():
    """Without adoption no block owns the volume, and the file of a former adoption is overwritten."""
    files = render()

    assert files["adopt.tf"].startswith("# The data volume is read, not owned")
    assert len(files["adopt.tf"].splitlines()) == 1
    assert "adopted_volume" not in files["variables.tf"]


def test_the_adoption_imports_and_protects_the_volume():
    """With adoption the volume is imported by its id, cannot be destroyed, and its tags stay the cutover's."""
    text = render(RootModule(backend_settings=LOCAL, adopted=True))["adopt.tf"]

    assert "id = var.volume_id" in text
    assert "prevent_destroy = true" in text
    assert "ignore_changes = [tags, tags_all, final_snapshot]" in text


def test_the_final_snapshot_is_recorded_only_when_asked():
    """Only a root module that also changes the volume may record final_snapshot."""
    structure = RootModule(backend_settings=LOCAL, adopted=True, record_final_snapshot=True)

    assert "ignore_changes = [tags, tags_all]\n" in render(structure)["adopt.tf"]


def test_the_s3_backend_locks_with_a_file():
    """The state in S3 is encrypted and locked without a table."""
    settings = {"bucket": "state", "key": "guestbook.tfstate", "region": "us-east-1"}
    files = render(RootModule(backend="s3", backend_settings=settings))

    assert 'backend "s3"' in files["versions.tf"]
    assert "use_lockfile = true" in files["versions.tf"]
    assert files["backend.tfbackend"] == 'bucket = "state"\nkey = "guestbook.tfstate"\nregion = "us-east-1"\n'


def test_backend_values_are_literal():
    """A path with a template in it stays a path."""
    files = render(RootModule(backend_settings={"path": '/state/${x}/%{if}"'}))

    assert files["backend.tfbackend"] == 'path = "/state/$${x}/%%{if}\\""\n'


def test_the_provider_acts_in_one_account_and_names_nothing():
    """The provider refuses another account, has no endpoint of its own and gives no Name."""
    text = render()["versions.tf"]

    assert "allowed_account_ids = [var.account_id]" in text
    assert "endpoints" not in text
    assert "assume_role" not in text


def test_the_provider_assumes_the_role_when_there_is_one():
    """With a role the session carries the run's name."""
    files = render(RootModule(backend_settings=LOCAL, assume_role=True))

    assert "role_arn        = var.assume_role_arn" in files["versions.tf"]
    assert 'variable "session_name"' in files["variables.tf"]


def test_the_provider_is_pinned_and_locked():
    """Version and checksums of the provider are fixed."""
    files = render()

    assert 'version = "5.100.0"' in files["versions.tf"]
    assert files[".terraform.lock.hcl"].count("zh:") == 15


@pytest.mark.parametrize(
    ("backend", "settings", "problem"),
    [
        ("local", {}, "terraform.backend: local needs 'path'"),
        ("local", {"path": ""}, "terraform.backend: local needs 'path'"),
        ("local", LOCAL | {"bucket": "b"}, "terraform.backend: local does not take 'bucket'; it takes path"),
        ("s3", {"bucket": "b", "key": "k"}, "terraform.backend: s3 needs 'region'"),
    ],
)
def test_backend_settings_are_checked(backend, settings, problem):
    """A backend with missing or foreign settings is refused before anything is written."""
    with pytest.raises(ParameterError, match=problem):
        RootModule(backend=backend, backend_settings=settings)


def test_a_template_that_names_something_unknown_is_an_error(tmp_path):
    """Undefined names never render as nothing."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "adopt.tf.j2").write_text("{{ surprise }}")

    with pytest.raises(jinja2.UndefinedError, match="surprise"):
        render_root_module(tmp_path, RootModule(backend_settings=LOCAL), {})
