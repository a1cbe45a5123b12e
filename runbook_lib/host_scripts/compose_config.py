"""Read a compose project: its resolved configuration and its containers.

Reads: docker compose config, docker ps, docker inspect. Changes nothing.
"""

from __future__ import annotations

import json

from containers import compose_command, compose_containers
from prelude import run


def main(arguments: dict) -> dict:
    """Return the configuration (a mapping, or YAML text from compose version 1) and the containers' facts."""
    command = compose_command(arguments["project"], arguments["file"])
    facts = {"command": command[:-4], "containers": compose_containers(arguments["project"])}
    if command[0] == "docker":
        facts.update(format="json", config=json.loads(run([*command, "config", "--format", "json"])[1]))
    else:
        facts.update(format="yaml", text=run([*command, "config"])[1])
    return facts
