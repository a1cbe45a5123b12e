"""What docker, findmnt and the other programs of a host double answer: one JSON file says it, and is changed by them.

Called as `host_programs.py STATE PROGRAM ARGUMENTS...`. It knows only the command lines that host scripts use; anything
else ends with exit code 64, so that a command nobody expected fails the test.
"""

import fcntl
import json
import sys
from pathlib import Path

UNEXPECTED = 64


def main(state_file, name, *arguments):
    """Answer one command; return (exit code, output)."""
    with Path(state_file).open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        state = json.load(stream)
        state["calls"].append([name, *arguments])
        program = globals().get(name.replace("-", "_"))
        code, output = program(state, list(arguments)) if program else (UNEXPECTED, "")
        stream.seek(0)
        stream.truncate()
        json.dump(state, stream)
    return code, output


def findmnt(state, arguments):
    """Answer findmnt --json -o COLUMNS --mountpoint|--target|--source VALUE."""
    if arguments[:3] != ["--json", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"]:
        return UNEXPECTED, ""
    option, value = arguments[3:]
    tests = {
        "--mountpoint": lambda row: row["target"] == value,
        "--source": lambda row: row["source"] == value,
        "--target": lambda row: value == row["target"] or value.startswith(row["target"] + "/"),
    }
    rows = [row for row in state["mounts"] if tests[option](row)]
    return (0, json.dumps({"filesystems": rows})) if rows else (1, "")


def lsblk(state, arguments):
    """Answer lsblk; with `old_lsblk` as util-linux before 2.33, which has no PTTYPE."""
    if state.get("old_lsblk") and "PTTYPE" in arguments[-1]:
        return 1, ""
    known = arguments[:4] == ["--json", "-b", "-p", "-o"]
    return (0, json.dumps({"blockdevices": state["devices"]})) if known else (UNEXPECTED, "")


def blkid(state, arguments):
    """Answer blkid -p -o export DEVICE."""
    probe = state["probes"].get(arguments[-1]) if arguments[:3] == ["-p", "-o", "export"] else None
    return (0, "".join(f"{key}={value}\n" for key, value in probe.items())) if probe else (2, "")


def mount(state, arguments):
    """Answer mount -t TYPE [-o OPTIONS] DEVICE PATH."""
    source, target = arguments[-2:]
    options = arguments[3] if arguments[2] == "-o" else "rw"
    state["mounts"].append({"source": source, "target": target, "fstype": arguments[1], "options": options})
    return 0, ""


def umount(state, arguments):
    """Answer umount PATH; with `stuck` it says that all is well and does nothing."""
    if not state.get("stuck"):
        state["mounts"] = [row for row in state["mounts"] if row["target"] != arguments[0]]
    return 0, ""


def blockdev(state, arguments):
    """Answer blockdev --flushbufs DEVICE."""
    return (0, "") if arguments[0] == "--flushbufs" else (UNEXPECTED, "")


def sync(state, arguments):
    """Answer sync [-f PATH]."""
    return 0, ""


def fsfreeze(state, arguments):
    """Answer fsfreeze -f|-u PATH: a filesystem is frozen once, and thawed once."""
    frozen, (option, path) = state.setdefault("frozen", []), arguments
    if (option == "-f") == (path in frozen):
        return 1, ""
    state["frozen"] = [*frozen, path] if option == "-f" else [one for one in frozen if one != path]
    return 0, ""


def dumpe2fs(state, arguments):
    """Answer dumpe2fs -h DEVICE."""
    lines = {"Filesystem features": "has_journal", "Block count": state["blocks"], "Block size": 4096}
    text = "".join(f"{name + ':':<26}{value}\n" for name, value in lines.items())
    return (0, text) if arguments[0] == "-h" else (UNEXPECTED, "")


def xfs_info(state, arguments):
    """Answer xfs_info PATH."""
    return 0, (
        "meta-data=/dev/nvme1n1    isize=512    agcount=4, agsize=131072 blks\n"
        f"data     =                       bsize=4096   blocks={state['blocks']}, imaxpct=25\n"
        "log      =internal log           bsize=4096   blocks=16384, version=2\n"
    )


def resize2fs(state, arguments):
    """Answer resize2fs DEVICE: the filesystem fills the device, or `grow_fails`."""
    if state.get("grow_fails"):
        return 1, "No space left on device"
    state["blocks"] = state["devices"][-1]["size"] // 4096
    return 0, ""


def xfs_growfs(state, arguments):
    """Answer xfs_growfs -d PATH."""
    return resize2fs(state, arguments) if arguments[0] == "-d" else (UNEXPECTED, "")


def systemctl(state, arguments):
    """Answer systemctl is-active UNIT."""
    return (0, "active\n") if arguments[0] == "is-active" else (UNEXPECTED, "")


def cloud_init(state, arguments):
    """Answer cloud-init status --long."""
    return (0, "status: done\ndetail: all well\n") if arguments == ["status", "--long"] else (UNEXPECTED, "")


def docker(state, arguments):
    """Answer the docker commands of host scripts."""
    for start, answer in DOCKER.items():
        words = start.split()
        if arguments[: len(words)] == words:
            return answer(state, arguments[len(words) :])
    return UNEXPECTED, ""


def ps(state, arguments):
    """Answer docker ps --all --quiet --no-trunc --filter label=K=V..."""
    wanted = [text.split("=", 2)[1:] for text in arguments if text.startswith("label=")]
    rows = [row for row in state["containers"] if all(row["Config"]["Labels"].get(k) == v for k, v in wanted)]
    return 0, "".join(row["Id"] + "\n" for row in rows)


def named(kind, keys):
    """Return a program that answers inspect for one kind of object."""

    def inspect(state, arguments):
        found = [row for row in state[kind] if any(row.get(key) in arguments for key in keys)]
        return 0 if found else 1, json.dumps(found)

    return inspect


def compose(state, arguments):
    """Answer docker compose -p PROJECT -f FILE VERB..."""
    if arguments == ["version"]:
        return (1, "") if state.get("no_compose") else (0, "Docker Compose version v2.29.0")
    verb = arguments[4]
    if verb == "config":
        return 0, json.dumps(state.get("config", {}))
    if verb in ("stop", "start", "up"):
        for row in state["containers"]:
            row["State"].update(Status="exited" if verb == "stop" else "running", Running=verb != "stop")
            if row["Id"] in state.get("ends", {}) and verb != "stop":
                row["State"].update(Status="exited", Running=False, ExitCode=state["ends"][row["Id"]])
            if state.get("sick") and verb != "stop":
                row["State"]["Health"] = {"Status": "unhealthy"}
        return 0, ""
    return UNEXPECTED, ""


def update(state, arguments):
    """Answer docker update --restart=POLICY ID..."""
    name, _, count = arguments[0].partition("=")[2].partition(":")
    for row in state["containers"]:
        if row["Id"] in arguments[1:]:
            row["HostConfig"]["RestartPolicy"] = {"Name": name, "MaximumRetryCount": int(count or 0)}
    return 0, ""


def pull(state, arguments):
    """Answer docker pull IMAGE."""
    state["images"].append({"Ref": arguments[0], "Id": "sha256:1", "RepoDigests": [], "Architecture": "amd64",
                            "Size": 7, "Config": {"User": "1000", "Hostname": "x"}})  # fmt: skip
    return 0, ""


DOCKER = {
    "info --format": lambda state, _: (0, json.dumps(state.get("root", "/var/lib/docker"))),
    "ps --all --quiet --no-trunc": ps,
    "inspect --type container": named("containers", ("Id", "Name")),
    "compose": compose,
    "update": update,
    "logs --tail 20": lambda _state, _arguments: (0, "the last line\n"),
    "plugin ls --quiet --no-trunc": lambda state, _: (0, "".join(row["Id"] + "\n" for row in state["plugins"])),
    "plugin inspect": named("plugins", ("Id",)),
    "volume inspect": named("volumes", ("Name",)),
    "image inspect": named("images", ("Ref",)),
    "pull": pull,
}

if __name__ == "__main__":
    exit_code, text = main(*sys.argv[1:])
    sys.stdout.write(text)
    sys.exit(exit_code)
