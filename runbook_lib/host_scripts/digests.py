"""SHA-256 with what this host has, and which that is: evidence names what made its digests.

Python's hashlib, fast where it stands on OpenSSL; where this Python has no SHA-256 at all, coreutils' sha256sum.
Changes nothing.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys


class Sha256sum:
    """A digest that coreutils' sha256sum makes, for a Python without one; used like hashlib's.

    Args:
        data: The first bytes.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.process = subprocess.Popen(["sha256sum"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.answer = ""
        self.update(data)

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self.process.stdin.write(data)

    def hexdigest(self) -> str:
        """Return the digest in hex; nothing can be added afterwards."""
        if not self.answer:
            output = self.process.communicate()[0]
            if self.process.returncode:
                raise OSError("sha256sum ended with %d" % self.process.returncode)
            self.answer = output.decode("ascii").split()[0]
        return self.answer

    def digest(self) -> bytes:
        """Return the digest; nothing can be added afterwards."""
        return bytes.fromhex(self.hexdigest())


def sha256sum_of(descriptors: list, timeout_s: float | None = None) -> list:
    """Return the digests in hex of open files, which sha256sum reads by their descriptors: names cannot confuse it."""
    argv = ["sha256sum", *("/proc/self/fd/%d" % descriptor for descriptor in descriptors)]
    done = subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=descriptors,
        timeout=timeout_s,
        check=False,
    )
    lines = done.stdout.decode("ascii").splitlines()
    if done.returncode or len(lines) != len(descriptors):
        raise OSError("sha256sum ended with %d: %s" % (done.returncode, done.stderr.decode("utf-8", "replace")[-500:]))
    return [line.split()[0] for line in lines]


sha256 = getattr(hashlib, "sha256", Sha256sum)
IS_PYTHON = sha256 is not Sha256sum


def hashed_with() -> str:
    """Return what makes the digests on this host, in words for the evidence."""
    if not IS_PYTHON:
        version = subprocess.run(["sha256sum", "--version"], stdout=subprocess.PIPE, check=True)
        return version.stdout.decode("ascii", "replace").splitlines()[0]
    over = "OpenSSL" if sha256.__module__ == "_hashlib" else "its own code"
    return "hashlib of Python %s over %s" % (sys.version.split()[0], over)
