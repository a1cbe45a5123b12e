"""Read several things at once: inside the outage one API call after the other would add up to seconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def together(**reads: Callable[[], Any]) -> dict[str, Any]:
    """Run readers that do not depend on one another, each in a thread of its own.

    Args:
        **reads: Readers by the name of what they read; they change nothing.

    Returns:
        What each returned, by name, in the order given.

    Raises:
        Exception: the first error in that order, when every reader has ended.
    """
    with ThreadPoolExecutor(max_workers=len(reads)) as pool:
        begun = {name: pool.submit(read) for name, read in reads.items()}
    return {name: future.result() for name, future in begun.items()}
