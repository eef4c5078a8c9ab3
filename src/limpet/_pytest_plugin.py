"""Fixtures for pytest, which finds them wherever limpet is installed.

Nothing of limpet is imported before a test asks for one of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from limpet.remote import MemoryHub
    from limpet.testing import WatchedFolder


@pytest.fixture
def limpet_folder(tmp_path: Path) -> Iterator[WatchedFolder]:
    """A new folder whose events come when the test asks for them: limpet.testing.WatchedFolder."""
    from limpet.testing import WatchedFolder

    path = Path(os.path.realpath(tmp_path), "watched")
    path.mkdir()
    with WatchedFolder(path) as folder:
        yield folder


@pytest.fixture
def limpet_hub() -> MemoryHub:
    """A hub in memory, which limpet.remote.MemoryTransport(limpet_hub) connects to."""
    from limpet.remote import MemoryHub

    return MemoryHub()
