"""The target's Terraform root module: its values, its plan, its apply. Shared by 10, 40 and 45."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib import plan_rules, planfile, scrub
from runbook_lib.errors import JournalError, TerraformError
from runbook_lib.model import Check, Facts
from runbook_lib.procedures.observations import driver_of, observe_volume
from runbook_lib.procedures.target_variables import root_variables, wanted_scaling
from runbook_lib.render import RootModule, render_root_module

if TYPE_CHECKING:
    from runbook_lib.run import Run

PLAN_NAME = ".terraform/plan.bin"
VOLUME_ADDRESS = "aws_ebs_volume.data"
SCALING_ADDRESS = "module.ecs_service.aws_appautoscaling_target.this[0]"
_MODULES = Path(__file__).resolve().parents[2] / "terraform"


def _write_root_module(run: Run, variables: dict[str, Any], *, adopted: bool) -> None:
    """Write the root module into the run folder, initialise and validate it; nothing changes at AWS."""
    structure = RootModule(
        backend=run.parameters.terraform.backend.type,
        backend_settings=_backend_settings(run),
        adopted=adopted,
        assume_role=bool(run.parameters.aws.role_arn),
    )
    if adopted:
        variables = variables | {"adopted_volume": _volume_shape(run)}
    files = render_root_module(_MODULES, structure, variables)
    for path, text in files.items():
        run.journal.write(f"terraform/{path}", text)
    run.terraform.prepare(hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest())


def _backend_settings(run: Run) -> dict[str, str]:
    backend = run.parameters.terraform.backend
    if backend.type == "local":
        return {"path": str(Path(backend.path).resolve())}
    return {"bucket": backend.bucket, "key": backend.key, "region": backend.region}


def is_adopted(run: Run) -> bool:
    """Return whether Terraform's state already owns the data volume.

    Args:
        run: The open run, with its root module initialised.

    Returns:
        True once 45_adopt_volume was applied, in this run or another.
    """
    return VOLUME_ADDRESS in run.terraform.state_addresses()


def observe_root(run: Run, *, adopt: bool = False, kept: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what Terraform would change to reach the target.

    Args:
        run: The open run.
        adopt: Plan the import of the data volume as well.
        kept: Variables that keep what runs as it is while something beside it is prepared.

    Returns:
        Keys `add, change, destroy, imported, changes, interrupted, plan_sha256, plan_file_sha256, guard, kept`.

    Raises:
        TerraformError: when Terraform fails.

    Changes:
        Files of the run folder; nothing at AWS.
    """
    variables = root_variables(run) | dict(kept or {})
    _write_root_module(run, variables, adopted=adopt)
    owned = run.terraform.state_addresses()
    adopted, scaled = VOLUME_ADDRESS in owned, SCALING_ADDRESS in owned and "autoscaling" not in variables
    if scaled:  # registered by 62_resize alone: before the cutover it would start the task
        variables["autoscaling"] = wanted_scaling(run) or None
    if (adopted and not adopt) or scaled:
        _write_root_module(run, variables, adopted=adopted or adopt)
    return _plan(run, importing=adopt and not adopted) | {"kept": dict(kept or {})}


def _volume_shape(run: Run) -> dict[str, Any]:
    volume = observe_volume(run)
    settable = volume["volume_type"] in {"gp3", "io1", "io2"}
    return {
        "availability_zone": volume["availability_zone"],
        "size_gib": volume["size_gib"],
        "type": volume["volume_type"],
        "iops": volume["iops"] if settable else None,
        "throughput": volume["throughput_mibps"] if volume["volume_type"] == "gp3" else None,
    }


def _plan(run: Run, *, importing: bool) -> dict[str, Any]:
    started = run.clock.monotonic()
    plan_path = run.terraform.folder / PLAN_NAME
    run.terraform.plan(plan_path)
    document = run.terraform.show_json(plan_path)
    scrub.SECRETS.add_all(planfile.sensitive_texts(document), "sensitive in Terraform's plan")
    summary = planfile.summarize(document)
    run.journal.write("terraform/plan.json", json.dumps(planfile.redact(document), indent=1, sort_keys=True) + "\n")
    volume_id = run.parameters.volume.volume_id
    allow_v1 = driver_of(run).http_tokens == "optional"
    guard = (
        planfile.guard_import_only(document, volume_id)
        if importing
        else planfile.guard(document, allow_imds_v1=allow_v1)
    )
    counts = {"add": summary.add, "change": summary.change, "destroy": summary.destroy, "imported": summary.imported}
    digest = planfile.digest(document)
    duration_s = round(run.clock.monotonic() - started, 3)
    run.journal.append("terraform", action="plan", plan_sha256=digest, duration_s=duration_s, **counts)
    return {
        **counts,
        "changes": [{"address": c.address, "actions": list(c.actions)} for c in summary.changes],
        "interrupted": plan_rules.interrupted(document),
        "plan_sha256": digest,
        "plan_file_sha256": hashlib.sha256(plan_path.read_bytes()).hexdigest(),
        "guard": [check.as_json() for check in guard],
    }


