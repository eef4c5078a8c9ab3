"""The version of watchdog whose names these are."""

from __future__ import annotations

from typing import Final

__all__ = ["VERSION_BUILD", "VERSION_INFO", "VERSION_MAJOR", "VERSION_MINOR", "VERSION_STRING"]

VERSION_MAJOR: Final = 7
VERSION_MINOR: Final = 1
VERSION_BUILD: Final = 0
VERSION_INFO: Final = (VERSION_MAJOR, VERSION_MINOR, VERSION_BUILD)
VERSION_STRING: Final = "7.1.0"
"""Programs compare it; the version of limpet is ``limpet.__version__``."""
__version__ = VERSION_INFO
