"""Read a page of a large answer that was stored on this host. Changes nothing, unless told to remove it at the end."""

from __future__ import annotations

import os

from prelude import STORE, Refused


def main(arguments: dict) -> dict:
    """Return up to `length` characters from `offset`; with `remove`, delete the file afterwards."""
    folder = os.path.join(os.path.realpath(STORE), "output")
    path = os.path.realpath(arguments["path"])
    if os.path.dirname(path) != folder:
        raise Refused("not-an-output", "%s is not below %s" % (arguments["path"], folder))
    with open(path, encoding="ascii") as stream:
        stream.seek(arguments["offset"])
        text = stream.read(min(arguments["length"], 20000))
    if arguments.get("remove"):
        os.unlink(path)
    return {"text": text}
