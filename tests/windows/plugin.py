"""Skips what ``selection.SKIPPED`` names, each test with its reason."""

from __future__ import annotations

import re

import pytest

from tests.windows.selection import SKIPPED
from tests.windows.shim import is_wine


def skip_on_windows(items: list[pytest.Item]) -> None:
    """Mark each test that is named there as skipped; what Wine alone lacks, on Wine alone."""
    reasons = {
        reason: [re.compile(pattern) for pattern in patterns]
        for reason, patterns in SKIPPED.items()
        if is_wine() or not reason.startswith("Wine ")
    }
    for item in items:
        place = item.nodeid.replace("\\", "/").removeprefix("tests/")
        for reason, patterns in reasons.items():
            if any(pattern.match(place) for pattern in patterns):
                item.add_marker(pytest.mark.skip(reason=reason))
                break
