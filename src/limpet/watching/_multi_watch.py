"""Several watched places with one stream of events, in its async form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpet.watching._group import WatcherGroup
from limpet.watching._places import Place, PlaceLike, place_or_path
from limpet.watching._selection import Selection
from limpet.watching._sync_multi_watch import SyncMultiWatch
from limpet.watching._wanted_places import WantedPlaces
from limpet.watching._watch_shell import WatchShell
from limpet.watching._watch_stats import WatchStats

if TYPE_CHECKING:
    from limpet.backends import HintRouter


class MultiWatch(WatchShell[WatcherGroup]):
    """Several watched places: an async context manager, and an async iterator of their events.

    All events are in one order and have one numbering; ``event.location`` says which place one is
    of. Otherwise as ``Watch``.
    """

    def __init__(
        self,
        places: tuple[Place | Path, ...],
        common: Mapping[str, Any],
        selection: Selection | None,
    ) -> None:
        super().__init__()
        self._wanted = WantedPlaces(places, common, selection)

    def __reduce__(self) -> tuple[Any, ...]:
        return (MultiWatch, self._wanted.given())

    def __repr__(self) -> str:
        return f"<MultiWatch {self._wanted}>"

    @property
    def places(self) -> tuple[Place, ...]:
        """Return the places that are watched now; before the start those that will be.

        Before the start a path that was given alone is not among them: the disk says what it is.
        """
        return self._wanted.shown(self._core)

    def _make_core(self, router: HintRouter) -> WatcherGroup:
        return self._wanted.core(router)

    async def add(self, *places: PlaceLike) -> None:
        """Watch further places; once this returns, every later change of them is seen.

        What is watched already is left as it is. Before the block is entered they are only added to
        those that will be watched.

        Raises:
            UsageError: Nothing is at a path that does not say what it is to be, or a place is
                inside a folder that is watched with other options. The places before it are added.
        """
        await self._for_each(places, self._wanted.add)

    async def remove(self, *places: PlaceLike) -> None:
        """Watch some places no longer; none of their events comes afterwards.

        Raises:
            UsageError: One is not watched; the places before it are removed.
            StateFileError: The state of one could not be saved; it is removed.
        """
        await self._for_each(places, self._wanted.remove)

    async def _for_each(
        self,
        places: Iterable[PlaceLike],
        change: Callable[[Place | Path, WatcherGroup | None], None],
    ) -> None:
        wanted = [place_or_path(one) for one in places]
        core, dispatcher = self._core, self._dispatcher
        if core is None or dispatcher is None:
            for place in wanted:
                change(place, None)
            return
        dispatcher.loop.check(self)
        for place in wanted:
            try:
                await dispatcher.in_thread(partial(change, place, core))
            finally:
                dispatcher.release_waiters(core)

    async def save(self) -> None:
        """Write the state files of all places that have one now; see ``Watch.save``.

        Raises:
            StateFileError: An old file, if any, is unchanged.
        """
        core = self._running()
        if self._dispatcher is not None:
            await self._dispatcher.in_thread(core.save)

    def stats(self) -> dict[Path, WatchStats]:
        """Return the figures of each place, by its path."""
        return self._running().stats()

    def sync(self) -> SyncMultiWatch:
        """Return the synchronous form, for scripts without an event loop."""
        return SyncMultiWatch(*self._wanted.given())
