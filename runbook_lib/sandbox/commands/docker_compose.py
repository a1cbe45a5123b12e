"""``docker compose``: a project's containers, made and found by their labels as Compose v2 does."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.compose import ComposeError, load
from runbook_lib.sandbox.commands.compose_spec import checked, spec_of
from runbook_lib.sandbox.commands.options import DOCKER_USAGE, Options, read
from runbook_lib.sandbox.containers import Container, EngineError
from runbook_lib.sandbox.operating_system import key_values
from runbook_lib.sandbox.processes import CommandResult

VERSION = "2.24.5"
FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
LABEL = "com.docker.compose."


@dataclass(frozen=True)
class Project:
    """A compose project on a host.

    Args:
        call: The command that asked.
        config: Its resolved form.
        file: Path of its file.
    """

    call: Call
    config: dict[str, Any]
    file: str

    def services(self, named: Iterable[str] = ()) -> list[str]:
        """Return services in the order in which they depend on each other.

        Raises:
            ComposeError: A named service does not exist.
        """
        ordered: list[str] = []

        def add(name: str) -> None:
            if name not in self.config["services"]:
                raise ComposeError(f"no such service: {name}")
            for other in self.config["services"][name].get("depends_on") or {}:
                add(other)
            if name not in ordered:
                ordered.append(name)

        for name in list(named) or sorted(self.config["services"]):
            add(name)
        return ordered

    def containers(self, named: Iterable[str] = ()) -> list[Container]:
        """Return the project's containers, of some services or all."""
        wanted = set(named)
        if unknown := wanted - set(self.config["services"]):
            raise ComposeError(f"no such service: {min(unknown)}")
        labels = [(one, one.spec.labels) for one in self.call.host.engine.containers()]
        return [
            one
            for one, label in labels
            if label.get(LABEL + "project") == self.config["name"]
            and (not wanted or label.get(LABEL + "service") in wanted)
        ]


def run(call: Call) -> CommandResult:
    """Run one ``docker compose`` command."""
    options = read(
        call.arguments, values=["-p --project-name", "-f --file", "--project-directory"], stop_at_word=True,
        exit_code=DOCKER_USAGE,
    )  # fmt: skip
    name, *rest = options.words or [""]
    if name == "version":
        given = read(rest, flags=["--short"], exit_code=DOCKER_USAGE)
        return printed(f"{VERSION}\n" if given.has("--short") else f"Docker Compose version v{VERSION}\n")
    command = COMMANDS.get(name)
    if command is None:
        return failed(f"docker compose: the simulated host does not know {name!r}")
    try:
        return command(_project(call, options), rest)
    except (ComposeError, EngineError) as error:
        return failed(str(error) if isinstance(error, ComposeError) else f"Error response from daemon: {error}")


def _project(call: Call, options: Options) -> Project:
    given = options.all("--file")
    if len(given) > 1:
        raise ComposeError("the simulated host reads one compose file")
    folder = options.value("--project-directory") or call.cwd
    candidates = [posixpath.join(call.cwd, given[0])] if given else [posixpath.join(folder, name) for name in FILES]
    file = next((path for path in candidates if call.host.real_path(path).is_file()), "")
    if not file:
        raise ComposeError(
            f"open {candidates[0]}: no such file or directory" if given else "no configuration file provided: not found"
        )
    dotenv = call.host.real_path(posixpath.join(posixpath.dirname(file), ".env"))
    variables = key_values(dotenv.read_text(encoding="utf-8")) if dotenv.is_file() else {}
    text = call.host.real_path(file).read_text(encoding="utf-8")
    config = load(text, file=file, project=options.value("--project-name"), variables=variables)
    return Project(call, config, file)


