"""The files a fresh Amazon Linux 2023 host has, as far as anyone here looks at them.

Writes below one host's folder, once; later boots only refresh what the kernel would.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts import Host

SYS_VENDOR = "runbook sandbox simulated host"
"""What /sys/class/dmi/id/sys_vendor says; on AWS it is ``Amazon EC2``."""
FOLDERS = (
    "dev", "etc/docker", "etc/ecs", "etc/systemd/system", "home/ec2-user", "mnt", "opt", "root", "run", "srv",
    "tmp", "usr/bin", "usr/lib/systemd/system", "usr/local/bin", "usr/local/sbin", "usr/sbin", "var/lib/cloud",
    "var/lib/docker", "var/lib/ecs", "var/log", "var/tmp", "bin", "sbin",
)  # fmt: skip
_OS_RELEASE = """NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023 ({tier} host of the runbook sandbox)"
"""


def os_release(tier: str) -> str:
    """Return what /etc/os-release says.

    Args:
        tier: `simulated` or `real`.
    """
    return _OS_RELEASE.format(tier=tier)


def install(host: Host) -> bool:
    """Write the files of the operating system.

    Args:
        host: Whose folder.

    Returns:
        Whether this is the instance's first boot.
    """
    first = not (host.root / "etc/os-release").exists()
    _set(host.root, "sys/class/dmi/id/sys_vendor", SYS_VENDOR + "\n")
    _set(host.root, "sys/class/dmi/id/product_name", host.launch.instance_type + "\n")
    _set(host.root, "sys/class/dmi/id/board_asset_tag", host.instance_id + "\n")
    _set(host.root, "proc/sys/kernel/random/boot_id", f"{uuid.uuid4()}\n")
    if not first:
        return False
    for folder in FOLDERS:
        (host.root / folder).mkdir(parents=True, exist_ok=True)
    (host.root / "tmp").chmod(0o1777)
    (host.root / "var/tmp").chmod(0o1777)
    _set(host.root, "etc/hostname", host.hostname + "\n")
    _set(host.root, "etc/hosts", f"127.0.0.1 localhost\n{host.address} {host.hostname}\n")
    _set(host.root, "etc/machine-id", uuid.uuid5(uuid.NAMESPACE_OID, host.instance_id).hex + "\n")
    _set(host.root, "etc/fstab", f"/dev/{host.devices.root_partition} / xfs defaults,noatime 1 1\n")
    _set(host.root, "etc/os-release", os_release("simulated"))
    return True


def key_values(text: str) -> dict[str, str]:
    """Return the ``KEY=value`` lines of a settings file; quotes around a value are taken off."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.strip().partition("=")
        if sign and not key.startswith("#"):
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            found[key.strip().removeprefix("export ")] = value[1:-1] if quoted else value
    return found


def _set(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
