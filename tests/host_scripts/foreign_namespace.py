"""Run in a mount namespace of its own: mount a filesystem, let another namespace hold it, list who holds it.

Called as `unshare --mount python foreign_namespace.py FOLDER PROGRAMS`; what it mounts ends with it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from runbook_lib.host_scripts import source

HOLD = 'mount --bind "$1" /mnt; umount "$1"; exec 3> /mnt/file; echo ready; read end'


def main(target, programs):
    """Print what list_open_files answers while the other namespace holds the mount."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", HOLD, "sh", target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as holder:
        holder.stdout.readline()
        script = {"__name__": "host_script"}
        exec(compile(source("list_open_files"), "host_script", "exec"), script)  # noqa: S102 - as hosts do
        os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
        script["answer"](script["main"], json.dumps({"mount_path": target}))
        holder.stdin.close()


main(*sys.argv[1:])
