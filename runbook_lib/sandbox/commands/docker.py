"""``docker``: containers. Other objects are in ``docker_objects``, projects in ``docker_compose``."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable
from typing import Any

from runbook_lib.sandbox.commands import docker_compose, docker_json, docker_objects, docker_run
from runbook_lib.sandbox.commands.call import Call, Command, failed, printed
from runbook_lib.sandbox.commands.options import DOCKER_USAGE, UsageError, read
from runbook_lib.sandbox.commands.templates import render
from runbook_lib.sandbox.containers import Container, EngineError
from runbook_lib.sandbox.processes import CommandResult

VERSION = "25.0.16"
CANNOT_RUN = 126


def run(call: Call) -> CommandResult:
    """Run one docker command."""
    if not call.arguments:
        return failed("docker: a command is needed")
    name = call.arguments[0]
    if name in {"container", "image", "volume", "plugin", "compose"}:
        return _group(name, call.rest())
    command = COMMANDS.get(name)
    if command is None:
        return failed(f"docker: '{name}' is not a docker command that the simulated host knows.")
    return _guarded(command, call.rest())


def _group(name: str, call: Call) -> CommandResult:
    if name == "compose":
        return _guarded(docker_compose.run, call)
    commands = {
        "container": {**COMMANDS, "ls": ps},
        "image": docker_objects.IMAGE_COMMANDS,
        "volume": docker_objects.VOLUME_COMMANDS,
        "plugin": docker_objects.PLUGIN_COMMANDS,
    }[name]
    word = call.arguments[0] if call.arguments else ""
    if word not in commands:
        return failed(f"docker {name}: the simulated host does not know {word!r}")
    return _guarded(commands[word], call.rest())


def _guarded(command: Command, call: Call) -> CommandResult:
    if not call.host.engine.active:
        return failed(
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
        )
    try:
        return command(call)
    except EngineError as error:
        return failed(f"Error response from daemon: {error}")


def info(call: Call) -> CommandResult:
    """Answer ``docker info [--format F]``."""
    options = read(call.arguments, values=["-f --format"], exit_code=DOCKER_USAGE)
    engine = call.host.engine
    containers = engine.containers()
    facts: dict[str, Any] = {
        "ID": call.host.instance_id,
        "Containers": len(containers),
        "ContainersRunning": sum(one.is_alive for one in containers),
        "Images": len(engine.images()),
        "Driver": "overlay2",
        "DockerRootDir": "/var/lib/docker",
        "ServerVersion": VERSION,
        "OperatingSystem": "Amazon Linux 2023 (simulated)",
        "OSType": "linux",
        "Architecture": call.host.launch.architecture,
        "Name": call.host.hostname,
        "Plugins": {"Volume": ["local"], "Log": ["json-file"]},
        "LiveRestoreEnabled": False,
    }
    if options.value("--format"):
        return printed(render(options.value("--format"), facts) + "\n")
    return printed("".join(f"{key}: {value}\n" for key, value in facts.items()))


def version(call: Call) -> CommandResult:
    """Answer ``docker version [--format F]``."""
    options = read(call.arguments, values=["-f --format"], exit_code=DOCKER_USAGE)
    facts = {"Client": {"Version": VERSION}, "Server": {"Version": VERSION, "ApiVersion": "1.44"}}
    if options.value("--format"):
        return printed(render(options.value("--format"), facts) + "\n")
    return printed(f"Client:\n Version: {VERSION}\nServer:\n Version: {VERSION}\n")


def ps(call: Call) -> CommandResult:
    """Answer ``docker ps [-a] [-q] [--no-trunc] [--filter K=V]... [--format F]``."""
    options = read(
        call.arguments, flags=["-a --all", "-q --quiet", "--no-trunc"], values=["-f --filter", "--format"],
        exit_code=DOCKER_USAGE,
    )  # fmt: skip
    _no_words(options.words, "docker ps")
    wanted = [_filter(text) for text in options.all("--filter")]
    by_state = any(text.startswith("status=") for text in options.all("--filter"))
    containers = call.host.engine.containers(all_=options.has("--all") or by_state)
    found = [one for one in containers if all(test(one) for test in wanted)]
    lines = [docker_json.container_line(one) for one in found]
    if options.has("--no-trunc"):
        lines = [{**line, "ID": one.id} for line, one in zip(lines, found, strict=True)]
    if options.has("--quiet"):
        return printed("".join(f"{line['ID']}\n" for line in lines))
    template = options.value("--format")
    if template:
        return printed("".join(render(template, line) + "\n" for line in lines))
    return printed(table(lines, ("ID", "Image", "Status", "Ports", "Names")))


def table(lines: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Return lines as a table with a heading."""
    rows = [[column.upper() for column in columns], *[[str(line[column]) for column in columns] for line in lines]]
    widths = [max(len(row[number]) for row in rows) for number in range(len(columns))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + "\n" for row in rows
    )


