"""The numbers of the manifest that was taken before an unmount, for a caller that died before it had them.

They hold as long as nobody mounts the volume here again: whoever does, forgets them first.
"""

from __future__ import annotations

import glob
import json
import os

from prelude import STORE, read_text, write_atomically

KEPT = "manifest-at-unmount.json"


def keep(run_id: str, built: dict) -> None:
    """Keep what `build_manifest` returned to this run."""
    write_atomically(os.path.join(STORE, run_id, KEPT), json.dumps(built).encode("ascii"))


def kept(run_id: str) -> dict | None:
    """Return what this run's unmount kept; None when there is nothing."""
    return json.loads(read_text(os.path.join(STORE, run_id, KEPT), "null"))


def forget() -> None:
    """Forget what any run kept."""
    for path in glob.glob(os.path.join(glob.escape(STORE), "*", KEPT)):
        os.remove(path)
