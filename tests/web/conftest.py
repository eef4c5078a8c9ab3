"""One browser for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.browser import BrowserThread


@pytest.fixture(scope="session")
def browser() -> Iterator[BrowserThread]:
    """A headless Chromium; started when the first test asks for it."""
    from tests.web.browser import BrowserThread  # its package is not on every system

    found = BrowserThread()
    yield found
    found.close()
