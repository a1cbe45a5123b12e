"""PostgreSQL of the sample estate as the tests use it: asked, written to all the time, its checksums verified."""

from __future__ import annotations

import itertools
import select
import subprocess
import threading
import time
from contextlib import suppress

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox.estate_database import PORT
from runbook_lib.sandbox.real.postgres_files import PROGRAMS

ALL_SEEDS = "SELECT count(*), md5(string_agg(id || text || at, ',' ORDER BY id)) FROM ledger WHERE id < 0"
INSERT = "INSERT INTO ledger (id, text) VALUES (:id, md5(':id')) RETURNING id;"
WRITTEN = "SELECT id FROM ledger WHERE id > 0"
PSQL = [str(PROGRAMS / "psql"), "-qAt", "-U", "postgres", "-p", str(PORT)]
ANSWERS_S, PAUSE_S = 3, 0.05
COPY = "rm -rf /tmp/copy && pg_basebackup -U postgres -h 127.0.0.1 -D /tmp/copy -X none -c fast && rm -rf /tmp/copy"


class Database:
    """The database, wherever it runs.

    Args:
        sandbox: A sandbox with real hosts.
    """

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def place(self):
        """Return address, container and instance of the running database; None when there is none."""
        found = self.sandbox.control("GET", f"/_sandbox/resolve?port={PORT}")["addresses"]
        return (found[0][0], found[0][2], found[0][3]) if found else None

    def ask(self, sql):
        """Return what the database answers, None when it does not."""
        place = self.place()
        if place is None:
            return None
        environment = {"PGCONNECT_TIMEOUT": str(ANSWERS_S)}
        argv = [*PSQL, "-h", place[0], "-c", sql]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=environment)
        return done.stdout.strip() if done.returncode == 0 else None

    def inside(self, *argv):
        """Run a command in the database's container; return its answer."""
        _, container, instance = self.place()
        body = {"argv": ["docker", "exec", container, *argv]}
        return self.sandbox.control("POST", f"/_sandbox/hosts/{instance}/call", body)

    def verify(self):
        """Read every page of every file with its checksum, as a base backup does; return what is wrong, [] at best."""
        answer = self.inside("sh", "-c", COPY)
        complaints = [line for line in answer["stderr"].splitlines() if not line.startswith("NOTICE")]
        failures = self.ask("SELECT sum(checksum_failures) FROM pg_stat_database")
        return (
            complaints
            + [f"exit code {answer['exit_code']}"] * bool(answer["exit_code"])
            + [failures] * (failures != "0")
        )

    def printed(self):
        """Return everything that the container of the database printed."""
        _, container, instance = self.place()
        body = {"argv": ["docker", "logs", container]}
        answer = self.sandbox.control("POST", f"/_sandbox/hosts/{instance}/call", body)
        return answer["stdout"] + answer["stderr"]


class Ledger(threading.Thread):
    """A client that writes all the time and remembers every row that the database said is committed.

    Args:
        database: Where to.
    """

    def __init__(self, database):
        super().__init__(daemon=True)
        self.committed = []
        self._database, self._ended = database, threading.Event()
        self._numbers = itertools.count(time.time_ns())

    def run(self):
        """Write until `end`; whenever the database or its sandbox is away, look for it anew."""
        while not self._ended.is_set():
            with suppress(SandboxError, OSError):
                if (place := self._database.place()) is not None:
                    self._write_to(place[0])
            time.sleep(PAUSE_S)

    def end(self):
        """Write no more."""
        self._ended.set()
        self.join()

    def missing(self):
        """Return the committed rows that the database has not, None while it does not answer."""
        committed = list(self.committed)
        there = self._database.ask(WRITTEN)
        return None if there is None else sorted(set(committed) - {int(one) for one in there.split()})

    def _write_to(self, address):
        argv = [*PSQL, "-h", address]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(argv, text=True, bufsize=1, env={"PGCONNECT_TIMEOUT": str(ANSWERS_S)}, **pipes) as psql:
            try:
                while not self._ended.is_set() and self._row(psql, next(self._numbers)):
                    time.sleep(PAUSE_S)
            except BrokenPipeError:
                pass
            finally:
                psql.kill()

    def _row(self, psql, number):
        """Write one row; return whether the database said in time that it is committed."""
        psql.stdin.write(f"\\set id {number}\n{INSERT}\n")
        psql.stdin.flush()
        if not select.select([psql.stdout], [], [], ANSWERS_S)[0] or psql.stdout.readline().strip() != str(number):
            return False
        self.committed.append(number)
        return True
