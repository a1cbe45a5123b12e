"""Render the Terraform root module of a migration.

Structure (backend, assumed role, adoption) is rendered from templates/*.j2; every value travels in
terraform.tfvars.json or backend.tfbackend, where it is data and cannot become code.
Reads the given folder and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jinja2

from runbook_lib.errors import ParameterError

VALUES_FILE = "terraform.tfvars.json"
BACKEND_FILE = "backend.tfbackend"
LOCK_FILE = ".terraform.lock.hcl"
_MODULE_SUFFIXES = frozenset({".tf", ".tftpl", ".py"})
_BACKEND_SETTINGS = {
    "local": frozenset({"path"}),
    "s3": frozenset({"bucket", "key", "region", "kms_key_id", "profile", "workspace_key_prefix"}),
}
_BACKEND_NEEDS = {"local": frozenset({"path"}), "s3": frozenset({"bucket", "key", "region"})}


@dataclass(frozen=True)
class RootModule:
    """What of a root module is structure and not a value.

    Args:
        backend: Where the state lives. ``s3`` locks with a lock file.
        backend_settings: ``path`` for local; ``bucket``, ``key``, ``region`` and optionally ``kms_key_id``, ``profile``
            and ``workspace_key_prefix`` for s3.
        assume_role: Whether the provider assumes ``assume_role_arn`` as session ``session_name``.
        adopted: Whether the data volume is imported and owned.
        record_final_snapshot: Whether the next change of the adopted volume also records ``final_snapshot``.
    """

    backend: Literal["local", "s3"] = "local"
    backend_settings: Mapping[str, str] = field(default_factory=dict)
    assume_role: bool = False
    adopted: bool = False
    record_final_snapshot: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that the backend does not know or that it lacks."""
        known, needed = _BACKEND_SETTINGS[self.backend], _BACKEND_NEEDS[self.backend]
        problems = [
            f"terraform.backend: {self.backend} does not take {name!r}; it takes {', '.join(sorted(known))}"
            for name in sorted(set(self.backend_settings) - known)
        ]
        problems += [
            f"terraform.backend: {self.backend} needs {name!r}"
            for name in sorted(needed - {name for name, value in self.backend_settings.items() if value})
        ]
        if problems:
            raise ParameterError(problems)


def render_root_module(folder: Path, structure: RootModule, variables: Mapping[str, Any]) -> dict[str, str]:
    """Return every file of the root module by its relative path, the same for the same input.

    Args:
        folder: The repository's ``terraform`` folder, with ``templates`` and ``modules``.
        structure: What is rendered.
        variables: Values of the root module's variables, JSON-able.

    Returns:
        Text by relative path: the root module, its values, the provider lock and the copied modules.

    Raises:
        jinja2.UndefinedError: When a template names something that the structure has not.

    Changes:
        Nothing.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - HCL, not HTML; no value of the user's is rendered
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    context = {
        "backend": structure.backend,
        "assume_role": structure.assume_role,
        "adopted": structure.adopted,
        "record_final_snapshot": structure.record_final_snapshot,
    }
    # adopt.tf always: a folder that is rendered again must not keep the one of a former structure.
    names = ("adopt.tf", "main.tf", "outputs.tf", "variables.tf", "versions.tf")
    files = {name: environment.get_template(f"{name}.j2").render(context) for name in names}
    files[VALUES_FILE] = _as_json(variables)
    files[BACKEND_FILE] = "".join(
        f"{name} = {_as_hcl(value)}\n" for name, value in sorted(structure.backend_settings.items())
    )
    files[LOCK_FILE] = (folder / "templates" / "terraform.lock.hcl").read_text(encoding="utf-8")
    files.update(_copied_modules(folder))
    return dict(sorted(files.items()))


def _copied_modules(folder: Path) -> dict[str, str]:
    """Return what Terraform needs of the modules; tests and pages stay behind."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((folder / "modules").rglob("*"))
        if path.suffix in _MODULE_SUFFIXES and not {"tests", ".terraform"} & set(path.parts) and path.is_file()
    }


def _as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _as_hcl(value: str) -> str:
    """Return a literal HCL string: JSON's, with the two template introducers escaped."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
