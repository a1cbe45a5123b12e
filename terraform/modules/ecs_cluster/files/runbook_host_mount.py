"""Attach, mount and release the data volume of a container instance: the storage driver host_mount.

`join` and `check` are the phases of runbook_boot.py; `follow` runs as runbook-volume.service and brings this host,
again and again, to what the volume's tags and the ECS cluster say. It decides from what it sees, remembers nothing.
Touches one volume, by its id; the folder above its mount point; two attributes of this container instance.
Never formats, creates, repairs or forces anything, and never mounts a filesystem other than the one it was told.
Standard library only, Python 3.7 syntax. Reasons: docs/adr/0010-host-mount.md.
"""

# It stands alone on the host and prints into the journal.
# ruff: noqa: INP001, PTH102, PTH103, PTH106, PTH110, PTH120, PTH123, T201

import json
import os
import re
import shutil
import signal
import sys
import threading
import time

from runbook_boot import CONFIGURATION, STATUS_FOLDER, BootError, FinalBootError, main, run, try_again, write_file
from runbook_volume_host import MOUNTED, PROBLEM, Host, must

VOLUME_STATUS = STATUS_FOLDER + "/volume.json"
IN_USE_POLL_S, DEVICE_POLL_S, DEVICE_WAIT_S = 1.0, 0.25, 90.0


class RefusedError(BootError):
    """The volume carries another filesystem than expected; nothing was mounted."""


def clear_mount_point(host: Host) -> None:
    """Leave no mount point behind: its folder is immutable, so that Docker cannot make one either."""
    if host.source():
        return
    folder = os.path.dirname(host.path)
    os.makedirs(folder, exist_ok=True)
    if os.path.lexists(host.path):
        must(["chattr", "-i", folder, host.path])
        try:
            os.rmdir(host.path)
        except OSError as error:
            message = "{} holds files although nothing is mounted there: {}; look at them, then replace this host"
            raise FinalBootError(message.format(host.path, error)) from error
        finally:
            must(["chattr", "+i", folder])
    must(["chattr", "+i", folder])
    if "i" not in must(["lsattr", "-d", folder]).split()[0]:
        raise FinalBootError(folder + " cannot be made immutable; the task could start beside the volume")


def check_filesystem(host: Host) -> str:
    """Return the volume's device; refuse any filesystem but the expected one."""
    device = os.path.realpath(host.link)
    _code, output, _error = run(["blkid", "-p", "-o", "export", device], 60)
    found = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    seen = "{} {}".format(found.get("TYPE", "no filesystem"), found.get("UUID", "")).strip()
    expected = "{} {}".format(host.storage["filesystem_type"], host.storage["filesystem_uuid"])
    if seen != expected or found.get("PTTYPE"):
        raise RefusedError("the volume carries {}, expected {}".format(found.get("PTTYPE") or seen, expected))
    return device


def mount(host: Host) -> None:
    """Mount the volume on a mount point that exists only for it."""
    device = check_filesystem(host)
    folder = os.path.dirname(host.path)
    clear_mount_point(host)
    must(["chattr", "-i", folder])
    try:
        os.mkdir(host.path, 0o555)
        # before anything is mounted there: afterwards it would be the volume's own root
        must(["chattr", "+i", host.path])
    finally:
        must(["chattr", "+i", folder])
    try:
        must(["mount", "-t", host.storage["filesystem_type"], device, host.path], 300)
    finally:
        clear_mount_point(host)
    if host.source() != device:
        raise BootError("{} shows {} after mounting {}".format(host.path, host.source() or "nothing", device))


def attach(host: Host) -> None:
    """Ask EC2 for the volume; it gives it to one host only, so of two that ask one is refused."""
    ids = ("--volume-id", host.storage["volume_id"], "--instance-id", host.instance_id)
    host.aws("ec2", "attach-volume", *ids, "--device", host.storage["device_name"])


