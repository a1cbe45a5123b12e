"""A migration on real hosts without any plugin: a unit of the host attaches, mounts and lets go, in the kernel."""

from __future__ import annotations

import json

import pytest

from tests.migration.conftest import only_run, report_of
from tests.real.town import NOTEBOOKS, Town

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1800)]
