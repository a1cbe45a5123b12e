"""Every step that checks something, performed where its precondition is broken: refused, and the world as it was.

Nothing has to be prepared for it: on an estate that nobody migrated yet, most steps lack what an earlier one makes. The
others get parameters that do not fit. A new step is here without being named.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

import runbook_lib
from runbook_lib.errors import RunbookError
from runbook_lib.procedures import rehearse_on_clone
from runbook_lib.steps import no_checks, perform
from tests.world_picture import take_picture

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
NOWHERE = {"source__instance_id": "i-0123456789abcdef0"}
BROKEN = {
    "verify-identity": {"aws__account_id": "999999999999"},
    "inspect-instance": {"volume__volume_id": "vol-0123456789abcdef0"},
    "inspect-filesystem": {"volume__mount_path": "/mnt/other"},
    "inspect-compose": {"source__compose_file": "/opt/guestbook/other.yaml"},
    "inspect-writers": NOWHERE,
    "map-container": {"source__compose_file": "/opt/guestbook/other.yaml"},
    "create-hot-snapshot": {"volume__volume_id": "vol-0123456789abcdef0"},
    "withhold-volume": {"volume__volume_id": "vol-0123456789abcdef0"},
    **{
        f"{verb}-snapshot-before-{move}": {"volume__volume_id": "vol-0123456789abcdef0"}
        for verb in ("create", "complete")
        for move in ("change", "patch", "deployment")
    },
    **{
        f"{verb}-snapshot-before-resize": {"volume__volume_id": "vol-0123456789abcdef0", "volume__size_gib": 16}
        for verb in ("create", "complete")
    },
    "modify-volume": {"volume__size_gib": 1},
    "grow-filesystem": {"volume__size_gib": 16},
    "scale-tasks": {"target__autoscaling": {"max_tasks": 2}},
    "take-hot-manifest": NOWHERE,
    "stop-source-service": NOWHERE,
    "check-way-back": NOWHERE,
    "attach-volume-to-source": NOWHERE,
    "mount-volume-on-source": NOWHERE,
    "start-source-service": NOWHERE,
    "verify-source-data": NOWHERE,
}
"""Parameters that break a precondition of a step which would have nothing against an estate as it is."""

ELSEWHERE = {
    # without a forced detach it has nothing to do, and is skipped
    "check-filesystem": "tests/migration/test_force_detach.py::test_a_damaged_filesystem_is_not_mounted",
    # only a service that reads its volume can be scaled
    "stop-target-service": "tests/procedures/test_release_target.py::test_nobody_is_stopped_whom_a_scaling_would_start",
}
"""Steps whose precondition cannot be broken cheaply, and the test that breaks it."""


def checking_steps():
    """Return every step of every procedure that checks something."""
    names = [path.stem.split("_", 1)[1] for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    procedures = [importlib.import_module(f"runbook_lib.procedures.{name}") for name in (*names, "force_detach")]
    return [step for procedure in procedures for step in procedure.STEPS if step.check is not no_checks]


STEPS = {step.step_id: step for step in checking_steps()}
REHEARSED = {step.step_id for step in rehearse_on_clone.STEPS}


@pytest.fixture(scope="module")
def world(sandbox):
    """Return the sandbox at rest with what was last seen of it; one picture serves two tests."""
    sandbox.control("POST", "/_sandbox/client", {"running": False})
    return {"sandbox": sandbox, "seen": take_picture(sandbox)}


@pytest.fixture
def open_run(sandbox, tmp_path):
    """Return a function that opens an executing run with some parameters changed."""
    opened = []

    def open_one(changes):
        document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
        document["migration"]["archive"] = {"directory": str(tmp_path / "runs")}
        for dotted, value in changes.items():
            section, key = dotted.split("__")
            document["migration"][section][key] = value
        file = tmp_path / "parameters.yaml"
        file.write_text(yaml.safe_dump(document), "utf-8")
        opened.append(runbook_lib.open_run(str(file), execute=True, reason="test"))
        return opened[-1]

    yield open_one
    for run in opened:
        run.close()


@pytest.mark.parametrize("step_id", [step_id for step_id in STEPS if step_id not in ELSEWHERE.keys() | REHEARSED])
def test_a_step_that_refuses_changes_nothing(world, open_run, step_id):
    """It ends with 3 before its act, its record says that nothing changed, and nothing did."""
    refuses(world, open_run, step_id)


@pytest.mark.drivers("rexray")  # with host_mount they have nothing to do, and are skipped
@pytest.mark.parametrize("step_id", [step_id for step_id in STEPS if step_id in REHEARSED])
def test_a_step_of_the_rehearsal_that_refuses_changes_nothing(world, open_run, step_id):
    """The same, where there is something to rehearse."""
    refuses(world, open_run, step_id)


def refuses(world, open_run, step_id):
    """Perform one step; check that it was refused, and that the world is what was last seen of it."""
    run = open_run(BROKEN.get(step_id, {}))
    with pytest.raises(RunbookError) as refused:
        perform(STEPS[step_id], run)
    assert refused.value.exit_code == 3, refused.value
    (event,) = run.journal.find("step")
    assert (event.fields["status"], event.fields["error"]["changed"]) == ("failed", "no")
    before, world["seen"] = world["seen"], take_picture(world["sandbox"])
    assert before.differences(world["seen"]) == []


def test_what_is_broken_elsewhere_is_broken_there():
    """Each step that is left out here names a test that is there, and is a step still."""
    assert (BROKEN.keys() | ELSEWHERE.keys()) - STEPS.keys() == set()
    for reference in ELSEWHERE.values():
        file, name = reference.split("::")
        assert re.search(rf"(?m)^def {name}\(", (ROOT / file).read_text("utf-8"))
