"""What the tests of bots share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory by its canonical path, as events name it."""
    return Path(os.path.realpath(tmp_path))
