"""The committed sandbox parameters are those of the sandbox's sample estate."""

from __future__ import annotations

from parameter_sets import SANDBOX

from runbook_lib import parameters


def test_the_committed_ids_are_the_estates(sandbox):
    """Ids are the same on every machine, so the committed file names what a sandbox really has."""
    committed, found = parameters.load(SANDBOX), parameters.load(sandbox.parameters_path)

    assert (found.aws.account_id, found.source.instance_id, found.volume, found.target, found.storage) == (
        committed.aws.account_id, committed.source.instance_id, committed.volume, committed.target, committed.storage,
    )  # fmt: skip
