"""Thaw the filesystem that `freeze_volume` froze, and say whether it was still frozen.

Changes: the filesystem takes writes again; the note of the freeze goes, so that the watchdog does nothing.
"""

from __future__ import annotations

import json
import os

from freeze_volume import note_of
from prelude import read_text, run


def main(arguments: dict) -> dict:
    """Thaw; `was_frozen` is false when the watchdog, or somebody else, came first."""
    note = note_of(arguments["volume_id"])
    known = json.loads(read_text(note) or "{}")
    code = run(["fsfreeze", "-u", arguments["path"]], accept=(0, 1))[0]
    if known.get("freeze_id") == arguments["freeze_id"]:
        os.remove(note)
    return {"was_frozen": code == 0 and known.get("freeze_id") == arguments["freeze_id"]}
