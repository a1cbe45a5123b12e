"""Start, stop and check the writing client: a visitor who never stops and remembers every promise.

Starts one process; writes ``<state>/client/`` only.
"""

from __future__ import annotations

import json
import subprocess
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook_lib.sandbox.guest_files import interpreter
from runbook_lib.sandbox.host_controls import resolve

if TYPE_CHECKING:
    from runbook_lib.sandbox.world import World

TIMEOUT_S = 5.0
SHOWN_MISSING = 100


class Client:
    """The writing client of one sandbox.

    Args:
        world: Whose service it writes to.
        port: Host port that the service publishes.
    """

    def __init__(self, world: World, port: int) -> None:
        self._world = world
        self._port = port
        self._folder = world.state_dir / "client"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def acknowledged_path(self) -> Path:
        """Return the file with one line per acknowledged entry, oldest first."""
        return self._folder / "acknowledged.jsonl"

    @property
    def is_running(self) -> bool:
        """Return whether the client writes."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Let it write; when it does already, nothing happens."""
        with self._lock:
            if self.is_running:
                return
            script = Path(__file__).with_name("writer.py")
            api = f"127.0.0.1:{self._world.port}"
            lifeline = str(self._world.guest_dir / "lifeline")
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*interpreter(), str(script), api, str(self._port), str(self.acknowledged_path), lifeline],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    start_new_session=True,
                )

    def stop(self) -> None:
        """Let it write no more; returns when it has ended."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                try:
                    self._process.wait(TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
                self._process = None

    def acknowledged(self) -> list[dict[str, Any]]:
        """Return every acknowledged entry as ``{"id", "at"}``, oldest first."""
        if not self.acknowledged_path.exists():
            return []
        lines = self.acknowledged_path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def facts(self) -> dict[str, Any]:
        """Compare what was acknowledged with what the running service returns.

        Returns:
            ``running``, ``service`` (URL or ""), ``acknowledged`` (count), ``present`` and ``missing`` (counts, None
            when no service answers), ``missing_ids`` (the first hundred), ``last_acknowledged`` (seconds since 1970).
        """
        acknowledged = self.acknowledged()  # first: what is acknowledged later may be missing from the answer
        addresses = resolve(self._world, self._port)
        present = self._entries(addresses[0][0]) if addresses else None
        missing = None if present is None else [one["id"] for one in acknowledged if one["id"] not in present]
        return {
            "running": self.is_running,
            "service": f"http://{addresses[0][0]}:{self._port}/" if addresses else "",
            "acknowledged": len(acknowledged),
            "present": None if missing is None else len(acknowledged) - len(missing),
            "missing": None if missing is None else len(missing),
            "missing_ids": (missing or [])[:SHOWN_MISSING],
            "last_acknowledged": acknowledged[-1]["at"] if acknowledged else None,
        }

    def _entries(self, address: str) -> set[str] | None:
        connection = HTTPConnection(address, self._port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/entries")
            return set(json.loads(connection.getresponse().read())["ids"])
        except (OSError, HTTPException, ValueError, KeyError):
            return None
        finally:
            connection.close()
