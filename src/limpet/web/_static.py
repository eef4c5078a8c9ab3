"""The files of the page: a fixed table, read once; no name from a request reaches the disk."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

_SCRIPT: Final = "text/javascript; charset=utf-8"
TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "api.js": _SCRIPT,
    "cards.js": _SCRIPT,
    "charts.js": _SCRIPT,
    "letters.js": _SCRIPT,
    "page.js": _SCRIPT,
    "stream.js": _SCRIPT,
    "text.js": _SCRIPT,
    "icon.svg": "image/svg+xml",
}
"""Name -> media type."""


@cache
def content_of(name: str) -> bytes:
    """Return the content of a file of the table."""
    return files("limpet.web").joinpath("static", name).read_bytes()
