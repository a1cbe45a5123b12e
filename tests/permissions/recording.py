"""The recording of what was asked of the policies: one line for each asking, with the parts and roles that asked it.

`earlier/operator` is what `day-two` with REX-Ray and `way-back` asked before parts were told apart; once both are
recorded by themselves, `put(FILE, "earlier", [])` takes it out.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).with_name("asked.json")


def read(file=FILE):
    """Return the askings: `action`, `resource`, `context`, and in `by` every `PART/ROLE` that asked it."""
    return json.loads(file.read_text("utf-8")) if file.exists() else []


def put(file, part, asked):
    """Write a recording in which a part asked this, and nothing else; with nothing, the part is taken out."""
    found = {key_of(one): one for one in (_without(one, part) for one in read(file)) if one["by"]}
    for one in asked:
        kept = found.setdefault(key_of(one), {**plain(one), "by": []})
        kept["by"] = sorted({*kept["by"], one["by"]})
    lines = [json.dumps(found[key], sort_keys=True) for key in sorted(found)]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


def plain(one):
    """Return an asking without who asked it and how that was decided."""
    return {key: one[key] for key in ("action", "resource", "context")}


def key_of(one):
    """Return an asking as text, to compare."""
    return json.dumps(plain(one), sort_keys=True)


def of_role(asked, role):
    """Return the askings of a role."""
    return [one for one in asked if any(by.endswith(f"/{role}") for by in one["by"])]


def refused(asked):
    """Return what was not permitted, as texts."""
    return sorted({f"{one['action']} on {one['resource']}" for one in asked if one["decision"] != "allowed"})


def _without(one, part):
    return one | {"by": [by for by in one["by"] if not by.startswith(f"{part}/")]}
