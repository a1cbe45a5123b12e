"""``docker image``, ``docker volume`` and ``docker plugin``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from runbook_lib.sandbox.commands import docker_json
from runbook_lib.sandbox.commands.call import Call, Command, failed, printed
from runbook_lib.sandbox.commands.options import DOCKER_USAGE, Options, UsageError, read
from runbook_lib.sandbox.commands.templates import render
from runbook_lib.sandbox.containers import EngineError
from runbook_lib.sandbox.processes import CommandResult


def pull(call: Call) -> CommandResult:
    """Answer ``docker pull [-q] IMAGE``."""
    options = read(call.arguments, flags=["-q --quiet"], exit_code=DOCKER_USAGE)
    reference = _one(options)
    present = call.host.engine.image(reference) is not None
    image = call.host.engine.pull(reference)
    status = "Image is up to date for" if present else "Downloaded newer image for"
    return printed(f"Digest: {image.digest}\nStatus: {status} {reference}\n{reference}\n")


def image_rm(call: Call) -> CommandResult:
    """Answer ``docker image rm IMAGE``: refused while a container, running or not, was made of it."""
    reference = _one(read(call.arguments, exit_code=DOCKER_USAGE))
    engine = call.host.engine
    image = engine.image(reference)
    if image is None:
        raise EngineError(f"No such image: {reference}")
    using = next((one for one in engine.containers(all_=True) if one.image_id == image.image_id), None)
    if using is not None:
        raise EngineError(
            f'conflict: unable to remove repository reference "{reference}" (must force) - '
            f"container {using.id[:12]} is using its referenced image {image.image_id[7:19]}"
        )
    engine.drop(image)
    return printed(f"Untagged: {image.reference}\nDeleted: {image.image_id}\n")


def images(call: Call) -> CommandResult:
    """Answer ``docker images [-q] [--format F]``."""
    options = read(
        call.arguments, flags=["-q --quiet", "-a --all", "--no-trunc"], values=["--format"], exit_code=DOCKER_USAGE
    )
    lines: list[dict[str, Any]] = [
        {"ID": one.image_id if options.has("--no-trunc") else one.image_id[7:19], "Repository": one.repository,
         "Tag": one.tag, "Digest": one.digest, "Size": f"{one.size_bytes / 1e6:.1f}MB"}
        for one in call.host.engine.images()
    ]  # fmt: skip
    if options.has("--quiet"):
        return printed("".join(f"{line['ID']}\n" for line in lines))
    template = options.value("--format") or "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}"
    return printed("".join(render(template, line) + "\n" for line in lines))


def image_inspect(call: Call) -> CommandResult:
    """Answer ``docker image inspect IMAGE...``."""
    engine = call.host.engine

    def facts(name: str) -> dict[str, Any]:
        image = engine.image(name)
        if image is None:
            raise EngineError(f"No such image: {name}")
        return docker_json.image(image)

    return _inspect(call, facts)


def volume_ls(call: Call) -> CommandResult:
    """Answer ``docker volume ls [-q] [--format F]``."""
    options = read(call.arguments, flags=["-q --quiet"], values=["--format"], exit_code=DOCKER_USAGE)
    lines = call.host.engine.docker_volumes.all()
    if options.has("--quiet"):
        return printed("".join(f"{line['Name']}\n" for line in lines))
    template = options.value("--format") or "{{.Driver}} {{.Name}}"
    return printed("".join(render(template, line) + "\n" for line in lines))


def volume_inspect(call: Call) -> CommandResult:
    """Answer ``docker volume inspect NAME...``."""
    return _inspect(call, call.host.engine.volume_inspect)


def volume_create(call: Call) -> CommandResult:
    """Answer ``docker volume create [-d DRIVER] [-o K=V]... [NAME]``."""
    options = read(call.arguments, values=["-d --driver", "-o --opt", "--label"], exit_code=DOCKER_USAGE)
    given = dict(text.split("=", 1) for text in options.all("--opt"))
    facts = call.host.engine.volume_create(_one(options), options.value("--driver", "local"), given)
    return printed(f"{facts['Name']}\n")


def volume_rm(call: Call) -> CommandResult:
    """Answer ``docker volume rm NAME...``; with a plugin's volume this deletes the EBS volume."""
    options = read(call.arguments, flags=["-f --force"], exit_code=DOCKER_USAGE)
    return _each(options, call.host.engine.volume_remove)


def volume_prune(call: Call) -> CommandResult:
    """Answer ``docker volume prune -f [-a]``: local volumes only, whatever plugins hold."""
    options = read(call.arguments, flags=["-f --force", "-a --all"], exit_code=DOCKER_USAGE)
    if not options.has("--force"):
        return failed("docker volume prune: give --force, there is no terminal to ask")
    engine = call.host.engine
    removed = []
    for facts in engine.docker_volumes.all():
        nameless = len(facts["Name"]) == 64  # noqa: PLR2004 - Docker's generated names
        if facts["Driver"] == "local" and (options.has("--all") or nameless):
            try:
                engine.volume_remove(facts["Name"])
                removed.append(facts["Name"])
            except EngineError:
                continue
    return printed("".join(f"{name}\n" for name in removed) + "Total reclaimed space: 0B\n")


