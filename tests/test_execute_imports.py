"""Starting a notebook does not wait for what no notebook needs."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import runbook_lib.execute, papermill, jsonschema
print("rfc3987_syntax" in sys.modules, "iri" in jsonschema.FormatChecker.checkers)
import rfc3987_syntax
print(rfc3987_syntax.is_valid_syntax("iri", "http://example.org/"))
"""


def test_the_grammar_is_not_compiled_and_can_be_had_all_the_same():
    """Papermill is imported without the grammar of `iri`; who asks for the grammar afterwards gets it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "True"]
