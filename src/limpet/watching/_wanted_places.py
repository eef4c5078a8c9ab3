"""What a watch of several places is to watch, in this run and the next; both shells have one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from limpet.errors import UsageError
from limpet.watching._group import WatcherGroup
from limpet.watching._places import Place
from limpet.watching._selection import Selection

if TYPE_CHECKING:
    from limpet.backends import HintRouter


class WantedPlaces:
    """The places of a watch, with what they have in common."""

    def __init__(
        self,
        places: Iterable[Place | Path],
        common: Mapping[str, Any],
        selection: Selection | None,
    ) -> None:
        self.common: Final = common
        self.selection: Final = selection
        self._places = list(places)

    def __str__(self) -> str:
        return ", ".join(repr(os.fspath(_path_of(one))) for one in self._places)

    def given(self) -> tuple[tuple[Place | Path, ...], Mapping[str, Any], Selection | None]:
        """Return what another watch of the same is made of."""
        return tuple(self._places), self.common, self.selection

    def core(self, router: HintRouter) -> WatcherGroup:
        """Return a core for one run."""
        return WatcherGroup(self._places, self.common, self.selection, router)

    def shown(self, core: WatcherGroup | None) -> tuple[Place, ...]:
        """Return the places that the core watches; without one, those that say what they are."""
        if core is not None:
            return tuple(one.shown for one in core.places)
        return tuple(one for one in self._places if not isinstance(one, Path))

    def add(self, place: Place | Path, core: WatcherGroup | None) -> None:
        """Add a place, and let the core watch it; one that is there stays as it is.

        Raises:
            UsageError: As ``WatcherGroup.add``.
        """
        if core.add(place) if core is not None else place not in self._places:
            self._places.append(place)

    def remove(self, place: Place | Path, core: WatcherGroup | None) -> None:
        """Remove a place, also from the core.

        Raises:
            UsageError: It is not among them.
            StateFileError: As ``WatcherGroup.remove``; it is removed.
        """
        path = _path_of(place)
        try:
            if core is not None:
                core.remove(path)
        finally:
            if core is None or all(one.path != path for one in core.places):
                self._forget(path)

    def _forget(self, path: Path) -> None:
        kept = [one for one in self._places if _path_of(one) != path]
        if len(kept) == len(self._places):
            shown = str(self) or "none"
            message = f"{os.fspath(path)!r} is not a place of this watch; its places: {shown}"
            raise UsageError(message)
        self._places = kept


def _path_of(place: Place | Path) -> Path:
    return place if isinstance(place, Path) else place.path
