"""``docker run -d``: start a container from the command line."""

from __future__ import annotations

from runbook_lib.sandbox.commands.call import Call, failed, printed
from runbook_lib.sandbox.commands.options import DOCKER_USAGE, Options, UsageError, read
from runbook_lib.sandbox.containers import ContainerSpec, HealthCheck, Mount
from runbook_lib.sandbox.processes import CommandResult
from runbook_lib.sandbox.unit_files import seconds

VALUES = (
    "--name", "-e --env", "-v --volume", "--mount", "-p --publish", "--restart", "--volume-driver", "-l --label",
    "-u --user", "-w --workdir", "--entrypoint", "--stop-timeout", "--network", "-h --hostname", "--health-cmd",
    "--health-interval", "--health-timeout", "--health-retries", "--health-start-period", "--memory", "--ulimit",
)  # fmt: skip


def run(call: Call) -> CommandResult:
    """Answer ``docker run -d [OPTIONS] IMAGE [COMMAND...]``."""
    options = read(
        call.arguments, flags=["-d --detach", "--init"], values=VALUES, stop_at_word=True, exit_code=DOCKER_USAGE
    )
    if not options.words:
        return failed('"docker run" requires at least 1 argument.')
    if not options.has("--detach"):
        return failed(
            "docker run: the simulated host starts containers in the background only; add --detach", DOCKER_USAGE
        )
    return printed(call.host.engine.run(spec(options)).id + "\n")


def spec(options: Options) -> ContainerSpec:
    """Return the container that the options describe."""
    image, *command = options.words
    entrypoint = options.value("--entrypoint")
    mounts = [_short_mount(text, options.value("--volume-driver")) for text in options.all("--volume")]
    mounts += [_long_mount(text) for text in options.all("--mount")]
    return ContainerSpec(
        name=options.value("--name"),
        image=image,
        command=command or None,
        entrypoint=[entrypoint] if entrypoint else None,
        environment=dict(text.split("=", 1) for text in options.all("--env") if "=" in text),
        user=options.value("--user"),
        ports=[_port(text) for text in options.all("--publish")],
        mounts=mounts,
        health_check=_health(options),
        stop_timeout_s=float(options.value("--stop-timeout", "10")),
        restart=options.value("--restart", "no"),
        labels=dict(_pair(text) for text in options.all("--label")),
        network_mode=options.value("--network", "bridge"),
        working_dir=options.value("--workdir"),
        hostname=options.value("--hostname"),
        init=options.has("--init"),
    )


def _short_mount(text: str, driver: str) -> Mount:
    parts = text.split(":")
    if len(parts) not in {2, 3}:
        raise UsageError(f"invalid volume specification: {text!r}", DOCKER_USAGE)
    kind = "bind" if parts[0].startswith("/") else "volume"
    read_only = "ro" in (parts[2].split(",") if len(parts) > 2 else [])  # noqa: PLR2004 - source, target, mode
    return Mount(kind, parts[0], parts[1], driver if kind == "volume" else "", read_only)


def _long_mount(text: str) -> Mount:
    given = dict(_pair(part) for part in text.split(","))
    known = {"type", "source", "src", "target", "dst", "destination", "readonly", "ro", "volume-driver"}
    if unknown := sorted(set(given) - known):
        raise UsageError(f"unexpected key '{unknown[0]}' in '{text}'", DOCKER_USAGE)
    target = given.get("target") or given.get("dst") or given.get("destination") or ""
    read_only = "readonly" in given or "ro" in given
    source = given.get("source") or given.get("src") or ""
    driver = given.get("volume-driver", "")
    return Mount(given.get("type", "volume"), source, target, driver, read_only, create_source=False)


def _port(text: str) -> tuple[int, int]:
    parts = text.removesuffix("/tcp").split(":")
    if len(parts) < 2 or not all(part.isdigit() for part in parts[-2:]):  # noqa: PLR2004 - host and container port
        raise UsageError(f"the simulated host publishes HOST:CONTAINER ports only, got {text!r}", DOCKER_USAGE)
    return int(parts[-2]), int(parts[-1])


def _health(options: Options) -> HealthCheck | None:
    if not options.value("--health-cmd"):
        return None
    return HealthCheck(
        test=("CMD-SHELL", options.value("--health-cmd")),
        interval_s=seconds(options.value("--health-interval"), 30),
        timeout_s=seconds(options.value("--health-timeout"), 30),
        retries=int(options.value("--health-retries", "3")),
        start_period_s=seconds(options.value("--health-start-period"), 0),
    )


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value
