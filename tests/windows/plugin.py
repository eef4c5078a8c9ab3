"""A pytest plugin that skips what ``selection.SKIPPED`` names, each with its reason."""

from __future__ import annotations

import re

import pytest

from tests.windows.selection import SKIPPED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that is named there as skipped."""
    for item in items:
        place = item.nodeid.replace("\\", "/").removeprefix("tests/")
        for reason, patterns in SKIPPED.items():
            if any(re.match(pattern, place) for pattern in patterns):
                item.add_marker(pytest.mark.skip(reason=reason))
                break
