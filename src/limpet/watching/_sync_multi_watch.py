"""Several watched places with one stream of events, in its synchronous form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpet.watching._group import WatcherGroup
from limpet.watching._places import Place, PlaceLike, place_or_path
from limpet.watching._selection import Selection
from limpet.watching._sync_shell import SyncShell
from limpet.watching._wanted_places import WantedPlaces
from limpet.watching._watch_stats import WatchStats

if TYPE_CHECKING:
    from limpet.backends import HintRouter


class SyncMultiWatch(SyncShell[WatcherGroup]):
    """Several watched places for plain scripts: a context manager, and an iterator that blocks.

    ``for event in limpet.watch("a", "b").sync():`` starts by itself and ends with the ``for`` loop,
    with ``close`` or with ``stop``. One thread takes the events; ``add``, ``remove``, ``wake`` and
    ``stop`` are for any thread.
    """

    def __init__(
        self,
        places: tuple[Place | Path, ...],
        common: Mapping[str, Any],
        selection: Selection | None,
    ) -> None:
        super().__init__()
        self._wanted = WantedPlaces(places, common, selection)

    def __repr__(self) -> str:
        return f"the watch of {self._wanted}"

    @property
    def places(self) -> tuple[Place, ...]:
        """Return the places that are watched now; see ``MultiWatch.places``."""
        return self._wanted.shown(self._core)

    def _make_core(self, router: HintRouter) -> WatcherGroup:
        return self._wanted.core(router)

    def add(self, *places: PlaceLike) -> None:
        """Watch further places; see ``MultiWatch.add``."""
        self._for_each(places, self._wanted.add)

    def remove(self, *places: PlaceLike) -> None:
        """Watch some places no longer; see ``MultiWatch.remove``."""
        self._for_each(places, self._wanted.remove)

    def _for_each(
        self,
        places: Iterable[PlaceLike],
        change: Callable[[Place | Path, WatcherGroup | None], None],
    ) -> None:
        for place in [place_or_path(one) for one in places]:
            try:
                change(place, self._core)
            finally:
                router = self._router
                if router is not None:
                    router.wake()

    def stats(self) -> dict[Path, WatchStats]:
        """Return the figures of each place, by its path."""
        return self._start()[0].stats()
