"""Start sandboxes by forking a process that has imported what they need: a quarter of a new interpreter's CPU time.

A sandbox that was forked is a process like any other: in a session of its own, with its own files and signals. One
nursery serves a test process and ends with it.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import random
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

from runbook_lib.sandbox import lifecycle

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 1 << 20
SERVICES = ("autoscaling", "ec2", "ecs", "ssm")
"""Whose API descriptions a sandbox reads when it starts."""


class Forked:
    """A process that the nursery started; as much of `subprocess.Popen` as `lifecycle` needs.

    Args:
        pid: The process.
    """

    def __init__(self, pid):
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._ended = False

    def poll(self):
        """Return 0 when it has ended, whatever its exit code was; None while it runs."""
        return self._look(0)

    def wait(self):
        """Wait for its end."""
        return self._look(None)

    def _look(self, timeout_s):
        if not self._ended and select.select([self._descriptor], [], [], timeout_s)[0]:
            self._ended = True
            os.close(self._descriptor)
        return 0 if self._ended else None


@functools.cache
def _nursery():
    """Return the socket of this process's nursery; started when first asked for."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.nursery", str(its.fileno())]
    server = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True
    )
    its.close()

    def end():
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def start(state_dir, **options):
    """Start a sandbox as `lifecycle.start` does, forked."""
    return lifecycle.start(state_dir, spawn=spawn_daemon, **options)


def spawn_daemon(arguments, kept, log):
    """Fork the daemon of a sandbox; as `lifecycle.spawn_daemon`."""
    nursery = _nursery()
    request = {"arguments": arguments, "kept": kept, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    socket.send_fds(nursery, [json.dumps(request).encode()], [log.fileno(), *kept])
    return Forked(json.loads(nursery.recv(MOST_BYTES))["pid"])


def serve(control):
    """Fork a daemon for each request, until the test process is gone."""
    import_everything()
    gc.collect()
    gc.freeze()
    while True:
        if not select.select([control], [], [], 1)[0]:
            reap()
            continue
        text, descriptors, _, _ = socket.recv_fds(control, MOST_BYTES, 2)
        if not text:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            be_daemon(json.loads(text), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps({"pid": pid}).encode())
        reap()


def reap():
    """Bury who has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def import_everything():
    """Import what a daemon imports, and read what it reads, as it would do it itself."""
    from runbook_lib.sandbox import backends

    backends.prepare_environment()
    package = importlib.import_module("runbook_lib.sandbox")
    for part in ("", ".patches", ".commands"):
        folder = importlib.import_module(f"{package.__name__}{part}")
        for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
            if not module.ispkg and not module.name.endswith((".tether", ".writer")):
                importlib.import_module(module.name)
    import boto3

    session = boto3.Session(region_name=backends.REGION, aws_access_key_id="none", aws_secret_access_key="none")
    for service in SERVICES:
        session.client(service)


def be_daemon(request, log, *kept):
    """Become the daemon of a sandbox, and end as it ends."""
    exit_code = 1
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        for descriptor, wanted in zip(kept, request["kept"], strict=True):
            os.dup2(descriptor, wanted)
            if descriptor != wanted:
                os.close(descriptor)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        random.seed()
        from runbook_lib.sandbox import daemon

        exit_code = daemon.main(request["arguments"])
    except BaseException:  # noqa: BLE001 - a defect: the sandbox's log shows its traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    serve(socket.socket(fileno=int(sys.argv[1])))
