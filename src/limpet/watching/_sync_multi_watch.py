"""Several watched places with one stream of events, in its synchronous form."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpet.errors import UsageError
from limpet.watching._group import WatcherGroup
from limpet.watching._places import Place, PlaceLike, place_or_path
from limpet.watching._selection import Selection
from limpet.watching._sync_shell import SyncShell
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
        self._places = list(places)
        self._common = common
        self._selection = selection

    def __repr__(self) -> str:
        return f"the watch of {shown_places(self._places)}"

    @property
    def places(self) -> tuple[Place, ...]:
        """Return the places that are watched now; see ``MultiWatch.places``."""
        if self._core is not None:
            return tuple(one.shown for one in self._core.places)
        return tuple(one for one in self._places if not isinstance(one, Path))

    def _make_core(self, router: HintRouter) -> WatcherGroup:
        return WatcherGroup(self._places, self._common, self._selection, router)

    def add(self, *places: PlaceLike) -> None:
        """Watch further places; see ``MultiWatch.add``."""
        for place in [place_or_path(one) for one in places]:
            core, router = self._core, self._router
            if core.add(place) if core is not None else place not in self._places:
                self._places.append(place)
            if router is not None:
                router.wake()

    def remove(self, *places: PlaceLike) -> None:
        """Watch some places no longer; see ``MultiWatch.remove``."""
        for place in [place_or_path(one) for one in places]:
            core, router = self._core, self._router
            if core is None:
                self._places = removed(self._places, place)
                continue
            path = place if isinstance(place, Path) else place.path
            try:
                core.remove(path)
            finally:
                if all(one.path != path for one in core.places):
                    self._places = removed(self._places, place)
                if router is not None:
                    router.wake()

    def stats(self) -> dict[Path, WatchStats]:
        """Return the figures of each place, by its path."""
        return self._start()[0].stats()


def removed(places: Iterable[Place | Path], wanted: Place | Path) -> list[Place | Path]:
    """Return the places without one.

    Raises:
        UsageError: It is not among them.
    """
    path = _path_of(wanted)
    before = list(places)
    after = [one for one in before if _path_of(one) != path]
    if len(after) == len(before):
        message = f"{os.fspath(path)!r} is not a place of this watch; its places: "
        raise UsageError(message + (shown_places(before) or "none"))
    return after


def shown_places(places: Iterable[Place | Path]) -> str:
    """Return the paths of places, for messages."""
    return ", ".join(repr(os.fspath(_path_of(one))) for one in places)


def _path_of(place: Place | Path) -> Path:
    return place if isinstance(place, Path) else place.path
