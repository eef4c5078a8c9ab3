"""The observer by notifications of the system, and by polling where there are none."""

from __future__ import annotations

from limpet.compat.watchdog.observers.api import DEFAULT_OBSERVER_TIMEOUT, BaseObserver
from limpet.compat.watchdog.utils import Seconds


class LimpetObserver(BaseObserver):
    """An observer by notifications of the system; by polling on what gives none."""

    def __init__(self, *, timeout: Seconds = DEFAULT_OBSERVER_TIMEOUT) -> None:
        """Make one that does not run yet.

        Args:
            timeout: Kept for the programs that give it; nothing waits for it.
        """
        super().__init__(timeout=timeout)
