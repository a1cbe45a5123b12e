"""The tests of changes, every step struck: collected in modules of a few strikes each, as the matrix is."""

from __future__ import annotations

import pytest

from tests.crash.changes import check_taken_back
from tests.crash.strikes import names

TIMEOUT_S = 3000


def matrix(town):
    """Return the two tests of a kind of change.

    Args:
        town: The class of its town.
    """
    ways = town.both_ways()
    both = [
        pytest.param(*way, id=f"{way[0]}-{name}") for way, name in zip(ways, names(w[1:] for w in ways), strict=True)
    ]
    first = (town.completion, *town.planning)
    # Terraform first: it knows nothing of what is then done by hand, and finds it at the next change there and back
    cases = sorted(town.cases, key=lambda case: first.index(case[1]) if case[1] in first else len(first))

    @pytest.mark.parametrize(("kind", "notebook", "step_id"), both)
    def goes_on(change, kind, notebook, step_id):
        """Struck, its notebook run again: what was done is found, the rest is done, no acknowledged write is lost."""
        change.check_resumed(kind, notebook, step_id)

    @pytest.mark.parametrize(("notebook", "step_id"), cases, ids=names(cases))
    def had_again(changing_town, notebook, step_id, strike):
        """Struck, then run with the former parameters: the service is as it was before, with every write."""
        check_taken_back(changing_town, notebook, step_id, strike)

    return goes_on, had_again
