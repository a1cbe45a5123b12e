"""Tests of runbook_lib.adapters.terraform, with the real program and no cloud."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runbook_lib.adapters import terraform as adapter
from runbook_lib.adapters.terraform import Terraform
from runbook_lib.errors import TerraformError

pytestmark = pytest.mark.slow

ROOT = """
variable "word" { default = "one" }
resource "terraform_data" "this" {
  input = var.word
  lifecycle {
    precondition {
      condition     = var.word != "forbidden"
      error_message = "The word must not be forbidden."
    }
  }
}
output "word" { value = terraform_data.this.output }
"""
MANY = """
resource "terraform_data" "counted" { count = 2 }
resource "terraform_data" "named" { for_each = toset(["a\\"b", "c"]) }
data "terraform_remote_state" "other" {
  backend = "local"
  config  = { path = "${path.root}/other.tfstate" }
}
"""
SLOW = """
resource "terraform_data" "this" {
  provisioner "local-exec" { command = "touch started; sleep 120" }
}
"""


def make_root(folder, text=ROOT):
    """Write a root module that needs no provider from outside, and return Terraform in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.tf").write_text(text)
    return Terraform(folder, environment={}, run_id="test")


def wait_until(condition, timeout_s=60):
    """Wait for a condition; fail when it never comes."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came"
        time.sleep(0.05)


def test_a_plan_is_applied_and_the_next_one_is_empty(tmp_path):
    """init, validate, plan, apply of that very file, then nothing left to change."""
    terraform = make_root(tmp_path)
    terraform.init()
    terraform.validate()

    assert terraform.plan(tmp_path / "plan.bin") == 2
    assert terraform.show_json(tmp_path / "plan.bin")["resource_changes"][0]["change"]["actions"] == ["create"]
    assert terraform.state_addresses() == []
    terraform.apply(tmp_path / "plan.bin")

    assert terraform.plan(tmp_path / "plan.bin") == 0
    assert terraform.state_addresses() == ["terraform_data.this"]
    assert terraform.output_json() == {"word": "one"}


def test_outputs_are_read_anew_after_an_apply(tmp_path):
    """Who asks again is told the same without Terraform, until this object has applied."""
    terraform = make_root(tmp_path)
    terraform.init()
    assert terraform.output_json() == {}
    terraform.plan(tmp_path / "plan.bin")
    terraform.apply(tmp_path / "plan.bin")
    assert terraform.output_json() == {"word": "one"}
    (tmp_path / "main.tf").write_text(ROOT.replace('"one"', '"two"'))
    terraform.plan(tmp_path / "plan.bin")
    assert terraform.output_json() == {"word": "one"}
    terraform.apply(tmp_path / "plan.bin")
    assert terraform.output_json() == {"word": "two"}


def test_addresses_are_those_that_terraform_writes(tmp_path):
    """`count`, `for_each` and data sources, in a module and outside; each as `terraform state list` prints it."""
    terraform = make_root(tmp_path / "root", 'module "part" { source = "./part" }\n' + MANY)
    (tmp_path / "root" / "other.tfstate").write_text('{"version": 4, "serial": 1, "lineage": "l", "outputs": {}}')
    (tmp_path / "root" / "part").mkdir()
    (tmp_path / "root" / "part" / "main.tf").write_text(MANY)
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")
    terraform.apply(tmp_path / "plan.bin")
    listed = subprocess.run(
        [terraform.binary, "state", "list"], cwd=tmp_path / "root", capture_output=True, text=True, check=True
    )
    assert terraform.state_addresses() == sorted(listed.stdout.split())
    assert 'module.part.terraform_data.named["a\\"b"]' in terraform.state_addresses()


def test_a_state_of_another_format_is_refused(tmp_path):
    """What a later Terraform may write is not guessed at."""
    newer = tmp_path / "terraform"
    newer.write_text("#!/bin/sh\necho '{\"version\": 5}'\n")
    newer.chmod(0o755)
    with pytest.raises(TerraformError, match="expected a state of version 4, found 5"):
        Terraform(tmp_path, environment={}, binary=str(newer)).state_addresses()


def test_a_destroy_plan_deletes(tmp_path):
    """`destroy=True` plans to delete everything the state owns."""
    terraform = make_root(tmp_path)
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")
    terraform.apply(tmp_path / "plan.bin")

    assert terraform.plan(tmp_path / "plan.bin", destroy=True) == 2
    changes = terraform.show_json(tmp_path / "plan.bin")["resource_changes"]
    assert [change["change"]["actions"] for change in changes] == [["delete"]]


def test_a_failed_plan_says_why_and_where(tmp_path):
    """Terraform's diagnostics become the error: rule, file and line."""
    terraform = make_root(tmp_path, ROOT.replace('"one"', '"forbidden"'))
    terraform.init()

    with pytest.raises(TerraformError) as caught:
        terraform.plan(tmp_path / "plan.bin")

    assert caught.value.command == "plan"
    assert caught.value.diagnostics == ("Resource precondition failed: The word must not be forbidden. (main.tf:7)",)


def test_an_invalid_configuration_names_the_line(tmp_path):
    """`validate` reports every error of the configuration."""
    terraform = make_root(tmp_path)
    terraform.init()
    (tmp_path / "main.tf").write_text(ROOT + 'output "other" { value = var.nothing }\n')

    with pytest.raises(TerraformError, match=r"Reference to undeclared input variable.*main\.tf:13"):
        terraform.validate()


def test_a_stale_plan_is_refused(tmp_path):
    """A plan whose state has changed meanwhile cannot be applied."""
    terraform = make_root(tmp_path)
    terraform.init()
    for name in ("first.bin", "second.bin"):
        terraform.plan(tmp_path / name)
    terraform.apply(tmp_path / "first.bin")

    with pytest.raises(TerraformError, match="Saved plan is stale"):
        terraform.apply(tmp_path / "second.bin")


def test_the_state_goes_where_the_backend_file_says(tmp_path):
    """Backend values travel in backend.tfbackend."""
    terraform = make_root(tmp_path / "root", 'terraform {\n  backend "local" {}\n}\n' + ROOT)
    (tmp_path / "root" / "backend.tfbackend").write_text(f'path = "{tmp_path}/elsewhere.tfstate"\n')
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")
    terraform.apply(tmp_path / "plan.bin")

    assert json.loads((tmp_path / "elsewhere.tfstate").read_text())["outputs"]["word"]["value"] == "one"


def test_a_cli_configuration_that_does_not_exist_breaks_nothing(tmp_path, monkeypatch):
    """The operator's TF_CLI_CONFIG_FILE is not used, whatever it names."""
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(tmp_path / "missing.tfrc"))
    terraform = make_root(tmp_path / "root")
    terraform.init()

    assert terraform.plan(tmp_path / "plan.bin") == 2


def test_lines_are_passed_on_as_they_come(tmp_path):
    """An operator sees what Terraform does while it does it."""
    lines = []
    make_root(tmp_path)
    terraform = Terraform(tmp_path, environment={}, on_line=lines.append)
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")

    assert "terraform_data.this: Plan to create" in lines


def test_the_version_is_known(tmp_path):
    """The record names program and version; the provider is unknown before it is installed."""
    version = make_root(tmp_path).version()

    assert tuple(map(int, version["terraform"].split("-")[0].split("."))) >= (1, 11)
    assert version["provider"] == ""


def test_an_old_terraform_is_refused_with_what_to_do(tmp_path):
    """A program below the needed version is named, with how to install another."""
    old = tmp_path / "terraform"
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.5.7"}\'\n')
    old.chmod(0o755)

    with pytest.raises(TerraformError, match=r"terraform is 1\.5\.7; install Terraform 1\.11 or later"):
        adapter.find_binary({"RUNBOOK_TERRAFORM": str(old), "PATH": os.environ["PATH"]})


def test_a_program_that_is_not_terraform_is_refused(tmp_path):
    """A program that answers nothing sensible is not used."""
    with pytest.raises(TerraformError, match="is not Terraform"):
        adapter.find_binary({"RUNBOOK_TERRAFORM": "/bin/true", "PATH": os.environ["PATH"]})


def test_a_program_that_is_gone_says_what_to_install(tmp_path):
    """A binary that cannot be started is an error of ours, not a traceback."""
    terraform = Terraform(tmp_path, environment={}, binary=str(tmp_path / "gone"))

    with pytest.raises(TerraformError, match="install Terraform"):
        terraform.validate()


def test_an_interrupt_is_handed_on_once_and_waited_for(tmp_path):
    """Ctrl-C stops Terraform after the resource in flight, and the state is saved before we go on."""
    terraform = make_root(tmp_path, SLOW)
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")

    def interrupt():
        wait_until((tmp_path / "started").exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        terraform.apply(tmp_path / "plan.bin")

    assert terraform.state_addresses() == ["terraform_data.this"]
    assert not (tmp_path / ".terraform.tfstate.lock.info").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is signalled on Linux only")
def test_terraform_ends_gracefully_when_its_kernel_is_killed(tmp_path):
    """While it applies, only a plan without a lock is made; a killed kernel leaves the state saved and unlocked."""
    terraform = make_root(tmp_path, SLOW)
    terraform.init()
    terraform.plan(tmp_path / "plan.bin")
    code = (
        "from pathlib import Path; from runbook_lib.adapters.terraform import Terraform; "
        f"Terraform(Path({str(tmp_path)!r}), environment={{}}).apply(Path({str(tmp_path / 'plan.bin')!r}))"
    )
    kernel = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    wait_until((tmp_path / "started").exists)
    with pytest.raises(TerraformError, match="lock"):
        Terraform(tmp_path, environment={}, lock_timeout_s=0).plan(tmp_path / "other.bin")
    assert Terraform(tmp_path, environment={}, locks=False).plan(tmp_path / "other.bin") == 2
    kernel.kill()
    kernel.wait()

    wait_until(lambda: not (tmp_path / ".terraform.tfstate.lock.info").exists())
    assert terraform.state_addresses() == ["terraform_data.this"]


@pytest.mark.parametrize(
    ("chosen", "exit_code", "output", "errors"),
    [("", 0, "terraform", ""), ("/nowhere/terraform", 3, "", "which is no program; correct or unset it")],
)
def test_the_set_up_script_prints_the_program_or_what_to_do(chosen, exit_code, output, errors):
    """`scripts/terraform` prints the program that the library would use, and never replaces the operator's choice."""
    script = Path(__file__).parents[2] / "scripts" / "terraform"
    environment = os.environ | {"RUNBOOK_TERRAFORM": chosen}

    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False, cwd="/"
    )

    assert done.returncode == exit_code
    assert Path(done.stdout.strip()).name in (output, "tofu" if output else "")
    assert errors in done.stderr
