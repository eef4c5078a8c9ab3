"""What the tests of programs share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder by the name that the system has for it, as events do."""
    return Path(os.path.realpath(tmp_path))
