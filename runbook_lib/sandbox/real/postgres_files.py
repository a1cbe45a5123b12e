"""What the PostgreSQL image is made of: Debian's server as this machine has it, and how its container starts.

Made when a host first asks for it. Writes a tar file only. Source: PostgreSQL 15, server applications `initdb` and
`postgres`; Debian packages `postgresql-15` and `postgresql-client-15`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runbook_lib.sandbox.real.image_files import Layer, package_files, paths_layer

REPOSITORY, TAG = "postgres", "15"
PACKAGE = "postgresql-15"
PROGRAMS = Path("/usr/lib/postgresql/15/bin")
USER_ID = 999
PACKAGES = (PACKAGE, "postgresql-client-15", "tzdata")
LEFT_OUT = ("/usr/lib/postgresql/15/lib/bitcode", "/usr/share/postgresql/15/man", "llvmjit", "/usr/share/perl5")
"""Compiling queries would take LLVM along, which is larger than everything else."""
START = f"""#!/bin/sh
# As most images of a database do: make a new one where there is none, and never ask whether that is right.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --pgdata="$PGDATA" --data-checksums --encoding=UTF8 --locale=C --username=postgres --auth=trust
  echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
fi
exec {PROGRAMS}/postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp -c shared_buffers=32MB
"""
PEOPLE = f"root:x:0:0:root:/root:/bin/sh\npostgres:x:{USER_ID}:{USER_ID}:postgres:/tmp:/bin/sh\n"
TEXTS = {
    "etc/passwd": (PEOPLE, 0o644),
    "etc/group": (f"root:x:0:\npostgres:x:{USER_ID}:\n", 0o644),
    "usr/local/bin/start-postgres": (START, 0o755),
}


def is_here() -> bool:
    """Return whether this machine has Debian's PostgreSQL server and client."""
    return all((PROGRAMS / name).exists() for name in ("postgres", "initdb", "psql"))


def refusal() -> str:
    """Return what to tell somebody who asked for a database, "" when it can be had."""
    if is_here():
        return ""
    return (
        f"PostgreSQL is not on this machine: expected {PROGRAMS}. Nothing was started. "
        f"`apt-get install --no-install-recommends {PACKAGE}` brings it."
    )


def layer(target: Path) -> Layer:
    """Write the layer that stands on the one every image of the sandbox has."""
    files = [path for path in package_files(PACKAGES) if not any(part in path for part in LEFT_OUT)]
    return paths_layer(target, [*files, *_libraries(files)], TEXTS)


def config() -> dict[str, Any]:
    """Return the image's settings; SIGINT is PostgreSQL's fast shutdown, which does not wait for its clients."""
    return {
        "Entrypoint": ["/usr/local/bin/start-postgres"],
        "Cmd": [],
        "Env": [f"PATH={PROGRAMS}:/usr/local/bin:/usr/bin:/bin", "PGDATA=/data/postgres", "LANG=C"],
        "WorkingDir": "/",
        "User": f"{USER_ID}:{USER_ID}",
        "ExposedPorts": {"5432/tcp": {}},
        "StopSignal": "SIGINT",
        "Labels": {"org.opencontainers.image.title": "postgres"},
    }


def _libraries(files: list[str]) -> Iterator[str]:
    """Yield the shared libraries of programs and modules under the names by which they are looked for."""
    linked = [path for path in files if path.endswith(".so") or path.startswith(f"{PROGRAMS}/")]
    done = subprocess.run(["ldd", *linked], capture_output=True, text=True, check=False)
    found = {
        word for line in done.stdout.splitlines() for word in line.split() if word.startswith(("/lib", "/usr/lib"))
    }
    yield from sorted(path for path in found if not path.endswith(":"))
