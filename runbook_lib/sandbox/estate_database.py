"""PostgreSQL beside the sample service, in a folder of its volume: real hosts can have it.

Refuses where there can be none; writes the folder, the compose service and the first rows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.errors import SandboxError
from runbook_lib.sandbox.estate_files import COMPOSE_FILE

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost
    from runbook_lib.sandbox.world import World

OPTION = "postgres"
FOLDER, PORT = "postgres", 5432
SERVICE = f"""
  database:
    image: registry.sandbox/postgres:15
    restart: always
    stop_grace_period: 20s
    mem_limit: 256m
    environment:
      PGDATA: /data/{FOLDER}
    ports:
      - "{PORT}:{PORT}"
    volumes:
      - /srv/guestbook:/data
    healthcheck:
      test: ["CMD", "pg_isready", "--quiet", "--host=127.0.0.1"]
      interval: 2s
      timeout: 2s
      retries: 5
      start_period: 30s
"""
SEED = """
CREATE TABLE ledger (id bigint PRIMARY KEY, text text NOT NULL, at timestamptz NOT NULL DEFAULT now());
INSERT INTO ledger (id, text) SELECT -n, md5(n::text) || repeat('.', n % 300) FROM generate_series(1, 5000) n;
CREATE INDEX ON ledger (text);
CHECKPOINT;
"""
PATIENCE_S = 60


def refuse(world: World) -> None:
    """Refuse a database where there can be none.

    Raises:
        SandboxError: The hosts are simulated, or this machine has no PostgreSQL.
    """
    from runbook_lib.sandbox.real import postgres_files  # noqa: PLC0415 - only real hosts have one

    if world.tier.name != "real":
        raise SandboxError("estate option 'postgres' needs real hosts: `--hosts real`. Nothing was started.")
    if refusal := postgres_files.refusal():
        raise SandboxError(refusal)


def make_folder(files: Path) -> None:
    """Make the folder of the database, as only its own user may see it."""
    from runbook_lib.sandbox.real import postgres_files  # noqa: PLC0415 - only real hosts have one

    (files / FOLDER).mkdir(mode=0o700)
    os.chown(files / FOLDER, postgres_files.USER_ID, postgres_files.USER_ID)


def fill(host: BaseHost) -> None:
    """Wait until the database answers, and write the rows that it has had for years.

    Raises:
        SandboxError: It does not come up, or takes no rows.
    """
    compose = [*host.compose_command, "-p", "guestbook", "-f", COMPOSE_FILE, "exec", "-T", "database"]
    script = f"for _ in $(seq {PATIENCE_S * 5}); do pg_isready -q -h 127.0.0.1 && break; sleep 0.2; done"
    for argv in (["sh", "-c", script], ["psql", "-qU", "postgres", "-h", "127.0.0.1", "-v", "ON_ERROR_STOP=1"]):
        result = host.run([*compose, *argv], stdin=SEED.encode() if argv[0] == "psql" else b"")
        if result.exit_code:
            raise SandboxError(f"PostgreSQL did not come up: {(result.stderr or result.stdout).strip()}")
