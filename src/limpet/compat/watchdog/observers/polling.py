"""The observer that polls."""

from __future__ import annotations

from limpet.compat.watchdog.observers.api import DEFAULT_OBSERVER_TIMEOUT, BaseObserver
from limpet.compat.watchdog.utils import Seconds

__all__ = ["PollingObserver"]


class PollingObserver(BaseObserver):
    """An observer that compares each directory with what it was, everywhere.

    A place that is gone for a while is watched again once it is back.
    """

    def __init__(self, *, timeout: Seconds = DEFAULT_OBSERVER_TIMEOUT) -> None:
        """Make one that does not run yet.

        Args:
            timeout: Seconds between two polls.
        """
        super().__init__(timeout=timeout)
        self._backend = "poll"
