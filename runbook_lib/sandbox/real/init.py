"""Process 1 of a real host: give the namespaces their root, then reap orphans until the sandbox lets go.

Run by this machine's /usr/bin/python3 in fresh mount, pid, net, uts and ipc namespaces:
``init.py ROOT LOCAL HOSTNAME LIFELINE_FD``. Standard library only. It says ``ready`` on standard output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

METADATA = "169.254.169.254/32"
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
HIDDEN = {"block", "class", "dev"}
"""Folders of sysfs that show this machine's disks; the host gets its own ones."""


def main(arguments: list[str]) -> None:
    """Set everything up and wait."""
    root, local, hostname, lifeline = arguments
    mount_root(Path(root), local)
    os.chdir(root)
    run("pivot_root", ".", ".old")
    os.chdir("/")
    run("umount", "-l", "/.old")
    run("mount", "--make-rshared", "/")
    run("hostname", hostname)
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", METADATA, "dev", "lo")
    os.write(1, b"ready\n")
    os.close(1)
    wait(int(lifeline))


def mount_root(root: Path, local: str) -> None:
    """Mount what a host needs below its root folder."""
    run("mount", "--bind", str(root), str(root))
    run("mount", "--bind", "/usr", f"{root}/usr")
    run("mount", "-o", "remount,bind,ro", f"{root}/usr")
    run("mount", "--bind", local, f"{root}/usr/local")
    units = root / "usr/lib/systemd/system"
    if units.is_dir():  # this machine's units are not the host's
        run("mount", "-t", "tmpfs", "-o", "mode=755,size=1m", "tmpfs", str(units))
    run("mount", "-t", "proc", "proc", f"{root}/proc")
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=64m", "tmpfs", f"{root}/run")
    (root / "run/lock").mkdir()
    devices(root / "dev")
    system(root / "sys")


def devices(dev: Path) -> None:
    """Lay out /dev: the nodes every program expects, and no disk."""
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=4m", "tmpfs", str(dev))
    for name, numbers in NODES.items():
        os.mknod(dev / name, 0o20666, os.makedev(*numbers))
        (dev / name).chmod(0o666)
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (dev / name).symlink_to(target)
    for name in ("pts", "shm", "disk"):
        (dev / name).mkdir()
    run("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=620", "devpts", str(dev / "pts"))
    (dev / "ptmx").symlink_to("pts/ptmx")
    run("mount", "-t", "tmpfs", "-o", "mode=1777,size=256m", "tmpfs", str(dev / "shm"))


def system(sys_: Path) -> None:
    """Lay out /sys: the kernel's, but with the host's own disks and DMI table."""
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=4m", "tmpfs", str(sys_))
    kernel = sys_ / ".kernel"
    kernel.mkdir()
    run("mount", "-t", "sysfs", "sysfs", str(kernel))
    for folder in sorted(one.name for one in kernel.iterdir() if one.name not in HIDDEN):
        (sys_ / folder).mkdir()
        run("mount", "--bind", str(kernel / folder), str(sys_ / folder))
    run("mount", "--rbind", "/sys/fs/cgroup", str(sys_ / "fs/cgroup"))
    for folder in ("block", "class/dmi/id", "class/block", "dev/block"):
        (sys_ / folder).mkdir(parents=True)
    (sys_ / "dev/char").symlink_to("../.kernel/dev/char")
    for one in (kernel / "class").iterdir():
        if one.name not in {"block", "dmi"}:
            (sys_ / "class" / one.name).symlink_to(f"../.kernel/class/{one.name}")


def run(*argv: str) -> None:
    """Run a program; its error ends the host."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr.strip()}")


def wait(lifeline: int) -> None:
    """Reap whatever ends, until nobody holds the other end of the pipe; the kernel then kills the whole host."""

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)
    reap()
    while os.read(lifeline, 1):
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
