"""``systemctl``, ``cloud-init`` and ``shutdown`` of a simulated host."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from runbook_lib.sandbox.cloud_config import STATUS
from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import Options, read
from runbook_lib.sandbox.processes import CommandResult
from runbook_lib.sandbox.unit_files import full_name
from runbook_lib.sandbox.units import UnitError

INACTIVE, NO_SUCH_UNIT, UNIT_NOT_FOUND = 3, 4, 5
POLL_S = 0.05
UNITS = ("start", "stop", "restart", "enable", "disable", "reenable", "try-restart")


def systemctl(call: Call) -> CommandResult:
    """Answer the verbs for units that a runbook needs."""
    options = read(
        call.arguments, flags=["-q --quiet", "--no-block", "--now", "--no-pager", "--value"], values=["-p --property"]
    )  # fmt: skip
    verb, *names = options.words or ["list-units"]
    if verb == "daemon-reload":
        call.host.units.reload()
        return printed("")
    if verb in QUERIES:
        return QUERIES[verb](call, names, options)
    if verb not in UNITS:
        return failed(f"systemctl: the simulated host does not know {verb!r}")
    results = (_change(call, verb, name, options) for name in names)
    return next((result for result in results if result.exit_code), printed(""))


def _is_active(call: Call, names: list[str], options: Options) -> CommandResult:
    states = [call.host.units.state(name) for name in names]
    text = "" if options.has("--quiet") else "".join(_shown(state) + "\n" for state in states)
    return printed(text, 0 if "active" in states else INACTIVE if set(states) != {"unknown"} else NO_SUCH_UNIT)


def _is_enabled(call: Call, names: list[str], options: Options) -> CommandResult:
    enabled = [call.host.units.is_enabled(name) for name in names]
    text = "" if options.has("--quiet") else "".join("enabled\n" if one else "disabled\n" for one in enabled)
    return printed(text, 0 if any(enabled) else 1)


def _shown(state: str) -> str:
    return "inactive" if state == "unknown" else state


def _show(call: Call, names: list[str], options: Options) -> CommandResult:
    units = call.host.units
    text = ""
    for name in names:
        state = units.state(name)
        facts = {
            "Id": full_name(name),
            "ActiveState": _shown(state),
            "LoadState": "not-found" if state == "unknown" else "loaded",
            "UnitFileState": "enabled" if units.is_enabled(name) else "disabled",
        }
        wanted = [one for text in options.all("--property") for one in text.split(",")] or list(facts)
        text += "".join(
            (f"{facts.get(key, '')}\n" if options.has("--value") else f"{key}={facts.get(key, '')}\n") for key in wanted
        )
    return printed(text)


def _change(call: Call, verb: str, name: str, options: Options) -> CommandResult:
    units = call.host.units
    try:
        if verb in {"enable", "disable", "reenable"}:
            (units.disable if verb == "disable" else units.enable)(name)
            if options.has("--now"):
                return _job(call, "stop" if verb == "disable" else "start", name, options)
            return printed("")
        if verb == "try-restart":
            return _job(call, "restart", name, options) if units.is_active(name) else printed("")
        return _job(call, verb, name, options)
    except UnitError as error:
        return failed(str(error), UNIT_NOT_FOUND if "not found" in str(error) else 1)


def _job(call: Call, verb: str, name: str, options: Options) -> CommandResult:
    """Run a start or stop job. One for ecs waits for the end of user data: from user data it waits for ever."""
    host = call.host
    if verb != "stop" and full_name(name) == "ecs.service" and host.cloud_init in {"not started", "running"}:
        if options.has("--no-block"):
            return printed("")  # the unit is started after cloud-final anyway
        host.world.record("ecs-start-waits-for-user-data", instance_id=host.instance_id)
        while host.cloud_init in {"not started", "running"}:
            if host.off.wait(POLL_S):
                return failed(f"Job for {full_name(name)} canceled.")
    act = {"start": host.units.start, "stop": host.units.stop, "restart": host.units.restart}[verb]
    if options.has("--no-block"):
        threading.Thread(target=_quietly, args=(act, name), daemon=True).start()
    else:
        act(name)
    return printed("")


def _quietly(act: Any, name: str) -> None:
    with suppress(UnitError):
        act(name)


QUERIES = {"is-active": _is_active, "is-enabled": _is_enabled, "show": _show}


def cloud_init(call: Call) -> CommandResult:
    """Answer ``cloud-init status [--long] [--wait] [--format json]``."""
    options = read(call.arguments, flags=["-l --long", "-w --wait"], values=["--format"])
    if options.words != ["status"]:
        return failed("cloud-init: the simulated host knows only: cloud-init status")
    while options.has("--wait") and call.host.cloud_init in {"not started", "running"}:
        if call.host.off.wait(POLL_S):
            break
    path = call.host.real_path("/" + STATUS)
    facts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"status": "not started", "errors": []}
    code = 1 if facts["status"] == "error" else 0
    if options.value("--format") == "json":
        return printed(json.dumps(facts) + "\n", code)
    text = f"status: {facts['status']}\n"
    if options.has("--long"):
        text += f"boot_status_code: enabled-by-generator\nlast_update: {facts.get('last_update', '')}\n"
        text += f"detail: {facts.get('detail', '')}\nerrors: {facts['errors']}\n"
    return printed(text, code)


def shutdown(call: Call) -> CommandResult:
    """Refuse: power is EC2's to switch, so that the API always knows it."""
    del call
    return failed("shutdown: a simulated host is stopped with the EC2 API: stop-instances, reboot-instances")
