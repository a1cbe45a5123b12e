# ruff: noqa: INP001 - a file of a container image, alone in its folder
"""A guestbook over HTTP whose entries live in one SQLite database.

An entry is acknowledged (201) only after its transaction is on disk. When the data folder holds no database, a
fresh empty one is made, as most real images do: nothing here notices that it was given the wrong folder.
"""

from __future__ import annotations

import html
import json
import os
import queue
import signal
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATABASE = Path(os.environ.get("DATA_DIR", "/data")) / "guestbook.db"
PORT = int(os.environ.get("PORT", "8080"))
VERSION = os.environ.get("GUESTBOOK_VERSION", "1.0")
TITLE = os.environ.get("GUESTBOOK_TITLE", "Guestbook")
SHOWN = 50
MAX_BODY_BYTES = 65536


class Store:
    """The one database, written by one connection under a lock."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=DELETE")
        # FULL would not sync the folder after the journal is deleted: a power cut brought it back, and undid the entry
        self._connection.execute("PRAGMA synchronous=EXTRA")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, text TEXT NOT NULL, at_utc TEXT NOT NULL)"
        )

    def add(self, entry_id: str, text: str) -> None:
        """Write one entry; it is on disk when this returns. The same id again changes nothing."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with self._lock:
            self._connection.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?)", (entry_id, text, now))

    def ids(self) -> list[str]:
        """Return every entry's id in the order of writing."""
        with self._lock:
            return [row[0] for row in self._connection.execute("SELECT id FROM entries ORDER BY rowid")]

    def newest(self) -> tuple[int, list[tuple[str, str, str]]]:
        """Return the number of entries and the newest of them, newest first."""
        with self._lock:
            count = self._connection.execute("SELECT count(*) FROM entries").fetchone()[0]
            rows = self._connection.execute(
                "SELECT id, text, at_utc FROM entries ORDER BY rowid DESC LIMIT ?", (SHOWN,)
            )
            return count, rows.fetchall()

    def close(self) -> None:
        """Finish what is being written and close the database."""
        with self._lock:
            self._connection.close()


class Guestbook(ThreadingHTTPServer):
    """The HTTP server; it knows its store."""

    daemon_threads = True
    request_queue_size = 64
    store: Store

    def server_bind(self) -> None:
        """Bind without looking the host name up."""
        self.socket.setsockopt(1, 2, 1)  # SOL_SOCKET, SO_REUSEADDR
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "guestbook", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a visitor goes away; show every other error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Guestbook

    def do_GET(self) -> None:
        """Answer /health, /entries and the page."""
        if self.path == "/health":
            count, _ = self.server.store.newest()
            self._json(200, {"status": "ok", "version": VERSION, "entries": count})
        elif self.path == "/entries":
            self._json(200, {"ids": self.server.store.ids()})
        elif self.path == "/":
            self._send(200, "text/html; charset=utf-8", page(*self.server.store.newest()).encode())
        else:
            self._json(404, {"error": f"there is no {self.path} here"})

    def do_POST(self) -> None:
        """Write an entry: JSON with ``id`` and ``text``."""
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/entries" or not 0 < length <= MAX_BODY_BYTES:
            self.close_connection = True
            self._json(404 if self.path != "/entries" else 400, {"error": "send JSON to /entries, at most 64 KiB"})
            return
        try:
            entry = json.loads(self.rfile.read(length))
            entry_id, text = entry["id"], entry["text"]
        except (ValueError, KeyError, TypeError) as error:
            self._json(400, {"error": f"not an entry: {error}"})
            return
        if not (isinstance(entry_id, str) and isinstance(text, str) and entry_id):
            self._json(400, {"error": "not an entry: id and text must be texts"})
            return
        self.server.store.add(entry_id, text)
        self._json(201, {"id": entry_id})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Write nothing for each request."""

    def _json(self, status: int, body: object) -> None:
        self._send(status, "application/json", json.dumps(body).encode() + b"\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
 body {{ font: 17px/1.5 Georgia, serif; max-width: 38rem; margin: 3rem auto; padding: 0 1rem; color: #222;
        background: #fbfaf7 }}
 h1 {{ font-weight: normal; margin-bottom: 0 }} .note {{ color: #6b675e; margin-top: .2rem }}
 ol {{ list-style: none; padding: 0 }} li {{ border-top: 1px solid #e3dfd5; padding: .7rem 0 }}
 time {{ display: block; font: 13px sans-serif; color: #6b675e }}
 form {{ display: flex; gap: .5rem; margin: 1.5rem 0 }} input {{ flex: 1; font: inherit; padding: .4rem }}
 button {{ font: inherit; padding: .4rem 1rem }}
</style>
<h1>{title}</h1>
<p class="note">{count} entries, newest first. Version {version}.</p>
<form id="write"><input id="text" aria-label="Your entry" placeholder="Write something" required maxlength="500">
<button>Sign</button></form>
<ol>{entries}</ol>
<script>
document.getElementById("write").addEventListener("submit", async (event) => {{
  event.preventDefault();
  const id = "page-" + Date.now() + "-" + Math.random().toString(16).slice(2);
  const answer = await fetch("/entries", {{method: "POST", body: JSON.stringify(
    {{id: id, text: document.getElementById("text").value}})}});
  if (answer.ok) location.reload(); else alert("The entry was not written: " + answer.status);
}});
</script>
"""


def page(count: int, entries: list[tuple[str, str, str]]) -> str:
    """Return the page a visitor sees."""
    items = "".join(f"<li>{html.escape(text)}<time>{html.escape(at)}</time></li>" for _, text, at in entries)
    return PAGE.format(title=html.escape(TITLE), count=count, version=html.escape(VERSION), entries=items)


def main() -> None:
    """Serve until SIGTERM, then close the database."""
    DATABASE.parent.mkdir(parents=True, exist_ok=True)
    ends: queue.SimpleQueue[int] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, _: ends.put(number))
    signal.signal(signal.SIGINT, lambda number, _: ends.put(number))
    store = Store(DATABASE)
    server = Guestbook(("0.0.0.0", PORT), Handler)
    server.store = store
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    sys.stdout.write(f"guestbook {VERSION} serves {len(store.ids())} entries of {DATABASE} on port {PORT}\n")
    sys.stdout.flush()
    ends.get()
    server.shutdown()
    store.close()
    sys.stdout.write("guestbook closed its database\n")


if __name__ == "__main__":
    main()
