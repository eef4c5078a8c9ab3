"""The observer: calls handlers for what changes at places on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names
from limpet.compat.watchdog.observers._limpet_observer import LimpetObserver

__all__ = ["Observer"]

Observer = LimpetObserver

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        globals(),
        {},
        {name: f"limpet.compat.watchdog.observers.{name}" for name in ("api", "polling")},
    )
