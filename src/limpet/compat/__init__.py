"""Drop-ins: the names of other watchers, on limpet.

``limpet.compat.watchfiles`` and ``limpet.compat.watchdog`` have the names, the signatures and the
defaults of those packages. ``python -m limpet.compat PROGRAM ...`` runs a program over them, with
no change to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names
from limpet.compat._substitute import substitute

__all__ = ["substitute"]

if not TYPE_CHECKING:  # each is loaded when it is used
    __getattr__, __dir__ = lazy_names(
        globals(), {}, {name: f"limpet.compat.{name}" for name in ("watchdog", "watchfiles")}
    )
