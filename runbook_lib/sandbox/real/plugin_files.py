"""What the volume plugin is made of: an almost empty root, its program, and the configuration that Docker reads.

Pure but for the tar file it writes. Source: Docker, "Plugin Config Version 1 of Plugin V2".
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.real.image_files import Layer, tree_layer
from runbook_lib.sandbox.real.plugin_program import MOUNTED
from runbook_lib.sandbox.rexray import DEFAULTS

PROGRAM = Path(__file__).with_name("plugin_program.py")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
FOLDERS = ("usr", "dev", "proc", "sys", "run/docker/plugins", "tmp", MOUNTED.lstrip("/"), "etc")


def layer(target: Path) -> Layer:
    """Write the plugin's root: its program, and places for what is mounted from the host."""
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        for name in FOLDERS:
            (root / name).mkdir(parents=True)
        for name, link in LINKS.items():
            (root / name).symlink_to(link)
        return tree_layer(target, root, {"rexray.py": (PROGRAM.read_text(encoding="utf-8"), 0o644)})


def config() -> dict[str, Any]:
    """Return the plugin's configuration; its settings are REX-Ray's."""
    return {
        "Description": "REX-Ray for Amazon EBS, as the runbook sandbox has it",
        "Documentation": "",
        "Interface": {"Types": ["docker.volumedriver/1.0"], "Socket": "rexray.sock"},
        "Entrypoint": ["/usr/bin/python3", "-I", "-S", "-B", "/rexray.py"],
        "WorkDir": "/",
        "User": {},
        "Network": {"Type": "host"},
        "Linux": {"Capabilities": ["CAP_SYS_ADMIN"], "AllowAllDevices": True, "Devices": None},
        "PropagatedMount": MOUNTED,
        "Mounts": [
            {
                "Name": "usr", "Description": "the host's Python", "Source": "/usr", "Destination": "/usr",
                "Type": "bind", "Options": ["rbind", "ro"], "Settable": None,
            }
        ],
        "Env": [
            {"Name": name, "Description": "", "Value": value, "Settable": ["value"]}
            for name, value in DEFAULTS.items()
        ],
        "Args": {"Name": "", "Description": "", "Value": [], "Settable": None},
        "IpcHost": False,
        "PidHost": False,
    }  # fmt: skip
