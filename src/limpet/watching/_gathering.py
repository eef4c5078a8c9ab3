"""How long hints are gathered in a burst before they are examined together.

One scan of forty names costs a quarter of forty scans of one. The pause doubles with each scan, so
that a short burst is soon reported, and never exceeds the option ``gather``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FIRST_S: Final = 0.001
"""The first pause of a burst."""
_BURST_S: Final = 0.010
"""A hint that comes this soon after the last scan is part of a burst."""


class Gathering:
    """The burst that one dispatcher is in, or none."""

    def __init__(self) -> None:
        self._last = -1.0
        self._pause = 0.0

    def pause(self, now: float, limits: Callable[[], Iterable[float]]) -> float:
        """Return the seconds to gather hints before they are examined; 0 at the start of a burst.

        Args:
            now: When a hint came or was found, monotonic seconds.
            limits: The longest pauses of all who wait; the shortest of them counts.
        """
        if now - self._last < _BURST_S:
            self._pause = min(*limits(), max(_FIRST_S, 2 * self._pause))
        else:
            self._pause = 0.0
        return self._pause

    def examined(self, now: float, names: int) -> None:
        """Record that something was examined; a single name was nothing to gather for."""
        self._last = now
        if names <= 1:
            self._pause = 0.0

    @property
    def is_on(self) -> bool:
        """Return whether the last hints were gathered."""
        return self._pause > 0
