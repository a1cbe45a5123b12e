"""The lease on a volume: one run at a time, whoever started it and wherever.

Asked once before anything else, and again right before every act: `confirm` writes a heartbeat there and then, and
whatever goes wrong with it means that nothing is done. Between acts a thread keeps the heartbeats coming. Decides who
may hold; where the record lies, its stores know.

Clocks: an old heartbeat is judged by the store's clock alone. A machine whose clock is wrong, or that slept, can
therefore neither lose its lease early nor go on acting on one that it lost: its next act asks the store first.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from datetime import datetime
from typing import Any, Protocol

from runbook_lib.errors import LeaseError
from runbook_lib.lease_record import Holder, Seen

_BEATS_PER_EXPIRY = 6
_HELD: dict[str, Lease] = {}
"""What this process holds, by place: running a notebook again from its top takes its own lease over."""


class Store(Protocol):
    """Where a lease's record lies; `FileLease` or `ObjectLease`."""

    kind: str
    where: str

    def look(self) -> Seen:
        """Return who holds it."""

    def claim(self, holder: Holder, seen: Seen) -> None:
        """Take what was seen free or dead."""

    def beat(self, holder: Holder) -> None:
        """Note that the holder lives, if it still is the holder."""

    def release(self, holder: Holder) -> None:
        """Give it back."""


class Timer(Protocol):
    """What tells the time; `runbook_lib.adapters.clock.Clock`."""

    def now_utc(self) -> datetime:
        """Return the present time in UTC."""


