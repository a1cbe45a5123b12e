"""Read an image that this host has: identity and the parts of its configuration a task inherits. Changes nothing."""

from __future__ import annotations

import json

from prelude import run

CONFIG_KEYS = (
    "User",
    "Entrypoint",
    "Cmd",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Volumes",
    "StopSignal",
    "WorkingDir",
)


def main(arguments: dict) -> dict:
    """Return whether the image is present, and its facts."""
    code, output = run(["docker", "image", "inspect", arguments["image"]], accept=(0, 1))
    found = json.loads(output) if code == 0 else []
    row = found[0] if found else {}
    return {
        "present": bool(found),
        "image_id": row.get("Id", ""),
        "repo_digests": row.get("RepoDigests") or [],
        "architecture": row.get("Architecture", ""),
        "size_bytes": row.get("Size", 0),
        "config": {key: value for key, value in (row.get("Config") or {}).items() if key in CONFIG_KEYS},
    }
