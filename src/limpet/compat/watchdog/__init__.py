"""The names of watchdog on limpet: the signatures of 7.x, and the pattern matching of 6.x.

Where watchdog goes deaf, this goes on: a watched path that is deleted, made again or replaced, a
package made at once, a handler that raises. The page "Coming from watchdog" has what differs, and
what cannot be had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limpet._lazy_names import lazy_names

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        globals(),
        {},
        {
            name: f"limpet.compat.watchdog.{name}"
            for name in ("events", "observers", "utils", "version")
        },
    )