def await_device(host: Host) -> bool:
    """Wait until the volume is attached and its device is there; False when it is not this host's any more."""
    deadline = time.monotonic() + DEVICE_WAIT_S
    while True:
        volume = host.volume()
        if not (volume["mine"] and volume["handed_over"]):
            return False
        if volume["attached"] and os.path.exists(host.link):
            return True
        if time.monotonic() > deadline:
            raise BootError(f"{host.link} did not appear in {DEVICE_WAIT_S:g} s")
        time.sleep(DEVICE_POLL_S)


def take(host: Host, volume: dict, member: dict) -> str:
    """Attach and mount what is not yet, then let ECS know; returns the state in a word."""
    if not volume["mine"]:
        attach(host)
    if not host.source():
        if not await_device(host):
            return "lost"
        try:
            mount(host)
        except RefusedError as refusal:
            host.tell(member, {PROBLEM: re.sub(r"[^\w .@/:-]", "_", str(refusal))[:128].strip()})
            raise
    host.tell(member, {MOUNTED: host.storage["volume_id"]})
    return "mounted"


def unmount(host: Host) -> bool:
    """Unmount the volume where nobody uses it; returns whether it is mounted nowhere on this host any more."""
    if host.users():
        return False
    if host.source():
        must(["sync", "-f", host.path], 300)
        must(["umount", host.path], 120)
    clear_mount_point(host)
    # a container that started in between holds it all the same
    return not host.users() and not host.source()


def release(host: Host, volume: dict) -> str:
    """Unmount and detach, unless somebody uses the volume; a detach is asked for only after a proved unmount."""
    host.tell(host.member(), {})
    if not unmount(host):
        return "in use"
    if volume["mine"]:
        ids = ("--volume-id", host.storage["volume_id"], "--instance-id", host.instance_id)
        host.aws("ec2", "detach-volume", *ids)
    return "released"


def step(host: Host) -> str:
    """Do what this moment asks for and return the state in a word."""
    if host.source() and host.users():
        return "in use"  # nothing may be taken away, and nothing is missing
    volume = host.volume()
    holds = volume["mine"] or bool(host.source())
    if volume["handed_over"] and (volume["mine"] or volume["free"]):
        member = host.member()
        if member["active"]:
            return take(host, volume, member)
    return release(host, volume) if holds else "waiting"


def follow(configuration: dict) -> None:
    """Follow the cluster until systemd stops this service, then let the volume go if nobody uses it."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    host, last = Host(configuration), None
    while not stopping.is_set():
        state, problem = "failed", ""
        try:
            state = step(host)
        except BootError as error:
            problem = str(error)
        if (state, problem) != last:
            print(f"runbook-volume: {state} {problem}", flush=True)
            write_file(VOLUME_STATUS, json.dumps({"state": state, "problem": problem}) + "\n")
        last = (state, problem)
        stopping.wait(IN_USE_POLL_S if state == "in use" else host.storage["poll_s"])
    leave(host)


def leave(host: Host) -> None:
    """Let the volume go while this host shuts down; without network at least unmount it."""
    try:
        state = release(host, host.volume())
    except BootError as error:
        state = str(error)
        unmount(host)
    print("runbook-volume: stopping, " + state, flush=True)


def check(configuration: dict) -> None:
    """Bring the mount point to order before the agent starts; mount a volume that EC2 says is here already."""
    host = Host(configuration)
    clear_mount_point(host)
    volume, member = host.volume(), host.member()
    if volume["mine"] and volume["handed_over"] and not host.source() and await_device(host):
        mount(host)
    host.tell(member, {MOUNTED: host.storage["volume_id"]} if host.source() else {})


def install_cli() -> None:
    """Install the AWS command line, which the ECS-optimized image lacks."""
    if shutil.which("aws") is None:
        must(["dnf", "install", "--assumeyes", "awscli-2"], 300)


def join(configuration: dict) -> None:
    """Prepare the host; what makes the agent join is written by runbook_boot.main, last."""
    try_again(install_cli, configuration["retries"])
    try_again(lambda: check(configuration), configuration["retries"])


if __name__ == "__main__":
    if sys.argv[1:] == ["follow"]:
        with open(CONFIGURATION) as stream:
            sys.exit(follow(json.load(stream)))
    sys.exit(main(sys.argv, {"join": join, "check": check}))