def plugin_ls(call: Call) -> CommandResult:
    """Answer ``docker plugin ls [-q] [--no-trunc] [--format F]``."""
    options = read(call.arguments, flags=["-q --quiet", "--no-trunc"], values=["--format"], exit_code=DOCKER_USAGE)
    lines: list[dict[str, Any]] = [
        {"ID": one.id if options.has("--no-trunc") else one.id[:12], "Name": one.name, "Enabled": one.enabled,
         "Description": "REX-Ray for Amazon EBS", "PluginReference": docker_json.plugin(one)["PluginReference"]}
        for one in call.host.engine.plugins()
    ]  # fmt: skip
    if options.has("--quiet"):
        return printed("".join(f"{line['ID']}\n" for line in lines))
    template = options.value("--format") or "{{.ID}} {{.Name}} {{.Description}} {{.Enabled}}"
    return printed("".join(render(template, line) + "\n" for line in lines))


def plugin_inspect(call: Call) -> CommandResult:
    """Answer ``docker plugin inspect PLUGIN...``."""
    registry = call.host.engine.plugin_registry

    def facts(name: str) -> dict[str, Any]:
        try:
            return docker_json.plugin(registry.find(name))
        except EngineError as error:
            raise EngineError(f"No such plugin: {name}") from error

    return _inspect(call, facts)


def plugin_install(call: Call) -> CommandResult:
    """Answer ``docker plugin install --grant-all-permissions [--disable] [--alias A] PLUGIN [K=V]...``."""
    options = read(
        call.arguments, flags=["--grant-all-permissions", "--disable", "--disable-content-trust"], values=["--alias"],
        exit_code=DOCKER_USAGE,
    )  # fmt: skip
    if not options.has("--grant-all-permissions"):
        return failed("docker plugin install: give --grant-all-permissions, there is no terminal to ask")
    if not options.words:
        return failed('"docker plugin install" requires at least 1 argument.')
    reference, *settings = options.words
    engine = call.host.engine
    enable = not options.has("--disable")
    plugin = engine.plugin_install(reference, options.value("--alias"), _settings(settings), enable=enable)
    return printed(f"{reference}: Pulling\nInstalled plugin {plugin.name}\n")


def plugin_set(call: Call) -> CommandResult:
    """Answer ``docker plugin set PLUGIN K=V...``."""
    options = read(call.arguments, exit_code=DOCKER_USAGE)
    if len(options.words) < 2:  # noqa: PLR2004 - plugin and setting
        return failed('"docker plugin set" requires at least 2 arguments.')
    call.host.engine.plugin_set(options.words[0], _settings(options.words[1:]))
    return printed("")


def plugin_enable(call: Call) -> CommandResult:
    """Answer ``docker plugin enable [--timeout S] PLUGIN``."""
    options = read(call.arguments, values=["--timeout"], exit_code=DOCKER_USAGE)
    call.host.engine.plugin_enable(_one(options))
    return printed(f"{_one(options)}\n")


def plugin_disable(call: Call) -> CommandResult:
    """Answer ``docker plugin disable [-f] PLUGIN``."""
    options = read(call.arguments, flags=["-f --force"], exit_code=DOCKER_USAGE)
    call.host.engine.plugin_disable(_one(options), force=options.has("--force"))
    return printed(f"{_one(options)}\n")


def plugin_rm(call: Call) -> CommandResult:
    """Answer ``docker plugin rm [-f] PLUGIN...``."""
    options = read(call.arguments, flags=["-f --force"], exit_code=DOCKER_USAGE)
    force = options.has("--force")
    return _each(options, lambda name: call.host.engine.plugin_remove(name, force=force))


def _inspect(call: Call, facts: Callable[[str], dict[str, Any]]) -> CommandResult:
    options = read(call.arguments, values=["-f --format"], exit_code=DOCKER_USAGE)
    found: list[dict[str, Any]] = []
    errors = ""
    for name in options.words:
        try:
            found.append(facts(name))
        except EngineError as error:
            errors += f"Error response from daemon: {error}\n"
    template = options.value("--format")
    text = "".join(render(template, one) + "\n" for one in found) if template else json.dumps(found, indent=4) + "\n"
    return CommandResult(text, errors, 1 if errors else 0)


def _each(options: Options, act: Callable[[str], object]) -> CommandResult:
    done, errors = "", ""
    for name in options.words:
        try:
            act(name)
            done += name + "\n"
        except EngineError as error:
            errors += f"Error response from daemon: {error}\n"
    return CommandResult(done, errors, 1 if errors else 0)


def _settings(words: list[str]) -> dict[str, str]:
    if wrong := [word for word in words if "=" not in word]:
        raise UsageError(f"{wrong[0]}: a setting is KEY=VALUE", DOCKER_USAGE)
    return dict(word.split("=", 1) for word in words)


def _one(options: Options) -> str:
    if len(options.words) != 1:
        raise UsageError("exactly 1 argument is needed", DOCKER_USAGE)
    return options.words[0]


IMAGE_COMMANDS: dict[str, Command] = {"ls": images, "inspect": image_inspect, "pull": pull, "rm": image_rm}
VOLUME_COMMANDS: dict[str, Command] = {
    "ls": volume_ls,
    "inspect": volume_inspect,
    "create": volume_create,
    "rm": volume_rm,
    "prune": volume_prune,
}
PLUGIN_COMMANDS: dict[str, Command] = {
    "ls": plugin_ls,
    "inspect": plugin_inspect,
    "install": plugin_install,
    "set": plugin_set,
    "enable": plugin_enable,
    "disable": plugin_disable,
    "rm": plugin_rm,
}
