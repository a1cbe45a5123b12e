"""The embedded local AWS: an outside world to try the runbooks on.

It imports ``runbook_lib.model`` and ``runbook_lib.errors`` at most; only ``runbook_lib.cli`` imports it.
"""