def check_root(facts: Facts) -> Sequence[Check]:
    """Return whether the plan holds nothing that may not be applied.

    Args:
        facts: As `observe_root`.

    Returns:
        The guard's checks.
    """
    return tuple(Check(**check) for check in facts["guard"])


def is_root_reached(facts: Facts) -> bool:
    """Return whether the plan is empty.

    Args:
        facts: As `observe_root`.

    Returns:
        True when Terraform would change nothing.
    """
    return not facts["changes"] and not facts["imported"]


def plan_root(facts: Facts) -> str:
    """Return what apply would do.

    Args:
        facts: As `observe_root`.

    Returns:
        A sentence with counts and the addresses.
    """
    addresses = ", ".join(f"{c['address']} ({'+'.join(c['actions'])})" for c in facts["changes"])
    kept = ", ".join(facts["interrupted"])
    return (
        f"Terraform: {facts['add']} to add, {facts['change']} to change, {facts['destroy']} to destroy, "
        f"{facts['imported']} to import: {addresses or 'nothing'}."
        + (f" Kept, though an apply was interrupted while it created them: {kept}." if kept else "")
    )


def apply_root(run: Run, before: Facts) -> None:
    """Apply the very plan file that was guarded.

    Args:
        run: The open run.
        before: As `observe_root`; its plan is applied.

    Raises:
        TerraformError: when the plan file is not the one that was guarded, or apply fails; it is never retried.

    Changes:
        The target's AWS resources. The binary plan, which holds secrets, is deleted.
    """
    plan_path = run.terraform.folder / PLAN_NAME
    if hashlib.sha256(plan_path.read_bytes()).hexdigest() != before["plan_file_sha256"]:
        raise TerraformError("apply", [f"{plan_path} is not the plan that was guarded; nothing was applied; run again"])
    if before["interrupted"]:
        before = _keep_interrupted(run, before)
    started = run.clock.monotonic()
    try:
        run.terraform.apply(plan_path)
    finally:
        run.journal.remove(f"terraform/{PLAN_NAME}")
    run.journal.append(
        "terraform",
        action="apply",
        plan_sha256=before["plan_sha256"],
        duration_s=round(run.clock.monotonic() - started, 3),
        **{key: before[key] for key in ("add", "change", "destroy", "imported")},
    )


def _keep_interrupted(run: Run, before: Facts) -> dict[str, Any]:
    """Keep what a killed apply was creating, which Terraform would delete and create anew; plan and guard again."""
    for address in before["interrupted"]:
        run.terraform.untaint(address)
    facts = observe_root(run, kept=before["kept"])
    if refused := [check.sentence() for check in check_root(facts) if not check.passed]:
        raise TerraformError("plan", refused)
    return facts


def verify_root(_before: Facts, after: Facts) -> Sequence[Check]:
    """Return whether a new plan is empty.

    Args:
        _before: Facts before the apply.
        after: As `observe_root`, planned again.

    Returns:
        One check.
    """
    return (
        Check(
            "plan-empty-afterwards",
            passed=is_root_reached(after),
            expected="a second plan without any change",
            observed=plan_root(after),
            why="a plan that is never empty hides real drift",
            fix="read terraform/plan.json in the run folder",
        ),
    )


def output(run: Run, name: str) -> str:
    """Return one output of the target's root module.

    Args:
        run: The open run.
        name: Output name.

    Returns:
        Its value.

    Raises:
        JournalError: when this run has not provisioned the target.
    """
    outputs = run.terraform.output_json()
    if name not in outputs:
        raise JournalError(f"Terraform has no output {name!r}; run 10_provision_target with this run_id first")
    return str(outputs[name])
