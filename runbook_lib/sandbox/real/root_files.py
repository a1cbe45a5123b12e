"""The files of a real host's root disk: what its owner may write, beside this machine's programs.

Writes below one host's folder. Programs come from this machine's /usr, read-only; the few commands that only Amazon
Linux has, and systemd's, are small ones in /usr/local that ask the sandbox.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.sandbox.guest_files import PACKAGE, SOURCE
from runbook_lib.sandbox.operating_system import os_release

if TYPE_CHECKING:
    from runbook_lib.sandbox.real.hosts import RealHost

SYS_VENDOR = "runbook sandbox real host"
"""What /sys/class/dmi/id/sys_vendor says; the evidence grade of a record follows from it."""
API = "169.254.169.254:80"
REGISTRY = "registry.sandbox"
LIBRARY = "/usr/local/lib/runbook-sandbox"
SHIMS = ("systemctl", "cloud-init", "aws", "shutdown")
"""Commands that no Debian has, or that need systemd as process 1: the sandbox answers them."""
FOLDERS = (
    "dev", "etc/docker", "etc/ecs", "etc/systemd/system", "home/ec2-user", "mnt", "opt", "proc", "root", "run", "srv",
    "sys", "tmp", "usr", "var/lib/cloud", "var/lib/docker", "var/lib/ecs", "var/log", "var/tmp", ".old",
)  # fmt: skip
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "../run"}
TAKEN = (
    "alternatives", "group", "host.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mke2fs.conf", "nsswitch.conf",
    "passwd", "protocols", "python3", "python3.11", "services",
)  # fmt: skip
"""What /etc needs of this machine's so that its programs run."""


def install(host: RealHost) -> bool:
    """Write the root disk of a host that has not booted yet.

    Returns:
        Whether this is the instance's first boot.
    """
    root, local = host.root, host.local
    if (root / "etc/os-release").exists():
        return False
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, target in LINKS.items():
        if not (root / name).is_symlink():
            (root / name).symlink_to(target)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    (root / "root").chmod(0o700)
    for name in TAKEN:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, root / "etc" / name, symlinks=True, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, root / "etc" / name)
    for name, text in _texts(host).items():
        (root / "etc" / name).write_text(text, encoding="utf-8")
    _shims(host.instance_id, local)
    return True


def write_dmi(host: RealHost) -> None:
    """Write what the machine says of itself; at every boot, since it is the kernel's and not the disk's."""
    folder = host.real_path("/sys/class/dmi/id")
    names = {"sys_vendor": SYS_VENDOR, "product_name": host.launch.instance_type, "board_asset_tag": host.instance_id}
    for name, text in names.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _texts(host: RealHost) -> dict[str, str]:
    return {
        "os-release": os_release("real"),
        "hostname": host.hostname + "\n",
        "hosts": f"127.0.0.1 localhost\n{host.address} {host.hostname}\n{API.partition(':')[0]} {REGISTRY}\n",
        "machine-id": uuid.uuid5(uuid.NAMESPACE_OID, host.instance_id).hex + "\n",
        "fstab": f"/dev/{host.devices.root_partition} / ext4 defaults,noatime 1 1\n",
        "resolv.conf": "",
        "mtab": "",
    }


def _shims(instance_id: str, local: Path) -> None:
    library = local / LIBRARY.removeprefix("/usr/local/")
    shutil.copytree(SOURCE, library / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    lines = ["import sys", f"sys.path.insert(0, {LIBRARY!r})", f"from {PACKAGE} import client"]
    lines.append("sys.exit(client.main(sys.argv[1:]))")
    (library / "client.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (local / "sbin").mkdir(parents=True, exist_ok=True)
    (local / "bin").mkdir(parents=True, exist_ok=True)
    for name in SHIMS:
        program = local / "sbin" / name
        marks = f"RUNBOOK_SANDBOX_VIEW=/ RUNBOOK_SANDBOX_HOST={instance_id} RUNBOOK_SANDBOX_API={API}"
        program.write_text(
            f'#!/bin/sh\n{marks} exec /usr/bin/python3 -I -S -B {LIBRARY}/client.py {name} "$@"\n', encoding="utf-8"
        )
        program.chmod(0o755)
