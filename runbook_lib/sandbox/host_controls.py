"""The sandbox's control paths for hosts, the writing client and finding the service."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.backends import backend
from runbook_lib.sandbox.controls import ControlError, ControlRequest, Controls

if TYPE_CHECKING:
    from runbook_lib.sandbox.world import World

BAD_REQUEST, NOT_FOUND, GONE = 400, 404, 409
HEAD_PARTS = 4


def add_handlers(world: World, controls: Controls) -> None:
    """Register the handlers.

    Args:
        world: What they act on.
        controls: The server's registry.
    """
    controls.add("POST", "/_sandbox/hosts/{instance_id}/call", lambda request: call_host(world, request))
    controls.add("GET", "/_sandbox/resolve", lambda request: {"addresses": resolve(world, int(request.query["port"]))})
    controls.add(
        "GET", "/_sandbox/client", lambda _request: world.client.facts() if world.client else {"running": False}
    )
    controls.add("POST", "/_sandbox/client", lambda request: run_client(world, request))


def call_host(world: World, request: ControlRequest) -> dict[str, Any]:
    """Run a command on a host: ``{"argv": [...]}`` from outside, ``{"call": base64}`` from a guest's own command.

    Raises:
        ControlError: There is no such host, or the request is not a command.
    """
    try:
        host = world.host(request.parts["instance_id"])
    except LookupError as error:
        raise ControlError(NOT_FOUND, str(error)) from error
    if "call" in request.body:
        _, view, cwd, count, rest = base64.b64decode(request.body["call"]).split(b"\0", HEAD_PARTS)
        *argv, stdin = rest.split(b"\0", int(count))
        words = [one.decode(errors="surrogateescape") for one in argv]
        result = host.answer(words, view.decode(), cwd.decode(errors="surrogateescape"), stdin)
        out, err = _encoded(result.stdout), _encoded(result.stderr)
        head = f"{result.exit_code} {len(out)}\n".encode()
        return {"answer": base64.b64encode(head + out + err).decode()}
    given = request.body.get("argv")
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise ControlError(BAD_REQUEST, 'send {"argv": ["program", "argument", ...]}')
    stdin = base64.b64decode(request.body.get("stdin") or "")
    result = host.run(given, cwd=str(request.body.get("cwd") or "/"), stdin=stdin)
    return {"stdout": result.stdout, "stderr": result.stderr, "exit_code": result.exit_code}


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def resolve(world: World, port: int) -> list[list[Any]]:
    """Return [address, port, container name, instance id] of every running container that users' addresses lead to.

    That is one that publishes the host port; a stand-alone task of ECS does too, but no name and no load balancer
    leads to it.
    """
    return [
        [host.address, port, one.name, host.instance_id]
        for host in sorted(world.hosts.values(), key=lambda host: host.instance_id)
        if host.powered
        for one in host.engine.containers(all_=False)
        if one.status == "running" and port in {outer for outer, _ in one.spec.ports} and not _is_standalone(one)
    ]


def _is_standalone(container: Any) -> bool:
    labels = container.spec.labels
    tasks = backend("ecs").tasks.get(labels.get("com.amazonaws.ecs.cluster", ""), {})
    task = tasks.get(labels.get("com.amazonaws.ecs.task-arn", ""))
    return task is not None and not str(task.group).startswith("service:")


def run_client(world: World, request: ControlRequest) -> dict[str, Any]:
    """Start or stop the writing client: ``{"running": true|false}``."""
    if world.client is None:
        raise ControlError(GONE, "this sandbox has no client")
    (world.client.start if request.body.get("running") else world.client.stop)()
    facts: dict[str, Any] = world.client.facts()
    return facts
