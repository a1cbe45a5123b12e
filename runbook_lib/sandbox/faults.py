"""The faults that are on: when each begins, what it strikes, how often it still does.

It counts and decides; it hooks into nothing. Off, a fault leaves no trace.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runbook_lib.sandbox.controls import ControlError
from runbook_lib.sandbox.faults_catalog import API_FAULTS, FAULTS, check_options, kind_of
from runbook_lib.sandbox.wire import ApiRequest

log = logging.getLogger(__name__)


@dataclass
class Fault:
    """One fault that was switched on.

    Args:
        number: Its number, for switching it off.
        name: Which fault.
        target: What it hits; "" hits everything it can.
        times: How often it strikes; None without end.
        operation: The API operation it hits, or whose calls are counted until it begins; "" is every operation.
        code: The AWS error code it answers.
        seconds: How long it lets callers wait.
        after_calls: How many API calls are answered before it begins; 0 begins at once.
        note: Where it came from, in the words of whoever switched it on.
        struck: How often it has struck.
        calls: How many API calls were counted so far.
        problem: Why it could not do its damage, or "".
    """

    number: int
    name: str
    target: str = ""
    times: int | None = None
    operation: str = ""
    code: str = ""
    seconds: float = 0.0
    after_calls: int = 0
    note: str = ""
    struck: int = 0
    calls: int = 0
    problem: str = ""
    held: set[str] = field(default_factory=set)

    @property
    def state(self) -> str:
        """Return ``waiting`` for calls, ``on``, ``spent`` when it strikes no more, ``failed``, or ``holding``.

        One that holds strikes nothing new, but what it struck stays so until it is cleared.
        """
        if self.problem:
            return "failed"
        if self.calls < self.after_calls:
            return "waiting"
        over = self.struck >= 1 if FAULTS[self.name].once else self.times is not None and self.struck >= self.times
        if not over:
            return "on"
        return "holding" if self.held else "spent"

    def hits(self, *candidates: str) -> bool:
        """Say whether its target is among some names; an empty target always is."""
        return self.target in {"", *candidates}

    def counts(self, request: ApiRequest) -> bool:
        """Say whether a call is one of those that are counted until it begins."""
        about = self.name not in API_FAULTS or self.hits(*request.parameters.values())
        return self.operation in {"", request.operation} and about

    def shown(self) -> dict[str, Any]:
        """Return the fault as the control path shows it."""
        facts = {name: value for name, value in vars(self).items() if name != "held"}
        return {**facts, "state": self.state, "does": FAULTS[self.name].does}


class Faults:
    """Every fault of one sandbox.

    Args:
        happen: Does the damage of a fault that happens once; raises ControlError when it cannot.
        look: Looks at a new fault before it is on; raises ControlError when its target does not exist.
        ended: Told of a fault that was switched off.
    """

    def __init__(
        self, happen: Callable[[Fault], None], look: Callable[[Fault], None], ended: Callable[[Fault], None]
    ) -> None:
        self._happen, self._look, self._ended = happen, look, ended
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def check(self, given: Mapping[str, Any]) -> Fault:
        """Return the fault that a request describes, without switching it on.

        Raises:
            ControlError: As ``add``.
        """
        fault = _read(given)
        check_options(kind_of(fault.name), given)
        self._look(fault)
        return fault

    def add(self, given: Mapping[str, Any]) -> Fault:
        """Switch a fault on, now or after so many calls; one that happens once happens, or waits for its calls.

        Args:
            given: ``name`` and some of ``target, times, operation, code, seconds, after_calls, note``.

        Raises:
            ControlError: There is no such fault, an option does not fit, or what it needs is missing.
        """
        fault = self.check(given)
        if FAULTS[fault.name].happens and fault.state == "on":
            self._happen(fault)
            fault.struck = 1
        with self._lock:
            fault.number = next(self._numbers)
            self._faults.append(fault)
        return fault

    def remove(self, number: int) -> Fault:
        """Switch one fault off.

        Raises:
            ControlError: There is none with this number.
        """
        with self._lock:
            found = next((one for one in self._faults if one.number == number), None)
            if found is None:
                known = ", ".join(str(one.number) for one in self._faults) or "none"
                raise ControlError(404, f"no fault number {number}; there are: {known}. Nothing was changed.")
            self._faults.remove(found)
        self._ended(found)
        return found

    def clear(self) -> list[Fault]:
        """Switch every fault off; return those there were."""
        with self._lock:
            gone, self._faults = self._faults, []
        for fault in gone:
            self._ended(fault)
        return gone

    def shown(self) -> list[dict[str, Any]]:
        """Return every fault that was not cleared, oldest first."""
        with self._lock:
            return [fault.shown() for fault in self._faults]

    def strikes(self, name: str, *candidates: str, occasion: str = "") -> bool:
        """Say whether a fault hits something now, and count it.

        Args:
            name: Which fault.
            candidates: Names of what it might hit; its target must be one of them, or empty.
            occasion: Names one event that is asked about again and again: it counts once, and stays hit.
        """
        with self._lock:
            return any(_strikes(one, candidates, occasion) for one in self._faults if one.name == name)

    def is_on(self, name: str, *candidates: str) -> bool:
        """Say whether a fault would hit something, without counting it."""
        with self._lock:
            return any(one.name == name and one.state == "on" and one.hits(*candidates) for one in self._faults)

    def is_any_on(self, name: str) -> bool:
        """Say whether a fault of this name is on, whatever its target."""
        with self._lock:
            return any(one.name == name and one.state == "on" for one in self._faults)

    def strikes_call(self, name: str, request: ApiRequest) -> Fault | None:
        """Return the fault that hits an API call now, counted; None when there is none."""
        with self._lock:
            for one in self._faults:
                if one.name == name and one.operation in {"", request.operation}:
                    candidates = request.parameters.values() if name in API_FAULTS else ()
                    if _strikes(one, tuple(candidates), ""):
                        return one
        return None

    def answered(self, request: ApiRequest) -> list[Fault]:
        """Count an API call that was answered; return the faults that have to happen now."""
        with self._lock:
            counting = [one for one in self._faults if one.state == "waiting" and one.counts(request)]
            for fault in counting:
                fault.calls += 1
            return [one for one in counting if FAULTS[one.name].happens and one.state == "on"]

    def happen_late(self, fault: Fault) -> None:
        """Let a fault that waited for its calls do its damage, unless it is cleared; its problem is shown with it."""
        with self._lock:
            if not any(one is fault for one in self._faults):
                return
        try:
            self._happen(fault)
            fault.struck = 1
        except ControlError as error:
            fault.problem = str(error)
            log.warning("fault %s %s could not happen: %s", fault.number, fault.name, error)


def _strikes(fault: Fault, candidates: tuple[str, ...], occasion: str) -> bool:
    if occasion and occasion in fault.held:
        return True
    if fault.state != "on" or not fault.hits(*candidates):
        return False
    fault.struck += 1
    if occasion:
        fault.held.add(occasion)
    return True


def _read(given: Mapping[str, Any]) -> Fault:
    """Return the fault that a request describes, without a number."""
    text = {name: str(given.get(name) or "") for name in ("name", "target", "operation", "code", "note")}
    fault = Fault(0, text["name"], text["target"], None, text["operation"], text["code"], note=text["note"])
    try:
        fault.times = None if given.get("times") is None else int(given["times"])
        fault.seconds = float(given.get("seconds") or 0)
        fault.after_calls = int(given.get("after_calls") or 0)
    except (TypeError, ValueError) as error:
        raise ControlError(400, f"times, after_calls and seconds are numbers: {error}. Nothing was changed.") from error
    return fault
