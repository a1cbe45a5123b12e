"""`scripts/permissions` as a module."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def load():
    """Return scripts/permissions as a module."""
    loader = importlib.machinery.SourceFileLoader("permissions_script", str(ROOT / "scripts" / "permissions"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("permissions_script", loader))
    sys.modules["permissions_script"] = module
    loader.exec_module(module)
    return module