class Lease:
    """The lease on one volume, for one run.

    Args:
        store: Where its record lies.
        clock: For the times in the record.
        volume_id: The volume, for messages.
        run_id: The run that wants or has it.
        operator: Who runs it.
        expires_after_s: How long after the last heartbeat others may take it for dead.
    """

    def __init__(
        self,
        store: Store,
        clock: Timer,
        *,
        volume_id: str,
        run_id: str = "",
        operator: str = "",
        expires_after_s: int = 60,
    ) -> None:
        self.store = store
        self.volume_id = volume_id
        self.run_id = run_id
        self._clock = clock
        self._operator = operator
        self._expires_after_s = expires_after_s
        self._holder: Holder | None = None
        self._mutex = threading.RLock()
        self._ended = threading.Event()
        self._lost = ""

    def look(self) -> Seen:
        """Return who holds the volume.

        Returns:
            What was seen.

        Raises:
            LeaseError: when nobody can tell.
        """
        return self.store.look()

    def acquire(self) -> dict[str, Any]:
        """Hold the volume from now on, until `release` or the end of this process.

        A holder that is proved gone is replaced without a word when it was of the same run, because that is what going
        on with a run means; one of another run only after somebody said so, by `take_over`.

        Returns:
            Fields of the `lease` event: `phase, store, where, holder, previous, how`.

        Raises:
            LeaseError: when another process holds it, a dead one of another run does, or nobody can tell.

        Changes:
            The record; it is given back in order when this process ends in order.
        """
        mine = _HELD.get(self.store.where)
        if mine is not None and mine.run_id == self.run_id:
            mine.release()
        seen = self.store.look()
        if seen.alive:
            raise LeaseError(self._is_held(seen))
        if seen.is_dead and seen.holder is not None and seen.holder.run_id != self.run_id:
            raise LeaseError(self._is_dead(seen))
        holder = self._this_process()
        self.store.claim(holder, seen)
        self._holder, self._lost = holder, ""
        self._ended = threading.Event()
        _HELD[self.store.where] = self
        atexit.register(self.release)
        threading.Thread(target=self._keep, args=(self._ended,), name="lease-heartbeat", daemon=True).start()
        how = "free" if seen.is_free else "recovered"
        if seen.is_free and seen.holder is not None and seen.holder.taken_over:
            how = "taken over"
        previous = seen.holder.as_json() if seen.holder is not None and how != "free" else None
        place = {"store": self.store.kind, "where": self.store.where}
        return {"phase": "acquired", **place, "holder": holder.as_json(), "previous": previous, "how": how}

    def take_over(self, reason: str) -> dict[str, Any]:
        """Declare a dead holder gone, so that the next run can hold the volume.

        Args:
            reason: Why it is safe; goes into the record.

        Returns:
            Fields of the `lease` event: `phase, store, where, previous, reason`.

        Raises:
            LeaseError: when there is no reason, the holder is alive, or nobody can tell.

        Changes:
            The record: it is free, and says who freed it.
        """
        if not reason.strip():
            raise LeaseError("taking over a lease needs a reason; nothing was changed")
        seen = self.store.look()
        if seen.alive:
            raise LeaseError(self._is_held(seen))
        place = {"store": self.store.kind, "where": self.store.where}
        if seen.is_free or seen.holder is None:
            return {"phase": "taken-over", **place, "previous": None, "reason": reason}
        previous = seen.holder.as_json()
        now = self._now()
        said = {"reason": reason, "operator": self._operator, "at_utc": now, "from": seen.holder.run_id}
        fields = seen.holder.as_json() | {"token": self._this_process().token, "taken_over": said}
        broken = Holder(**fields).released(now)
        self.store.claim(broken, seen)
        self.store.release(broken)
        return {"phase": "taken-over", **place, "previous": previous, "reason": reason}

    def confirm(self) -> None:
        """Prove, right now, that this process holds the volume.

        Raises:
            LeaseError: when it does not, or nobody can tell; then no act may happen.

        Changes:
            The heartbeat in the record.
        """
        with self._mutex:
            if self._holder is None:
                raise LeaseError(f"this run does not hold {self.volume_id}; open it with execute=True")
            if self._lost:
                raise LeaseError(f"the lease on {self.volume_id} was lost: {self._lost}")
            self._beat()

    def release(self) -> None:
        """Give the volume back; does nothing when it is not held.

        Changes:
            The record. When it cannot be written the next run sees a dead holder, and says so.
        """
        with self._mutex:
            holder, self._holder = self._holder, None
            self._ended.set()
            atexit.unregister(self.release)
            if _HELD.get(self.store.where) is self:
                del _HELD[self.store.where]
            if holder is not None:
                with contextlib.suppress(LeaseError):  # lost or out of reach: nothing of ours is left to give back
                    self.store.release(holder.released(self._now()))

    def _keep(self, ended: threading.Event) -> None:
        """Beat until the lease is released; a beat that fails is tried again, one that was lost is not."""
        while not ended.wait(self._expires_after_s / _BEATS_PER_EXPIRY):
            with self._mutex:
                if self._holder is None or self._lost or ended.is_set():
                    return
                with contextlib.suppress(LeaseError):
                    self._beat()

    def _beat(self) -> None:
        holder = self._holder
        if holder is None:
            return
        self._holder = holder.beating(self._now())
        try:
            self.store.beat(self._holder)
        except LeaseError as error:
            with contextlib.suppress(LeaseError):  # out of reach: another look may succeed before the next act
                seen = self.store.look()
                if seen.holder is None or seen.holder.token != holder.token:
                    self._lost = str(error)
            raise

    def _this_process(self) -> Holder:
        return Holder.this_process(self.run_id, self._operator, self._now(), self._expires_after_s)

    def _now(self) -> str:
        return self._clock.now_utc().isoformat(timespec="seconds")

    def _is_held(self, seen: Seen) -> str:
        who = seen.holder.sentence() if seen.holder else "somebody who left no record"
        return (
            f"volume {self.volume_id} is held by {who}; it is alive: {seen.why}. Nothing was changed. "
            "Wait until it ends, or end it, then run again; a holder that is alive cannot be taken over"
        )

    def _is_dead(self, seen: Seen) -> str:
        who = seen.holder.sentence() if seen.holder else "nobody"
        run_id = seen.holder.run_id if seen.holder else ""
        return (
            f"volume {self.volume_id} was held by {who}, and it was never given back; its holder is gone: {seen.why}. "
            f"Nothing was changed. Look at `runbook status {run_id}` first: that run may have stopped half-way, and "
            "then `runbook resume` or `runbook roll-back` of it is the way on. If it is not, take its lease over: "
            "`runbook run ... --take-over REASON`, or `runbook lease take-over -f FILE --reason REASON`"
        )