def _filter(text: str) -> Callable[[Container], bool]:
    key, _, value = text.partition("=")
    if key == "label":
        name, sign, wanted = value.partition("=")
        return lambda one: name in one.spec.labels and (not sign or one.spec.labels[name] == wanted)
    tests: dict[str, Callable[[Container], bool]] = {
        "name": lambda one: value in one.name,
        "id": lambda one: one.id.startswith(value),
        "status": lambda one: one.status == value,
        "health": lambda one: one.health == value,
        "volume": lambda one: any(value in {mount.source, mount.target} for mount in one.spec.mounts),
        "publish": lambda one: any(str(outer) == value.partition("/")[0] for outer, _ in one.spec.ports),
    }
    if key not in tests:
        raise UsageError(f"invalid filter '{key}' (the simulated host knows {', '.join(['label', *tests])})")
    return tests[key]


def inspect(call: Call) -> CommandResult:
    """Answer ``docker inspect [--type container|image|volume|plugin] [--format F] NAME...``."""
    options = read(call.arguments, flags=["-s --size"], values=["-f --format", "--type"], exit_code=DOCKER_USAGE)
    kinds = [options.value("--type")] if options.value("--type") else ["container", "image", "volume", "plugin"]
    found: list[dict[str, Any]] = []
    errors = ""
    for word in options.words:
        facts = next((one for kind in kinds if (one := _inspected(call, kind, word)) is not None), None)
        if facts is None:
            what = "object" if len(kinds) > 1 else kinds[0]
            errors += f"Error: No such {what}: {word}\n"
        else:
            found.append(facts)
    template = options.value("--format")
    text = "".join(render(template, one) + "\n" for one in found) if template else json.dumps(found, indent=4) + "\n"
    return CommandResult(text, errors, 1 if errors else 0)


def _inspected(call: Call, kind: str, name: str) -> dict[str, Any] | None:
    engine = call.host.engine
    try:
        if kind == "container":
            return docker_json.container(engine, engine.inspect(name))
        if kind == "image":
            image = engine.image(name)
            return None if image is None else docker_json.image(image)
        if kind == "plugin":
            return docker_json.plugin(engine.plugin_registry.find(name))
        return engine.volume_inspect(name)
    except EngineError:
        return None


def logs(call: Call) -> CommandResult:
    """Answer ``docker logs [--tail N] CONTAINER``."""
    options = read(call.arguments, values=["-n --tail"], exit_code=DOCKER_USAGE)
    lines = call.host.engine.logs(_one(options.words, "docker logs")).splitlines(keepends=True)
    tail = options.value("--tail", "all")
    return printed("".join(lines if tail == "all" else lines[len(lines) - min(len(lines), int(tail)) :]))


