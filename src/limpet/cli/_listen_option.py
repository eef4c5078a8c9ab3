"""How ``--listen`` is typed."""

from __future__ import annotations

from typing import Final

LISTEN: Final = (
    "serve a page, metrics and JSON about the run: PORT or HOST:PORT on loopback (0 is a free "
    "port), or unix:PATH; needs limpet[web]"
)
"""The help of ``--listen``."""
