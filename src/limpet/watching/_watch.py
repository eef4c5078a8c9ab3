"""One watched location, in its async form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from limpet.config import WatchOptions
from limpet.events import Kind
from limpet.watching._selection import Selection
from limpet.watching._sync_watch import SyncWatch
from limpet.watching._unacked import Unacknowledged
from limpet.watching._watch_shell import WatchShell
from limpet.watching._watch_stats import WatchStats
from limpet.watching._watcher import Watcher

if TYPE_CHECKING:
    from limpet.backends import HintRouter


class Watch(WatchShell[Watcher]):
    """One watched location: an async context manager, and an async iterator of events.

    ``__anext__`` may be cancelled at any moment and no event is lost. Several tasks may iterate;
    each event goes to one of them. After the block the watch can be entered again. Outside the
    block it can be pickled, by its path and options.
    """

    def __init__(
        self,
        location: Path,
        options: WatchOptions,
        expects: Kind,
        selection: Selection | None = None,
    ) -> None:
        super().__init__()
        self.location: Final = location
        self.options: Final = options
        self._expects: Final = expects
        self._selection: Final = selection

    def __reduce__(self) -> tuple[Any, ...]:
        return (Watch, (self.location, self.options, self._expects, self._selection))

    def __repr__(self) -> str:
        return f"<Watch {self._expects} {str(self.location)!r}>"

    def _make_core(self, router: HintRouter) -> Watcher:
        return Watcher(
            self.location, self.options, self._expects, router, selection=self._selection
        )

    def track(self, unacked: Unacknowledged | None) -> None:
        """Count an event as acknowledged when it is done, not when it is handed out.

        An event that is handed out is put into ``unacked``; the consumer acknowledges it with
        ``unacked.done(event)``. What is still in it goes into the state file and is delivered again
        at the next start. To be called before the first event is taken; ``None`` ends it.
        """
        self._running().unacked = unacked

    async def save(self, path: Path | None = None) -> None:
        """Write the state file now: nothing before it is delivered again, even after a kill.

        Takes time in proportion to the tree, in a thread; the watch does not scan meanwhile. Does
        nothing if the watch has no ``state`` and no path is given.

        Args:
            path: Write another file in its form.

        Raises:
            StateFileError: The old file, if any, is unchanged.
        """
        watcher = self._running()
        if self._dispatcher is not None and (path is not None or self.options.state is not None):
            await self._dispatcher.in_thread(lambda: watcher.save(path))

    def stats(self) -> WatchStats:
        """Return the watch's figures."""
        return self._running().stats()

    def sync(self) -> SyncWatch:
        """Return the synchronous form, for scripts without an event loop."""
        return SyncWatch(self.location, self.options, self._expects, self._selection)
