"""The release of the running kernel, for what no call can be asked about."""

from __future__ import annotations

import os
import sys


def kernel_release() -> tuple[int, ...]:
    """Return its first two numbers, such as ``(6, 13)``; fewer where it is not made of numbers."""
    if sys.platform == "win32":
        return ()
    parts = os.uname().release.split("-", 1)[0].split(".")
    return tuple(int(part) for part in parts[:2] if part.isdigit())
