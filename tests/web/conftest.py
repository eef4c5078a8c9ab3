"""One browser for all tests of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.web.browser import BrowserThread


@pytest.fixture(scope="session")
def browser() -> Iterator[BrowserThread]:
    """A headless Chromium, and the thread that alone may use it."""
    from tests.web.browser import BrowserThread

    found = BrowserThread()
    yield found
    found.close()
