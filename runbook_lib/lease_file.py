"""The lease as a file beside the runs: held by a lock of the operating system, which frees it when its process ends.

Excludes runs of one archive directory. Writes below `.leases/` only. On a file system that several machines share the
lock may not reach across; then the holder's heartbeats, by the file system's clock, decide whether it is alive.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from runbook_lib.errors import LeaseError
from runbook_lib.lease_record import Holder, Seen

_PATIENCE_S = 0.5
"""Somebody who only looks holds the lock for a moment."""


class FileLease:
    """One volume's lease in a directory.

    Args:
        folder: Where leases are.
        name: The volume, as a file name.
    """

    kind = "file"

    def __init__(self, folder: Path, name: str) -> None:
        self.where = str(folder / f"{name}.json")
        self._record = folder / f"{name}.json"
        self._path = folder / f"{name}.lock"
        self._lock: FileLock | None = None
        self._inode = 0

    def look(self) -> Seen:
        """Return who holds the volume; changes nothing but a lock's moment.

        Raises:
            LeaseError: when the record cannot be read.
        """
        with self._explained("read"):
            holder = self._read()
            held = self._is_locked()
            if holder is None:
                return Seen(None, alive=held, why="its lock is held, without a record") if held else Seen(None)
            age_s = self._age_s()
        if held:
            return Seen(holder, holder.token, alive=True, why="its process holds the lock", age_s=age_s)
        if holder.released_utc:
            return Seen(holder, holder.token, why=f"it was given back at {holder.released_utc}", age_s=age_s)
        if holder.is_here:
            return Seen(holder, holder.token, why="the lock is free: its process ended", age_s=age_s)
        alive = age_s <= holder.expires_after_s
        compared = f"last heartbeat {age_s:.0f} s ago, it counts as gone after {holder.expires_after_s} s"
        return Seen(holder, holder.token, alive=alive, why=f"held by another machine; {compared}", age_s=age_s)

    def claim(self, holder: Holder, seen: Seen) -> None:
        """Take the volume that was seen free or dead.

        Args:
            holder: The new holder.
            seen: What `look` returned.

        Raises:
            LeaseError: when somebody was quicker, or the directory cannot be written.

        Changes:
            The lock and the record.
        """
        with self._explained("write"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path)
            try:
                lock.acquire(timeout=_PATIENCE_S)
            except Timeout:
                raise LeaseError(f"somebody took the lease {self.where} at this moment; nothing was changed") from None
            try:
                self._refuse_another(seen)
                self._write(holder)
                self._inode = self._path.stat().st_ino
            except BaseException:
                lock.release()
                raise
            self._lock = lock

    def _refuse_another(self, seen: Seen) -> None:
        found = self._read()
        if (found.token if found else "") != seen.version:
            raise LeaseError(f"somebody took the lease {self.where} at this moment; nothing was changed")

    def beat(self, holder: Holder) -> None:
        """Note that the holder lives, after proving that it still is the holder.

        Args:
            holder: The record with its new heartbeat.

        Raises:
            LeaseError: when lock or record are no longer this process's, or cannot be read or written.

        Changes:
            The record.
        """
        with self._explained("write"):
            if self._lock is None or not self._lock.is_locked:
                raise LeaseError(f"the lock {self._path} is no longer held")
            if not self._path.exists() or self._path.stat().st_ino != self._inode:
                raise LeaseError(f"the lock {self._path} was removed or replaced while it was held")
            found = self._read()
            if found is None or found.token != holder.token:
                raise LeaseError(f"{self.where} names another holder: {found.sentence() if found else 'none'}")
            self._write(holder)

    def release(self, holder: Holder) -> None:
        """Give the volume back.

        Args:
            holder: The record as released.

        Changes:
            The record, when it still is this holder's; the lock.
        """
        if self._lock is None:
            return
        try:
            self.beat(holder)
        finally:
            self._lock.release()
            self._lock = None

    def _read(self) -> Holder | None:
        try:
            return Holder.decode(self._record.read_bytes())
        except FileNotFoundError:
            return None

    def _write(self, holder: Holder) -> None:
        partial = self._record.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as stream:
            stream.write(holder.encode())
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self._record)

    def _is_locked(self) -> bool:
        if not self._path.exists():
            return False
        if self._lock is not None and self._lock.is_locked:
            return True
        lock = FileLock(self._path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    def _age_s(self) -> float:
        """Return how long ago the record was written, by the file system's clock at both ends."""
        with tempfile.NamedTemporaryFile(dir=self._record.parent, prefix=".now-") as now:
            return max(0.0, os.fstat(now.fileno()).st_mtime - self._record.stat().st_mtime)

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn what the file system says into an error that fails closed."""
        try:
            yield
        except (OSError, ValueError) as error:
            raise LeaseError(
                f"the lease {self.where} cannot be {'read' if verb == 'read' else 'written'}: {error}. Nobody can tell "
                "who holds the volume, so nothing is done. Make its folder readable and writable, then run again"
            ) from error
