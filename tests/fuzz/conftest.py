"""The worker's town, and how many sequences are tried from which seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import PARAMETERS
from tests.fuzz.machine import Sequences
from tests.fuzz.town import FuzzTown

BUILD = Path(__file__).resolve().parents[2] / "build" / "hypothesis"
RULES, MORE_RULES = 3, 6
"""At most how many things happen in a sequence of `make test`, and of `make fuzz`, before it is brought to its end."""
# what `make fuzz` asks for is no part of other test runs
collect_ignore = [] if "RUNBOOK_FUZZ_SEED" in os.environ else ["test_many_sequences.py"]


@pytest.fixture(scope="session")
def sequences(tmp_path_factory):
    """Return a function that tries so many sequences from a seed, with the storage driver of that seed.

    Sequences with one driver share a town, which is rebuilt when it was broken.
    """
    set_hypothesis_home_dir(BUILD)
    towns = Towns(tmp_path_factory)

    def attempt(number, start, **more):
        class Part(Sequences):
            def __init__(self):
                super().__init__()
                self.town = towns.whole(driver)

        driver = sorted(PARAMETERS)[start % len(PARAMETERS)]
        print(f"{number} sequences with {driver} from seed {start}")  # noqa: T201 - shown when they fail
        run_state_machine_as_test(seed(start)(Part), settings=chosen(number, **more))

    yield attempt
    towns.stop()


def chosen(number, *, rules=RULES, database=None, again=False):
    """Return Hypothesis's settings: nothing is shrunk, because a sequence is short and takes its time.

    Args:
        number: How many sequences.
        rules: At most how many things happen in one.
        database: Where those that failed are kept; None keeps nothing.
        again: Whether to begin with those that failed before.
    """
    return settings(
        max_examples=number,
        stateful_step_count=rules,
        phases=(Phase.explicit, *((Phase.reuse,) if again else ()), Phase.generate),
        database=database,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
    )


def database():
    """Return where failing sequences are kept, so that the next `make fuzz` begins with them."""
    return DirectoryBasedExampleDatabase(BUILD / "examples")


class Towns:
    """The worker's town of each storage driver; another one after a sequence that could not be brought to its end.

    Args:
        factory: Makes folders.
    """

    def __init__(self, factory):
        self._factory = factory
        self._towns = {}

    def whole(self, driver):
        """Return a town with a storage driver whose service runs under compose as at first."""
        if driver in self._towns and self._towns[driver].is_broken:
            self._towns.pop(driver).stop()
        if driver not in self._towns:
            self._towns[driver] = FuzzTown(self._factory.mktemp("town"), driver)
            self._towns[driver].provision()
        return self._towns[driver]

    def stop(self):
        """End the towns."""
        while self._towns:
            self._towns.popitem()[1].stop()
