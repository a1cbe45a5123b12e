"""Where leases lie in tests, and other processes that hold them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

HOLD = """
import sys
from pathlib import Path
from runbook_lib import parameters
from runbook_lib.errors import LeaseError
from runbook_lib.run_lease import lease_of
lease = lease_of(parameters.load(sys.argv[1]), sys.argv[2])
try:
    lease.acquire()
except LeaseError as error:
    print("refused", error, flush=True)
    raise SystemExit(3)
print("held", flush=True)
for line in sys.stdin:
    try:
        lease.confirm()
    except LeaseError as error:
        print("lost", str(error).replace(chr(10), " "), flush=True)
    else:
        print("confirmed", flush=True)
"""


def write_parameters(sandbox, folder: Path, **archive) -> Path:
    """Write a copy of a sandbox's parameters file with an archive of its own."""
    document = yaml.safe_load(Path(sandbox.parameters_path).read_text("utf-8"))
    document["migration"]["archive"] = {"directory": str(folder / "runs"), **archive}
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


class OtherProcess:
    """A process that takes the lease of a run and keeps it until it is told otherwise.

    Args:
        file: Parameters file.
        run_id: The run.
    """

    def __init__(self, file: Path, run_id: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(file), run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        )
        self.said = self.process.stdout.readline().strip()

    def confirm(self) -> str:
        """Let it confirm its lease; return what it says."""
        self.process.stdin.write("confirm\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End it without a chance to give anything back."""
        self.process.kill()
        self._forget()

    def end(self) -> None:
        """Let it come to its end, which gives the lease back."""
        self.process.stdin.close()
        self._forget()

    def _forget(self) -> None:
        self.process.wait(timeout=30)
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()
