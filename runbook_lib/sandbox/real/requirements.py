"""What this machine lacks for real hosts. Looks only; changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "containerd": "containerd",
    "runc": "runc",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "ip": "iproute2",
    "iptables": "iptables",
    "losetup": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "pivot_root": "util-linux",
    "dpkg": "dpkg",
}
"""Program to Debian package."""
WHERE = "/usr/bin:/usr/sbin"
"""What hosts see of this machine; /usr/local is their own."""
HOST_PYTHON = Path("/usr/bin/python3")


def packages() -> list[str]:
    """Return the Debian packages whose programs this machine lacks, sorted."""
    return sorted({PROGRAMS[name] for name in _gone()})


def missing() -> list[str]:
    """Return one text for each thing that real hosts need and this machine has not; none when all is there."""
    if not sys.platform.startswith("linux"):
        return [f"Linux: this is {sys.platform}"]
    lacks = []
    if os.geteuid() != 0:
        lacks.append("root: namespaces, loop devices and dockerd need it")
    if gone := _gone():
        lacks.append(f"{', '.join(gone)}: `apt-get install --no-install-recommends {' '.join(packages())}`")
    if not HOST_PYTHON.exists():
        lacks.append(f"{HOST_PYTHON}: `apt-get install python3`; hosts see /usr only")
    if not Path("/dev/loop-control").exists():
        lacks.append("/dev/loop-control: the kernel has no loop devices")
    if not lacks:
        tried = subprocess.run(["unshare", "-m", "-n", "-p", "-f", "true"], capture_output=True, text=True, check=False)
        if tried.returncode:
            lacks.append(f"namespaces: unshare refuses: {tried.stderr.strip()}")
    return lacks


def refusal() -> str:
    """Return what to tell somebody who asked for real hosts, "" when they can be had."""
    lacks = missing()
    if not lacks:
        return ""
    return (
        "real hosts cannot run on this machine, which lacks: " + "; ".join(lacks) + ". Nothing was started. "
        "Without --hosts real the sandbox's hosts are simulated and need nothing."
    )


def _gone() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=WHERE) is None]
