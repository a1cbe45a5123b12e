"""Read a manifest that build_manifest stored on this host. Changes nothing but the stored answer."""

from __future__ import annotations

from manifest_rows import CANONICAL_FIELDS, load, manifest_path


def main(arguments: dict) -> dict:
    """Return the manifest's entries in path order, each with the ten fields of the canonical form."""
    header, rows = load(manifest_path(arguments["run_id"], arguments["name"]))
    entries = [row[:CANONICAL_FIELDS] for row in rows]
    return {"version": header["version"], "excluded": header["excluded"], "entries": entries}
