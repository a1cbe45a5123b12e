"""Tests of the Terraform modules and of every root module that can be rendered, with the real program and no cloud."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runbook_lib.adapters import terraform_install as install
from runbook_lib.adapters.terraform import Terraform
from runbook_lib.render import RootModule, render_root_module
from tests.running_provider import RunningProvider

pytestmark = pytest.mark.slow

TERRAFORM = Path(__file__).parents[2] / "terraform"
MODULES = sorted(path.name for path in (TERRAFORM / "modules").iterdir())
S3 = {"bucket": "state", "key": "guestbook.tfstate", "region": "us-east-1"}
STRUCTURES = {
    "local": RootModule(backend_settings={"path": "state.tfstate"}),
    "s3 with a role": RootModule(backend="s3", backend_settings=S3, assume_role=True),
    "adopted": RootModule(backend_settings={"path": "state.tfstate"}, adopted=True),
    "adopted, with a final snapshot": RootModule(
        backend_settings={"path": "state.tfstate"}, adopted=True, record_final_snapshot=True
    ),
}


def run(terraform, *arguments, program=""):
    """Run a subcommand that the adapter has no word for, and return its process."""
    argv = [program or terraform.binary, *arguments, "-no-color"]
    return subprocess.run(
        argv, cwd=terraform.folder, env=terraform._environment, capture_output=True, text=True, check=False
    )


def blocks(text, kind):
    """Return name and text of each block of a kind in HCL that `terraform fmt` wrote."""
    return re.findall(rf'^{kind} "([a-z_0-9]+)" {{\n(.*?)^}}', text, re.DOTALL | re.MULTILINE)


def test_everything_is_formatted():
    """`terraform fmt` would change nothing."""
    done = run(Terraform(TERRAFORM, environment={}), "fmt", "-check", "-recursive", "-diff")

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_passes_its_own_tests(module, tmp_path):
    """`terraform test` passes: every safety setting and every validation."""
    folder = tmp_path / module
    shutil.copytree(TERRAFORM / "modules" / module, folder)
    shutil.copy(TERRAFORM / "templates" / "terraform.lock.hcl", folder / ".terraform.lock.hcl")
    terraform = Terraform(folder, environment={})
    terraform.init()
    terraform.validate()

    with RunningProvider(tmp_path) as provider:  # it is asked for its schemas alone, for each file of tests
        done = run(terraform, "test", program=provider.terraform)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! \d\d passed, 0 failed\.", done.stdout)


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
def test_every_root_module_is_valid_and_formatted(structure, tmp_path):
    """Whatever its structure, a rendered root module is valid, formatted, and uses the locked provider."""
    for path, text in render_root_module(TERRAFORM, structure, {}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    terraform = Terraform(tmp_path, environment={})
    lock = (tmp_path / ".terraform.lock.hcl").read_text()
    if structure.backend == "s3":
        # Nothing listens, so the state stays unread; sandbox tests use the backend.
        install.write_cli_configuration(tmp_path, os.environ)
        assert run(terraform, "init", "-backend=false").returncode == 0
    else:
        terraform.init()
    terraform.validate()

    assert run(terraform, "fmt", "-check", "-recursive").stdout == ""
    assert (tmp_path / ".terraform.lock.hcl").read_text() == lock


@pytest.mark.parametrize("module", MODULES)
def test_every_variable_states_its_rule(module):
    """Each variable has a description and a type, and a validation unless its type is the whole rule."""
    text = (TERRAFORM / "modules" / module / "variables.tf").read_text()
    variables = blocks(text, "variable")

    assert len(variables) > 10
    assert [name for name, body in variables if "description" not in body or "type " not in body] == []
    assert [name for name, body in variables if "validation {" not in body and "= bool" not in body] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_validation_has_a_test(module):
    """A variable with N validations is expected to fail at least N times, in tests that are named as sentences."""
    folder = TERRAFORM / "modules" / module
    tests = "".join(path.read_text() for path in (folder / "tests").glob("*.tftest.hcl"))
    for name, body in blocks((folder / "variables.tf").read_text(), "variable"):
        expected = len(re.findall(rf"expect_failures = \[[^]]*\bvar\.{name}\b", tests))
        assert expected >= body.count("validation {"), f"{name}: {expected} failures expected"


@pytest.mark.parametrize("module", MODULES)
def test_every_variable_and_output_is_on_the_modules_page(module):
    """The module's README names each variable and output."""
    folder = TERRAFORM / "modules" / module
    page = (folder / "README.md").read_text()
    names = [name for name, _ in blocks((folder / "variables.tf").read_text(), "variable")]
    names += [name for name, _ in blocks((folder / "outputs.tf").read_text(), "output")]

    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_root_module_passes_on_everything_the_modules_take():
    """No setting of a module is out of the root module's reach."""
    root = (TERRAFORM / "templates" / "main.tf.j2").read_text()
    for module in MODULES:
        call = dict(blocks(root, "module"))[module]
        text = (TERRAFORM / "modules" / module / "variables.tf").read_text()
        missing = [name for name, _ in blocks(text, "variable") if not re.search(rf"^  {name} +=", call, re.MULTILINE)]
        assert missing == []
