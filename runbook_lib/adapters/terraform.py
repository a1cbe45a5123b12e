"""Terraform: one working folder, one subcommand at a time.

Runs the binary and reads what it prints. Decides nothing about a plan, never retries an apply, and hands an interrupt
on to Terraform once, so that it stops after the resources in flight and saves its state.
"""

from __future__ import annotations

import functools
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runbook_lib.adapters import terraform_install as install
from runbook_lib.adapters import terraform_messages as messages
from runbook_lib.adapters import terraform_process
from runbook_lib.errors import TerraformError

BACKEND_FILE = "backend.tfbackend"
LOCK_FILE = ".terraform.lock.hcl"


class Terraform:
    """Terraform in one folder.

    Args:
        folder: The root module.
        environment: Added to this process's environment: region, endpoint, credentials. An endpoint that is not in
            here is taken out, so that Terraform and boto3 always talk to the same one.
        binary: The program, or None to find it.
        run_id: Appended to the user agent, which CloudTrail records.
        on_line: Called with each line an operator would read.
        lock_timeout_s: How long to wait for a state that another Terraform holds.
        locks: Whether a plan holds the state's lock.
    """

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str],
        binary: str | None = None,
        run_id: str = "",
        on_line: Callable[[str], None] | None = None,
        lock_timeout_s: int = 60,
        locks: bool = True,
    ) -> None:
        self.folder = folder
        self._lock_timeout = f"-lock-timeout={lock_timeout_s}s"
        self._locks = locks
        self._binary = binary
        self._prepared_sha256 = ""
        self._outputs: dict[str, Any] = {}
        self._on_line = on_line or (lambda _line: None)
        configuration = str(folder.resolve() / install.CLI_CONFIGURATION)
        self._environment = install.child_environment({"TF_CLI_CONFIG_FILE": configuration, **environment}, run_id)

    @functools.cached_property
    def binary(self) -> str:
        """The program that is run, of a version that serves.

        Raises:
            TerraformError: When there is none on this machine.
        """
        if self._binary is not None:
            return self._binary
        return str(find_binary(self._environment))

    def prepare(self, files_sha256: str) -> None:
        """Initialise and validate, unless this object did so for the very same files.

        Args:
            files_sha256: Digest of the root module's files.

        Raises:
            TerraformError: When init or validate fails.

        Changes:
            As ``init``.
        """
        if files_sha256 != self._prepared_sha256:
            self.init()
            self.validate()
            self._prepared_sha256 = files_sha256

    def init(self) -> None:
        """Install the provider and connect the backend.

        Raises:
            TerraformError: When the provider cannot be installed or the backend does not answer.

        Changes:
            ``.terraform`` in the folder; the provider cache of this Python environment when there is no mirror.
        """
        self._outputs = {}
        install.write_cli_configuration(self.folder, self._environment)
        arguments = ["init", "-input=false", "-json", "-no-color", "-reconfigure"]
        if (self.folder / LOCK_FILE).exists():
            arguments.append("-lockfile=readonly")
        if (self.folder / BACKEND_FILE).exists():
            arguments.append(f"-backend-config={BACKEND_FILE}")
        self._run(arguments)

    def validate(self) -> None:
        """Check the configuration without contacting anything.

        Raises:
            TerraformError: When it is not valid; carries every error.

        Changes:
            Nothing.
        """
        self._run(["validate", "-json"])

    def plan(self, out: Path, *, destroy: bool = False) -> int:
        """Plan and store the plan.

        Args:
            out: File for the plan. It holds secrets.
            destroy: Plan to delete everything.

        Returns:
            0 when the plan is empty, 2 when it changes something.

        Raises:
            TerraformError: When planning fails.

        Changes:
            The plan file; nothing at AWS.
        """
        arguments = ["plan", "-input=false", "-json", "-detailed-exitcode", f"-out={out.resolve()}"]
        arguments += ["-destroy"] if destroy else []
        arguments += [self._lock_timeout] if self._locks else ["-lock=false"]
        return self._run(arguments, accepted=(0, 2))[0]

    def show_json(self, plan: Path) -> dict[str, Any]:
        """Return a stored plan.

        Args:
            plan: As written by `plan`.

        Returns:
            Terraform's JSON, sensitive values included.

        Raises:
            TerraformError: When the file is no plan of this folder.
        """
        document: dict[str, Any] = json.loads(self._run(["show", "-json", str(plan.resolve())])[1])
        return document

    def apply(self, plan: Path) -> None:
        """Apply a stored plan, once.

        Args:
            plan: As written by `plan`; Terraform refuses it when the state has changed since.

        Raises:
            TerraformError: When a resource failed; others may have been created and are in the state.

        Changes:
            What the plan says.
        """
        self._outputs = {}
        self._run(["apply", "-input=false", "-json", self._lock_timeout, str(plan.resolve())])

    def untaint(self, address: str) -> None:
        """Let the state take a resource for whole whose creation was interrupted; the next plan then keeps it.

        Args:
            address: For example `module.ecs_cluster.aws_ecs_cluster.this`.

        Raises:
            TerraformError: When the state has no such resource, or it is not tainted.

        Changes:
            The state; nothing at AWS.
        """
        self._run(["untaint", self._lock_timeout, address])

    def output_json(self) -> dict[str, Any]:
        """Return the root module's outputs by name, as the state has them; empty before the first apply.

        They are read once, until this object initialises or applies: who waits for the target asks twice a second,
        and Terraform takes most of one to answer.
        """
        if not self._outputs:
            outputs = json.loads(self._run(["output", "-json"])[1])
            self._outputs = {name: output["value"] for name, output in outputs.items()}
        return dict(self._outputs)

    def forget(self, address: str) -> None:
        """Take a resource out of the state, without a call to its provider: `terraform state rm`.

        Args:
            address: For example `aws_ebs_volume.data`.

        Changes:
            The state; nothing at AWS.
        """
        self._run(["state", "rm", self._lock_timeout, address])

    def state_addresses(self) -> list[str]:
        """Return the address of each of `state_ids`, sorted."""
        return sorted(self.state_ids())

    def state_ids(self) -> dict[str, str]:
        """Return the id of every resource that the state owns, by its address; empty before the first apply.

        Raises:
            TerraformError: When the state is of a format that nobody has read here yet.

        Source: `terraform state pull`. `show -json` says the same, and takes seconds: it asks the provider for schemas.
        """
        return messages.state_ids(self._run(["state", "pull"])[1])

    def version(self) -> dict[str, str]:
        """Return what is used: keys ``terraform`` (its version), ``binary`` and ``provider`` ("" before `init`)."""
        document = json.loads(self._run(["version", "-json"])[1])
        providers = document.get("provider_selections") or {}
        return {
            "terraform": document["terraform_version"],
            "binary": self.binary,
            "provider": providers.get("registry.terraform.io/hashicorp/aws", ""),
        }

    def _run(self, arguments: Sequence[str], *, accepted: tuple[int, ...] = (0,)) -> tuple[int, str]:
        """Run one subcommand to its end, whatever happens to this process; return its exit code and what it printed."""
        diagnostics: list[str] = []
        streams = arguments[0] in {"init", "plan", "apply"}
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            running = terraform_process.start([self.binary, *arguments], self.folder, self._environment, output, errors)
            try:
                for line in terraform_process.lines(running, output):
                    if streams:
                        diagnostics += self._pass_on(messages.read_message(line))
                exit_code = running.wait()
            except BaseException:
                terraform_process.stop(running)
                raise
            output_text, error_text = terraform_process.text_of(output), terraform_process.text_of(errors)
        if exit_code not in accepted:
            diagnostics += messages.validation_errors(output_text) if arguments[0] == "validate" else []
            raise TerraformError(arguments[0], messages.explain(exit_code, diagnostics, output_text, error_text))
        return exit_code, output_text

    def _pass_on(self, message: Mapping[str, Any]) -> list[str]:
        """Hand one message to the operator; return it as an error when it is one."""
        self._on_line(str(message.get("@message", "")))
        diagnostic = message.get("diagnostic", {})
        return [messages.describe(diagnostic)] if diagnostic.get("severity") == "error" else []


def find_binary(environment: Mapping[str, str]) -> Path:
    """Return the first Terraform or OpenTofu on this machine that is recent enough.

    Args:
        environment: For ``RUNBOOK_TERRAFORM`` and ``PATH``.

    Returns:
        The program.

    Raises:
        TerraformError: When there is none; says what to install and what was found instead.
    """
    refused = []
    for candidate in install.candidates(environment):
        version = binary_version(str(candidate))
        if version >= install.MINIMUM_VERSION:
            return candidate
        refused.append(f"{candidate} is {'.'.join(map(str, version)) if version else 'not Terraform'}")
    found = "; ".join(refused) or "found none"
    raise TerraformError("version", [f"{found}; {install.how_to_install()}"])


@functools.cache
def binary_version(binary: str) -> tuple[int, ...]:
    """Return the version of a Terraform program, or () when it does not answer like one.

    Args:
        binary: The program.

    Returns:
        For example ``(1, 11, 4)``; a pre-release counts as the version it precedes.
    """
    environment = install.child_environment({}, "")
    try:
        done = subprocess.run(
            [binary, "version", "-json"], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        text = str(json.loads(done.stdout)["terraform_version"]).partition("-")[0]
        return tuple(int(part) for part in text.split("."))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return ()