def exec_(call: Call) -> CommandResult:
    """Answer ``docker exec [-i] [-e K=V] [-w DIR] CONTAINER COMMAND...``."""
    options = read(
        call.arguments, flags=["-i --interactive"], values=["-e --env", "-w --workdir"], stop_at_word=True,
        exit_code=DOCKER_USAGE,
    )  # fmt: skip
    if len(options.words) < 2:  # noqa: PLR2004 - container and command
        return failed('"docker exec" requires at least 2 arguments.')
    env = dict(text.split("=", 1) for text in options.all("--env") if "=" in text)
    name, *argv = options.words
    workdir = options.value("--workdir")
    try:
        return call.host.engine.exec(name, argv, env=env, stdin=call.stdin, workdir=workdir)
    except EngineError as error:
        code = 127 if "not found" in str(error) else CANNOT_RUN if "OCI runtime" in str(error) else 1
        return failed(f"Error response from daemon: {error}", code)


def _each(names: list[str], act: Callable[[str], object]) -> CommandResult:
    """Do something with each container, print what worked and collect what did not."""
    done, errors = "", ""
    for name in names:
        try:
            act(name)
            done += name + "\n"
        except EngineError as error:
            errors += f"Error response from daemon: {error}\n"
    return CommandResult(done, errors, 1 if errors else 0)


def start(call: Call) -> CommandResult:
    """Answer ``docker start CONTAINER...``."""
    options = read(call.arguments, exit_code=DOCKER_USAGE)
    return _each(options.words, call.host.engine.start)


def stop(call: Call) -> CommandResult:
    """Answer ``docker stop [-t S] CONTAINER...``."""
    options = read(call.arguments, values=["-t --time", "--timeout --timeout"], exit_code=DOCKER_USAGE)
    text = options.value("--time") or options.value("--timeout")
    timeout_s = float(text) if text else None
    return _each(options.words, lambda name: call.host.engine.stop(name, timeout_s))


def restart(call: Call) -> CommandResult:
    """Answer ``docker restart [-t S] CONTAINER...``."""
    options = read(call.arguments, values=["-t --time"], exit_code=DOCKER_USAGE)
    timeout_s = float(options.value("--time")) if options.value("--time") else None

    def again(name: str) -> None:
        call.host.engine.stop(name, timeout_s)
        call.host.engine.start(name)

    return _each(options.words, again)


def kill(call: Call) -> CommandResult:
    """Answer ``docker kill [-s SIGNAL] CONTAINER...``."""
    options = read(call.arguments, values=["-s --signal"], exit_code=DOCKER_USAGE)
    text = options.value("--signal", "KILL")
    number = int(text) if text.isdigit() else int(getattr(signal, "SIG" + text.removeprefix("SIG")))
    return _each(options.words, lambda name: call.host.engine.kill(name, number))


def rm(call: Call) -> CommandResult:
    """Answer ``docker rm [-f] [-v] CONTAINER...``."""
    options = read(call.arguments, flags=["-f --force", "-v --volumes"], exit_code=DOCKER_USAGE)
    force, volumes = options.has("--force"), options.has("--volumes")
    return _each(options.words, lambda name: call.host.engine.remove(name, force=force, with_anonymous=volumes)
    )  # fmt: skip


def update(call: Call) -> CommandResult:
    """Answer ``docker update --restart=POLICY CONTAINER...``."""
    options = read(call.arguments, values=["--restart"], exit_code=DOCKER_USAGE)
    policy = options.value("--restart")
    name, _, count = policy.partition(":")
    if name not in {"no", "always", "unless-stopped", "on-failure"} or (count and name != "on-failure"):
        return failed(f"Error response from daemon: invalid restart policy: unknown policy '{policy}'")
    return _each(options.words, lambda one: call.host.engine.update_restart(one, policy))


def _one(words: list[str], what: str) -> str:
    if len(words) != 1:
        raise UsageError(f'"{what}" requires exactly 1 argument.')
    return words[0]


def _no_words(words: list[str], what: str) -> None:
    if words:
        raise UsageError(f'"{what}" accepts no arguments.')


COMMANDS: dict[str, Command] = {
    "info": info,
    "version": version,
    "ps": ps,
    "inspect": inspect,
    "logs": logs,
    "exec": exec_,
    "run": docker_run.run,
    "start": start,
    "stop": stop,
    "restart": restart,
    "kill": kill,
    "rm": rm,
    "update": update,
    "pull": docker_objects.pull,
    "images": docker_objects.images,
}