def config(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``config [--format json] [-q] [--services]``."""
    options = read(arguments, flags=["-q --quiet", "--services"], values=["--format"], exit_code=DOCKER_USAGE)
    if options.has("--services"):
        return printed("".join(f"{name}\n" for name in sorted(project.config["services"])))
    if options.has("--quiet"):
        return printed("")
    if options.value("--format") != "json":
        return failed("docker compose config: the simulated host answers --format json only")
    return printed(json.dumps(project.config, indent=2) + "\n")


def ps(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``ps [-a] [-q] [--format json] [SERVICE...]``."""
    options = read(arguments, flags=["-a --all", "-q --quiet"], values=["--format"], exit_code=DOCKER_USAGE)
    found = [one for one in project.containers(options.words) if options.has("--all") or one.is_alive]
    if options.has("--quiet"):
        return printed("".join(f"{one.id}\n" for one in found))
    lines = [_line(one) for one in found]
    if options.value("--format") == "json":
        return printed("".join(json.dumps(line) + "\n" for line in lines))
    return printed("".join(f"{line['Name']}  {line['Image']}  {line['Service']}  {line['State']}\n" for line in lines))


def _line(one: Container) -> dict[str, Any]:
    health = "" if one.health == "none" or one.status != "running" else one.health
    return {
        "ID": one.id,
        "Name": one.name,
        "Image": one.image,
        "Project": one.spec.labels[LABEL + "project"],
        "Service": one.spec.labels[LABEL + "service"],
        "State": one.status,
        "Health": health,
        "ExitCode": one.exit_code,
        "Publishers": [
            {"URL": "0.0.0.0", "TargetPort": inner, "PublishedPort": outer, "Protocol": "tcp"}
            for outer, inner in one.spec.ports
        ],
    }


def up(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``up -d [--no-build] [--no-recreate | --force-recreate] [--no-deps] [SERVICE...]``."""
    options = read(
        arguments, flags=["-d --detach", "--no-build", "--no-recreate", "--force-recreate", "--no-deps"],
        exit_code=DOCKER_USAGE,
    )  # fmt: skip
    if not options.has("--detach"):
        return failed("docker compose up: the simulated host starts projects in the background only; add --detach")
    lines = []
    names = options.words if options.has("--no-deps") else project.services(options.words)
    for name in names:
        checked(name, project.config["services"][name])
    for name in names:
        keep, renew = options.has("--no-recreate"), options.has("--force-recreate")
        lines.append(_up(project, name, keep=keep, renew=renew))
    return CommandResult("", "".join(lines), 0)


def _up(project: Project, name: str, *, keep: bool, renew: bool) -> str:
    engine = project.call.host.engine
    service = project.config["services"][name]
    digest = hashlib.sha256(json.dumps(service, sort_keys=True).encode()).hexdigest()
    existing = next(iter(project.containers([name])), None)
    if existing is not None and (renew or (not keep and existing.spec.labels.get(LABEL + "config-hash") != digest)):
        engine.stop(existing.id)
        engine.remove(existing.id)
        existing = None
    if existing is None:
        spec = spec_of(project.config, name, project.file, digest)
        if engine.image(spec.image) is None:
            engine.pull(spec.image)
        existing = engine.create(spec)
    engine.start(existing.id)
    return f" Container {existing.name}  Started\n"


def down(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``down [-v] [-t S]``: stop and remove containers; with ``-v`` the project's volumes too."""
    options = read(
        arguments, flags=["-v --volumes", "--remove-orphans"], values=["-t --timeout"], exit_code=DOCKER_USAGE
    )  # fmt: skip
    engine = project.call.host.engine
    timeout_s = float(options.value("--timeout")) if options.value("--timeout") else None
    text = ""
    for one in project.containers():
        engine.stop(one.id, timeout_s)
        engine.remove(one.id, with_anonymous=options.has("--volumes"))
        text += f" Container {one.name}  Removed\n"
    for volume in (project.config.get("volumes") or {}).values() if options.has("--volumes") else ():
        if not volume.get("external"):
            engine.volume_remove(volume["name"])
            text += f" Volume {volume['name']}  Removed\n"
    return CommandResult("", text, 0)


def start(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``start [SERVICE...]``: containers that exist."""
    options = read(arguments, exit_code=DOCKER_USAGE)
    names = project.services(options.words)
    for name in names:
        if not project.containers([name]):
            raise ComposeError(f'service "{name}" has no container to start')
    return _each(project, names, project.call.host.engine.start, "Started")


def stop(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``stop [-t S] [SERVICE...]``."""
    options = read(arguments, values=["-t --timeout"], exit_code=DOCKER_USAGE)
    timeout_s = float(options.value("--timeout")) if options.value("--timeout") else None
    names = options.words or list(reversed(project.services()))
    return _each(project, names, lambda one: project.call.host.engine.stop(one, timeout_s), "Stopped")


def restart(project: Project, arguments: list[str]) -> CommandResult:
    """Answer ``restart [-t S] [SERVICE...]``."""
    stopped = stop(project, arguments)
    options = read(arguments, values=["-t --timeout"], exit_code=DOCKER_USAGE)
    return stopped if stopped.exit_code else start(project, options.words)


def _each(project: Project, names: list[str], act: Callable[[str], None], done: str) -> CommandResult:
    text = ""
    for name in names:
        for one in project.containers([name]):
            act(one.id)
            text += f" Container {one.name}  {done}\n"
    return CommandResult("", text, 0)


COMMANDS: dict[str, Callable[[Project, list[str]], CommandResult]] = {
    "config": config,
    "ps": ps,
    "up": up,
    "down": down,
    "start": start,
    "stop": stop,
    "restart": restart,
}
