"""Keep Terraform's AWS provider running beside a sandbox: half of Terraform's CPU time goes into its start.

A start hashes and loads 700 MB and builds the schemas of a thousand resource types, each time. Terraform itself is
started and ended as ever, and can be killed; the provider outlives it, as it would not otherwise. So what is struck
inside Terraform is struck in a sandbox without this. Of its schemas Terraform gets those of the types that occur here.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from runbook_lib.adapters import terraform_install as install
from runbook_lib.adapters.terraform import find_binary
from tests import lean_provider
from tests.lean_provider import NAMES, die_with_parent

ROOT = Path(__file__).parents[1]
SUFFIXES = {".tf", ".j2", ".hcl", ".py"}
QUIET = {"TF_LOG": "ERROR", "TF_LOG_PROVIDER": "ERROR", "TF_LOG_SDK": "ERROR"}  # else it writes each call down
TYPE = re.compile(r"\baws_[a-z0-9_]+")


class RunningProvider:
    """A provider that acts in one sandbox, and a `terraform` that uses it.

    Args:
        folder: Where its files may go.
        sandbox: The running sandbox; None when only its schemas are asked for.
    """

    def __init__(self, folder, sandbox=None):
        self.terraform = str(find_binary(os.environ))
        """The program to run; Terraform as it is where no provider lies unpacked on this machine."""
        self._process = None
        program = find_provider(folder)
        if program is not None:
            with (folder / "provider.log").open("wb") as log:
                argv = [sys.executable, lean_provider.__file__, str(program), *types()]
                self._process = subprocess.Popen(
                    argv, env=environment_of(sandbox), stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent,  # noqa: PLW1509
                )  # fmt: skip
            self.terraform = str(self._write_terraform(folder / "terraform"))

    @property
    def environment(self):
        """What lets a command use it."""
        return {"RUNBOOK_TERRAFORM": self.terraform}

    def _write_terraform(self, path):
        """Write a program that is Terraform and knows the running provider."""
        told = (line.partition(NAMES)[2].strip().strip("'") for line in self._process.stdout if NAMES in line)
        where = next(told, "")
        assert where, f"the provider ended with {self._process.wait()}, see {path.with_name('provider.log')}"
        path.write_text(f'#!/bin/sh\n{NAMES}{shlex.quote(where)} exec {shlex.quote(self.terraform)} "$@"\n', "utf-8")
        path.chmod(0o755)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop()

    def stop(self):
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def find_provider(folder):
    """Return the program of the pinned provider, where a mirror or this environment's cache has it unpacked."""
    places = (install.find_mirror(os.environ, folder), install.plugin_cache())
    release = Path("registry.terraform.io/hashicorp/aws", install.PROVIDER_VERSION, install.platform_name())
    found = (path for place in places if place is not None for path in sorted((place / release).glob("terraform-*")))
    return next(found, None)


@functools.cache
def types():
    """Return every type of resource or data source that a module, or a test, names."""
    files = (path for place in ("terraform", "tests") for path in (ROOT / place).rglob("*") if path.suffix in SUFFIXES)
    return sorted({name for path in files for name in TYPE.findall(path.read_text("utf-8"))})


def environment_of(sandbox):
    """Return what lets the provider act in a sandbox, if any, as the library gives it to Terraform."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))} | QUIET
    if sandbox is None:
        return kept
    return kept | {
        "AWS_ENDPOINT_URL": sandbox.endpoint_url,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PROFILE": "sandbox",
        "AWS_SHARED_CREDENTIALS_FILE": str(sandbox.state_dir / "credentials"),
    }
