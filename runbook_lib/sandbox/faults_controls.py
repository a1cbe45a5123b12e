"""The control paths of faults: ``GET``, ``POST`` and ``DELETE`` below ``/_sandbox/faults``."""

from __future__ import annotations

from typing import Any

from runbook_lib.sandbox.controls import ControlError, ControlRequest, Controls
from runbook_lib.sandbox.faults import Fault, Faults
from runbook_lib.sandbox.faults_catalog import KINDS
from runbook_lib.sandbox.faults_effects import Interference, connect
from runbook_lib.sandbox.faults_happenings import Happenings
from runbook_lib.sandbox.faults_targets import look
from runbook_lib.sandbox.patches import Patched
from runbook_lib.sandbox.server import Application
from runbook_lib.sandbox.transitions import Transitions
from runbook_lib.sandbox.world import World


def register(
    world: World, patched: Patched, application: Application, transitions: Transitions, controls: Controls
) -> None:
    """Connect the faults to everything they can bend, and serve their control paths.

    Args:
        world: Where hosts, volumes and images are.
        patched: The rules of EC2 and SSM.
        application: The server whose calls they can disturb.
        transitions: Runs what happens later.
        controls: The server's registry.
    """
    happenings = Happenings(world)
    faults = Faults(happenings.happen, lambda fault: look(world, fault), happenings.let_go)
    connect(faults, world, patched)
    application.interference = Interference(faults, world, transitions)

    def add(request: ControlRequest) -> dict[str, Any]:
        if request.body.get("dry_run"):
            return faults.check(request.body).shown()
        fault = faults.add(request.body)
        world.record("fault", number=fault.number, name=fault.name, target=fault.target, operation=fault.operation)
        return fault.shown()

    def remove(request: ControlRequest) -> dict[str, Any]:
        number = request.parts["number"]
        if not number.isdecimal():
            raise ControlError(400, f"a fault has a number, got {number!r}. Nothing was changed.")
        return {"removed": _named(faults.remove(int(number)))}

    controls.add("GET", "/_sandbox/faults", lambda _request: {"on": faults.shown(), "known": _known()})
    controls.add("POST", "/_sandbox/faults", add)
    controls.add("DELETE", "/_sandbox/faults/{number}", remove)
    controls.add("DELETE", "/_sandbox/faults", lambda _request: {"removed": [_named(one) for one in faults.clear()]})


def _known() -> dict[str, str]:
    return {kind.name: kind.described for kind in KINDS}


def _named(fault: Fault) -> dict[str, Any]:
    return {"number": fault.number, "name": fault.name, "target": fault.target}
