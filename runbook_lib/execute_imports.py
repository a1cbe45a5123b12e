"""Import jsonschema, which Papermill needs, without what takes it a second; to be imported before Papermill.

jsonschema compiles a grammar for the format `iri`, where the package `rfc3987_syntax` is installed, and does without it
where it is not. JupyterLab brings it along; no schema of a notebook has a field of that format.
"""

from __future__ import annotations

import importlib
import sys

GRAMMAR = "rfc3987_syntax"

if "jsonschema" not in sys.modules and GRAMMAR not in sys.modules:
    sys.modules[GRAMMAR] = None  # type: ignore[assignment] # Python's way to say that there is no such package
    try:
        importlib.import_module("jsonschema")
    finally:
        del sys.modules[GRAMMAR]
