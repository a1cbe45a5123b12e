"""Read how a container instance booted, to explain why it did not join its cluster.

Reads: cloud-init status, its output log, /etc/ecs/ecs.config, the boot script's status, systemctl is-active, docker
plugin. Changes nothing.
"""

from __future__ import annotations

import json

from containers import plugins
from prelude import Refused, read_text, run

BOOT_LOG = "/var/log/cloud-init-output.log"
SECRET_WORDS = ("AUTH", "PASSWORD", "SECRET", "TOKEN", "KEY")


def main(arguments: dict) -> dict:
    """Return the facts; a part that cannot be read says why, because boot may have stopped anywhere."""
    return {
        "cloud_init": cloud_init(),
        "boot_log": read_text(BOOT_LOG).splitlines()[-int(arguments.get("lines") or 80) :],
        "boot_log_path": BOOT_LOG,
        "ecs_config": ecs_config(),
        "agent": unit_state("ecs"),
        "docker": unit_state("docker"),
        "volume_unit": unit_state("runbook-volume"),
        "storage": status("/run/runbook/status.json"),
        "volume": status("/run/runbook/volume.json"),
        "plugins": known_plugins(),
    }


def status(path: str) -> dict:
    """Return what the boot script, or the volume's unit, left for the next reader; {} when it left nothing."""
    try:
        return json.loads(read_text(path) or "{}")
    except ValueError:
        return {}


def cloud_init() -> dict:
    """Return status, detail and errors as cloud-init tells them."""
    try:
        output = run(["cloud-init", "status", "--long"], accept=(0, 1, 2))[1]
    except Refused as refusal:
        return {"status": "unknown", "detail": refusal.message, "errors": ""}
    found = dict(line.split(":", 1) for line in output.splitlines() if ":" in line)
    return {key: found.get(key, "").strip() for key in ("status", "detail", "errors")}


def ecs_config() -> dict:
    """Return the settings of the ECS agent; {} when the host was not told to join a cluster."""
    pairs = (line.split("=", 1) for line in read_text("/etc/ecs/ecs.config").splitlines() if "=" in line)
    return {key: "(hidden)" if any(word in key for word in SECRET_WORDS) else value for key, value in pairs}


def unit_state(unit: str) -> str:
    """Return systemd's word for a unit, for example `active`."""
    try:
        return run(["systemctl", "is-active", unit], accept=(0, 1, 2, 3, 4))[1].strip()
    except Refused as refusal:
        return refusal.kind


def known_plugins() -> list:
    """Return docker's plugins, none when docker does not answer."""
    try:
        return plugins()
    except Refused:
        return []
