"""The files of the sample estate: a database, files with difficult names and kinds, and the host's own settings."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook_lib.sandbox.hosts_base import BaseHost

FILESYSTEM_UUID = "6f1e9a3c-52c1-4b0e-9d0a-3a1f5a7c2e10"
COMPOSE_FILE = "/opt/guestbook/compose.yaml"
COMPOSE = """# The guestbook, as it has run on this host for years.
name: guestbook
services:
  guestbook:
    image: registry.sandbox/guestbook:1.0
    restart: always
    stop_grace_period: 10s
    environment:
      DATA_DIR: /data
      GUESTBOOK_TITLE: The visitors' book
      PORT: "8080"
    ports:
      - "8080:8080"
    volumes:
      - /srv/guestbook:/data
    healthcheck:
      test: ["CMD", "python3", "/app/health.py"]
      interval: 2s
      timeout: 2s
      retries: 3
      start_period: 10s
    ulimits:
      nofile:
        soft: 4096
        hard: 8192
"""
MORE_SERVICES = """
  librarian:
    image: registry.sandbox/reader:1.0
    restart: unless-stopped
    mem_limit: 64m
    depends_on:
      guestbook:
        condition: service_healthy
    volumes:
      - type: bind
        source: SHOWN
        target: /library
        read_only: true
  prepare:
    image: registry.sandbox/files:1.0
    entrypoint: ["python3", "-c", "print('prepared')"]
    mem_limit: 32m
"""
"""A service that only reads the volume, or SHOWN, and one that ends before the guestbook starts."""
BACKUP_AGENT = '''#!/usr/bin/python3
"""Keep a file of the mount open, as a backup agent does while it runs."""
import time

with open("/srv/guestbook/backup.state", "w") as state:
    state.write("running\\n")
    state.flush()
    while True:
        time.sleep(60)
'''
BACKUP_UNIT = """[Unit]
Description=Nightly backup of the guestbook
RequiresMountsFor=/srv/guestbook

[Service]
Type=simple
ExecStart=/usr/bin/python3 /opt/backup/agent.py

[Install]
WantedBy=multi-user.target
"""
SEED_ENTRIES = 400
OTHER_UID = 1001
EPOCH_NS = 1_700_000_000_123_456_789
SPARSE_BYTES = 64 << 20
DEEP = 24
GREETINGS = (
    "Lovely place.",
    "Grüße aus Köln!",
    "We will be back.",
    "いい宿でした",
    "Thank you for the tea.",
    "Ça va bien.",
)


def fill_volume(files: Path, *, with_data_folder: bool = False) -> None:
    """Write the volume's files: what real volumes have and naive copies lose.

    Args:
        files: The root of its filesystem.
        with_data_folder: Whether it has a folder ``data`` of its own.
    """
    _database(files / "guestbook.db")
    uploads = files / "uploads"
    uploads.mkdir(mode=0o755)
    for name in ("with space.txt", "ünïcödé ✓.txt", "new\nline.txt", "-leading-dash", "quote'\"$HOME`.txt", " "):
        (uploads / name).write_text(f"the content of {name!r}\n", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(uploads) + b"/not-\xff-text")).write_bytes(b"a name that is no text\n")
    (uploads / "empty").touch()
    (uploads / "program").write_text("#!/usr/bin/python3\nprint('hello')\n", encoding="utf-8")
    (uploads / "program").chmod(0o755)
    _links(files)
    with (files / "sparse.img").open("wb") as sparse:
        sparse.truncate(SPARSE_BYTES)
        sparse.seek(SPARSE_BYTES // 2)
        sparse.write(b"one block of data in a large hole\n")
    (files / "shared").mkdir()
    (files / "shared" / "minutes.txt").write_text("for the whole group\n", encoding="utf-8")
    (files / "shared").chmod(0o2775)
    os.mkfifo(files / "queue", 0o640)
    _private(files)
    deep = files
    for number in range(DEEP):
        deep /= f"level-{number:02d}"
    deep.mkdir(parents=True)
    (deep / "bottom.txt").write_text("down here\n", encoding="utf-8")
    if with_data_folder:
        (files / "data").mkdir(mode=0o755)
        (files / "data" / "visitors.csv").write_text("name,year\nAda,1843\n", encoding="utf-8")
    _old(files)


def _database(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute("CREATE TABLE entries (id TEXT PRIMARY KEY, text TEXT NOT NULL, at_utc TEXT NOT NULL)")
        rows = [
            (
                f"seed-{number:05d}",
                GREETINGS[number % len(GREETINGS)],
                f"2023-11-14T{number // 60:02d}:{number % 60:02d}:00Z",
            )
            for number in range(SEED_ENTRIES)
        ]
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        connection.commit()
    finally:
        connection.close()


def _links(files: Path) -> None:
    links = files / "links"
    links.mkdir()
    (links / "relative").symlink_to("../uploads/with space.txt")
    (links / "absolute").symlink_to("/srv/guestbook/uploads/empty")
    (links / "dangling").symlink_to("nowhere/at/all")
    (links / "folder").symlink_to("../uploads")
    (links / "hard").hardlink_to(files / "uploads" / "program")


def _private(files: Path) -> None:
    """Write a file that only its owner may read; the owner is somebody else when this user may say so."""
    secret = files / "private.key"
    secret.write_text("not for everybody\n", encoding="utf-8")
    secret.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(secret, OTHER_UID, OTHER_UID)


def _old(files: Path) -> None:
    """Give everything times of its own in the past, to the nanosecond, folders last."""
    paths = [Path(base) / name for base, folders, names in os.walk(files) for name in [*names, *folders]]
    for number, path in enumerate(sorted(paths, key=lambda one: (-len(one.parts), os.fsencode(one))), 1):
        moment = EPOCH_NS + number * 1_000_000_007
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
    os.utime(files, ns=(EPOCH_NS, EPOCH_NS))


def write_host_files(host: BaseHost, filesystem_uuid: str, *, more_services_show: str = "", beside: str = "") -> None:
    """Write what the source host's owner once set up: the mount point, its fstab line and the compose file.

    Args:
        host: The source host.
        filesystem_uuid: Of the data volume.
        more_services_show: What the reader beside the guestbook sees; "" when the guestbook is alone.
        beside: Further services of the compose file.
    """
    host.real_path("/srv/guestbook").mkdir(parents=True, exist_ok=True)
    fstab = host.real_path("/etc/fstab")
    line = f"UUID={filesystem_uuid} /srv/guestbook ext4 defaults,noatime,nofail 0 2\n"
    fstab.write_text(fstab.read_text(encoding="utf-8") + line, encoding="utf-8")
    compose = host.real_path(COMPOSE_FILE)
    compose.parent.mkdir(parents=True, exist_ok=True)
    waits = "    depends_on:\n      prepare:\n        condition: service_completed_successfully\n"
    more = waits + MORE_SERVICES.replace("SHOWN", more_services_show)
    text = COMPOSE + (more if more_services_show else "") + beside
    if host.compose_command[0] == "docker-compose":
        text = text.replace("name: guestbook\n", "")  # version 1 does not know the key
    compose.write_text(text, encoding="utf-8")


def write_backup_agent(host: BaseHost) -> None:
    """Write a service that keeps a file of the mount open."""
    agent = host.real_path("/opt/backup/agent.py")
    agent.parent.mkdir(parents=True, exist_ok=True)
    agent.write_text(BACKUP_AGENT, encoding="utf-8")
    host.real_path("/etc/systemd/system/backup-agent.service").write_text(BACKUP_UNIT, encoding="utf-8")
